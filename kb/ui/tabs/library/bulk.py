"""Acts on the selected items of the list: export, publish, transcribe again, tag, remove."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError
from kb.service.bulk import BulkPlan, BulkResult
from kb.service.catalogue import ListRow
from kb.service.option_suggestions import option_suggestions
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.tabs.library import exports, removal
from kb.ui.widgets import messages
from kb.ui.widgets.rows import RowList

PLACE = "library-bulk"  # of the results of the acts
_TAGS_ADD, _TAGS_REMOVE, _MODEL = "bulk_tags_add", "bulk_tags_remove", "bulk_model"
_REMOTE = "bulk_remote"


def bar(shown: RowList, rows: Sequence[ListRow], figures: str) -> None:
    """Draw the acts for the selected items; for none, the list's figures and its export."""
    there = {row.id: row for row in rows}
    selected = [item_id for item_id in shown.selected if item_id in there]
    with st.container(horizontal=True, vertical_alignment="center", key="bulk", gap="small"):
        # Both forms begin with the same two elements: an element that moves closes its menu.
        words = f"**{plural_text('bulk_selected', len(selected))}**" if selected else figures
        st.markdown(words, width="content")
        chosen = [there[item_id].entry for item_id in selected]
        exports.zip_menu(chosen or [row.entry for row in rows], selected)
        if not selected:
            return
        _publish(selected)
        _again(selected)
        _tags(selected, [there[item_id] for item_id in selected])
        _remove(shown, selected)
        st.button(
            text("bulk_clear"), key="bulk-clear", type="tertiary", on_click=shown.select, args=([],)
        )  # fmt: skip


def _plan(selected: Sequence[str]) -> BulkPlan | None:
    try:
        return session.service().bulk.plan(selected)
    except KBError as error:
        messages.error(error)
        return None


def _publish(selected: list[str]) -> None:
    if not session.service().settings.odin_api_key.get_secret_value():
        return
    menu = st.popover(
        text("bulk_publish"), width="content", key="bulk-publish-menu", on_change="rerun"
    )
    if menu.open and (plan := _plan(selected)):
        with menu:
            count = len(plan.ready) - plan.held - plan.without_words
            credit = format_number(plan.credits, 1)
            st.markdown(plural_text("bulk_publish_help", count, credits=credit))
            _left_out(plan)
            st.button(
                plural_text("bulk_publish_now", count), key="bulk-publish", type="primary",
                disabled=count < 1, on_click=_act, args=("bulk_published", "publish", selected),
            )  # fmt: skip


def _again(selected: list[str]) -> None:
    menu = st.popover(text("bulk_again"), width="content", key="bulk-again-menu", on_change="rerun")
    if menu.open and (plan := _plan(selected)):
        with menu:
            model = st.selectbox(
                text("option_model"), list(option_suggestions("model")), key=_MODEL,
                persist_state="session",
            )  # fmt: skip
            st.markdown(plural_text("bulk_again_help", len(plan.ready)))
            if plan.published:
                credit = format_number(plan.credits, 1)
                st.warning(plural_text("bulk_again_published", plan.published, credits=credit))
            if plan.busy:
                st.caption(plural_text("bulk_busy", plan.busy))
            st.button(
                plural_text("bulk_again_now", len(plan.ready)), key="bulk-again", type="primary",
                disabled=not plan.ready or not model, on_click=_act,
                args=("bulk_again_done", "transcribe_again", list(plan.ready), model),
            )  # fmt: skip


def _tags(selected: list[str], rows: Sequence[ListRow]) -> None:
    menu = st.popover(text("bulk_tag"), width="content", key="bulk-tag-menu", on_change="rerun")
    if not menu.open:
        return
    with menu:
        st.multiselect(
            text("tags_add"), list(session.service().labels.tags()), key=_TAGS_ADD,
            accept_new_options=True, placeholder=text("tags_new"),
        )  # fmt: skip
        own = sorted({tag for row in rows for tag in row.entry.user_tags})
        if own:
            st.multiselect(text("tags_remove"), own, key=_TAGS_REMOVE)
        st.button(
            text("tags_save"), key="bulk-tag", type="primary", on_click=_tag, args=(selected,)
        )  # fmt: skip


def _tag(selected: list[str]) -> None:
    state = st.session_state
    try:
        changed = session.service().labels.tag(
            selected, state.get(_TAGS_ADD) or (), state.get(_TAGS_REMOVE) or ()
        )
    except KBError as error:
        messages.flash_error(PLACE, error)
        return
    state[_TAGS_ADD] = []
    state.pop(_TAGS_REMOVE, None)
    messages.flash(PLACE, plural_text("bulk_tagged", len(changed)))


def _remove(shown: RowList, selected: list[str]) -> None:
    menu = st.popover(text("remove"), width="content", key="bulk-remove-menu", on_change="rerun")
    if menu.open and (plan := _plan(selected)):
        with menu:
            st.markdown(plural_text("bulk_remove_help", len(plan.ready)))
            if plan.published:
                st.checkbox(plural_text("bulk_remove_remote", plan.published), key=_REMOTE)
            if plan.busy:
                st.caption(plural_text("bulk_busy", plan.busy))
            st.button(
                plural_text("bulk_remove_now", len(plan.ready)), key="bulk-remove",
                type="primary", disabled=not plan.ready, on_click=_remove_all,
                args=(shown, list(plan.ready)),
            )  # fmt: skip


def _remove_all(shown: RowList, ids: list[str]) -> None:
    remote = bool(st.session_state.get(_REMOTE, False))
    try:
        removed = session.service().bulk.remove(ids, remote=remote)
    except KBError as error:
        messages.flash_error(PLACE, error)
        return
    messages.clear_flash(PLACE)
    shown.select([])
    removal.remember([(each.id, each.title) for each in removed])
    session.redraw()


def _left_out(plan: BulkPlan) -> None:
    if plan.held:
        st.caption(plural_text("bulk_held", plan.held))
    if plan.without_words:
        st.caption(plural_text("export_many_without", plan.without_words))
    if plan.busy:
        st.caption(plural_text("bulk_busy", plan.busy))


def _act(said: str, name: str, ids: list[str], *more: str) -> None:
    try:
        result: BulkResult = getattr(session.service().bulk, name)(ids, *more)
    except KBError as error:
        messages.flash_error(PLACE, error)
        return
    if result.failed:
        messages.flash_error(PLACE, result.failed[0][1])
        return
    messages.flash(PLACE, plural_text(said, len(result.done)))
