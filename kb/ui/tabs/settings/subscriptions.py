"""Subscriptions: the sources that the worker lists at intervals, and the states of their looks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError, UsageError, restored
from kb.options import OPTIONS, SOURCE_OPTIONS, chosen
from kb.service.follows import FollowState
from kb.service.views import Look, Subscription
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.tabs.ingest.filters_form import FiltersForm
from kb.ui.tabs.ingest.options_form import OptionsForm
from kb.ui.tabs.settings import follow_texts
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button
from kb.ui.widgets.clock_note import show_clock, zone_note
from kb.ui.widgets.read_list import read_list
from kb.ui.widgets.rows import Cell, Column, Tone

_NEW, _EVERY = "follow_new", "follow_every"
_OPTIONS_FORM = "follow_run"
_FILTERS = FiltersForm("follow_filter", followed=True)
_FLASH_KEY = "follow"
_CHANGED, _CHANGED_EVERY = "follow_changed", "follow_changed_every"
_HISTORY = "follow_history"
_FIND, _FOLDED = "follow_find", "follow_calm"
_CALM = 3  # rank of what needs no attention
_UNFOLDED = 3  # cards of calm sources that are not folded away
_DAYS = 7  # of the line about activity
_MISSING_SHOWN = 3
_HOUR_S = 3600.0
_CHOICES = (1, 3, 6, 12, 24, 168)
_LOOK_TONES: dict[str, Tone] = {
    "succeeded": "good", "failed": "bad", "waiting": "warn", "interrupted": "warn",
    "running": "live",
}  # fmt: skip


def render() -> None:
    """Draw the part: how to follow a source, what needs attention, and the others."""
    st.caption(f"{text('follow_help')} {zone_note()}")
    messages.show_flash(_FLASH_KEY)
    with st.container(border=True):
        _form()
    service = session.service()
    try:
        followed = service.follows.states()
        activity = service.follows.activity(_DAYS) if followed else None
        quota = service.follows.quota() if followed else None
        idle = bool(followed) and not service.queue.workers()
    except KBError as error:
        messages.error(error)
        return
    with messages.steady():
        show_clock(service)
        if idle:
            st.warning(text("follow_no_worker"))
        if not followed:
            st.info(text("follow_none"))
            return
        st.markdown(follow_texts.summary(followed))
        if activity is not None:
            for line in follow_texts.activity(activity, quota):
                st.caption(line)
        _cards(followed)
        _history(followed)


def _cards(followed: Sequence[FollowState]) -> None:
    """Draw what needs attention, and the others folded away if there are many."""
    calm = [each for each in followed if each.rank == _CALM]
    for each in followed:
        if each.rank < _CALM:
            _subscription_card(each)
    if len(calm) <= _UNFOLDED:
        for each in calm:
            _subscription_card(each)
        return
    changed = st.session_state.get(_CHANGED)
    is_open = any(each.subscription.key == changed for each in calm)
    with st.expander(follow_texts.calm(calm), expanded=is_open, key=_FOLDED):
        words = str(
            st.text_input(text("follow_find"), key=_FIND, placeholder=text("follow_find")) or ""
        )
        for each in calm:
            if follow_texts.is_named(each, words):
                _subscription_card(each)


def _subscription_card(state: FollowState) -> None:
    each = state.subscription
    place = hashlib.sha256(each.key.encode()).hexdigest()[:12]
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"followed-{place}"
    ):
        with st.container(gap="xxsmall"):
            _head(state)
            if each.error:
                refused = restored(each.error, problem=each.problem)
                said = follow_texts.on_card(error_messages.translate_error(refused))
                color = "orange" if state.rank else "red"
                st.markdown(f":small[:{color}[{messages.escape_markdown(said)}]]")
            for facts in filter(None, (follow_texts.numbers(state), follow_texts.last_look(state))):
                st.caption(messages.escape_markdown(facts))
            for item in state.missing[:_MISSING_SHOWN]:
                st.markdown(
                    f":small[:orange[{messages.escape_markdown(follow_texts.missing(item))}]]"
                )
            if len(state.missing) > _MISSING_SHOWN:
                st.caption(text("follow_more", count=len(state.missing) - _MISSING_SHOWN))
            for facts in follow_texts.entries(state):
                st.caption(messages.escape_markdown(facts))
            if terms := follow_texts.terms(each):
                st.caption(messages.escape_markdown(terms))
        # Together, so that a narrow page has both below the text.
        with st.container(horizontal=True, width="content"):
            if state.better_name:
                st.button(
                    text("follow_rename", name=_short_name(state.better_name)),
                    key=f"follow-rename-{place}",
                    width="content",
                    on_click=_rename,
                    args=(each.key, state.better_name),
                )
            st.button(
                text("follow_change"),
                key=f"follow-change-{place}",
                width="content",
                on_click=_open_change,
                args=(each.key,),
            )
            shown = messages.escape_markdown(each.reference)
            asked_button(
                text("follow_remove"), text("follow_remove_sure", reference=shown), _unfollow,
                (each.key, each.reference), key=f"unfollow-{place}", yes=text("follow_remove"),
            )  # fmt: skip
    if st.session_state.get(_CHANGED) == each.key:
        _change_form(each)


def _head(state: FollowState) -> None:
    """Draw the name with its condition, the look that is under way, and the times of looks."""
    each = state.subscription
    badges = [
        f":{follow_texts.COLORS[state.condition]}-badge[{text(f'follow_is_{state.condition}')}]"
    ]
    if state.looking is not None:
        since = messages.format_past(state.looking.since)
        said = text(f"follow_looking_{state.looking.state}", since=since)
        badges.append(f":blue-badge[{messages.escape_markdown(said)}]")
    title = messages.escape_markdown(state.title)
    name = messages.escape_markdown(each.reference)
    st.markdown(f"**{name}** {title} {' '.join(badges)}")
    line = text(
        "follow_line",
        every=messages.format_timedelta(each.every_s),
        next=messages.format_datetime(state.next_at),
    )
    st.caption(line + (f", {text('follow_finds_nothing')}" if state.is_gone else ""))


def _short_name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _rename(key: str, reference: str) -> None:
    """Follow the same channel under another name; its terms are kept."""
    try:
        session.service().subscriptions.rename(key, reference)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(_FLASH_KEY, text("follow_added", reference=messages.escape_markdown(reference)))


def _change_form(each: Subscription) -> None:
    """Draw the form with the present interval and options of a subscription."""
    form = _form_of(each)
    with st.form("follow-change", border=True):
        hours = each.every_s / _HOUR_S
        choices = sorted({*map(float, _CHOICES), hours})
        st.selectbox(
            text("follow_every"), choices, index=choices.index(hours), format_func=_hours,
            key=_CHANGED_EVERY, width=180,
        )  # fmt: skip
        _filters_of(each).draw()
        st.caption(text("follow_options_help"))
        form.draw_for_subscription()
        with st.container(horizontal=True):
            st.form_submit_button(
                text("follow_save"), type="primary", on_click=_change, args=(each,)
            )
            st.form_submit_button(text("follow_leave"), on_click=_close_change, args=(each,))


def _form_of(each: Subscription) -> OptionsForm:
    return OptionsForm(f"follow_change_{each.key}", session.service(), values=each.options)


def _filters_of(each: Subscription) -> FiltersForm:
    return FiltersForm(f"follow_change_{each.key}_filter", each.filters, followed=True)


def _open_change(key: str) -> None:
    st.session_state[_CHANGED] = key


def _close_change(each: Subscription) -> None:
    _form_of(each).forget()
    _filters_of(each).forget()
    for name in (_CHANGED, _CHANGED_EVERY):
        st.session_state.pop(name, None)


def _change(each: Subscription) -> None:
    service, form = session.service(), _form_of(each)
    others = {
        name: value
        for name, value in each.options.items()
        if name not in OPTIONS and name not in SOURCE_OPTIONS
    }
    try:
        options = form.run_options()
        service.ingest.check(options)
        service.subscriptions.follow(
            each.reference,
            every_s=float(st.session_state.get(_CHANGED_EVERY) or 6) * _HOUR_S,
            filters=_filters_of(each).filters(),
            options={**others, **chosen(options), **form.source_options().as_dict()},
            channel_id=each.channel_id or "",
        )
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    _close_change(each)
    messages.flash(
        _FLASH_KEY, text("follow_changed", reference=messages.escape_markdown(each.reference))
    )


def _history(followed: Sequence[FollowState]) -> None:
    with st.expander(text("follow_history")):
        names = [each.subscription.reference for each in followed]
        chosen = st.selectbox(text("follow_history_of"), names, key=_HISTORY)
        if not chosen:
            return
        try:
            looks = session.service().follows.history(chosen)
        except KBError as error:
            messages.error(error)
            return
        if not looks:
            st.info(text("follow_history_none"))
            return
        numbers = ("read", "queued", "filtered", "closed", "units")
        read_list(
            "looks",
            [
                Column("started", text("look_started"), "minmax(7rem, 1fr)"),
                Column("kind", text("look_kind"), "5rem", minor=True),
                Column("outcome", text("look_outcome"), "minmax(6rem, 1fr)"),
                *(Column(name, text(f"look_{name}"), "5.5rem", end=True) for name in numbers),
                Column("error", text("look_error"), "minmax(6rem, 2fr)", minor=True),
            ],
            [_look(each) for each in looks],
            label=text("follow_history"),
            texts=[_cause(each) for each in looks],
        )


def _look(look: Look) -> dict[str, str | Cell]:
    outcome = look.outcome or "running"
    numbers = {
        "read": look.listed, "queued": look.queued, "filtered": look.filtered,
        "closed": look.unavailable, "units": look.units,
    }  # fmt: skip
    return {
        "started": messages.format_past(look.started_at),
        "kind": text(f"look_{look.kind}"),
        "outcome": Cell(text(f"look_{outcome}"), _LOOK_TONES.get(outcome, "")),
        **{name: format_number(number) for name, number in numbers.items()},
        "error": _cause(look),
    }


def _cause(look: Look) -> str:
    if not look.error:
        return ""
    return error_messages.translate_error(restored(look.error, problem=look.problem)).message


def _form() -> None:
    with st.form("follow", border=False, enter_to_submit=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(text("follow_new"), key=_NEW, placeholder=text("follow_new_placeholder"))
            st.selectbox(
                text("follow_every"), _CHOICES, index=2, format_func=_hours, key=_EVERY, width=180
            )
        with st.expander(text("filters"), key="follow_filters"):
            _FILTERS.draw()
        with st.expander(text("follow_options")):
            st.caption(text("follow_options_help"))
            OptionsForm(_OPTIONS_FORM, session.service()).draw_for_subscription()
        st.form_submit_button(text("follow_add"), type="primary", on_click=_follow)


def _hours(hours: float) -> str:
    if hours == 24:
        return text("follow_every_day")
    if hours == 168:
        return text("follow_every_week")
    return text("follow_every_hours", hours=f"{hours:g}")


def _follow() -> None:
    state, service = st.session_state, session.service()
    reference = str(state.get(_NEW) or "").strip()
    try:
        if not reference:
            raise UsageError(
                "page.follow_nothing",
                "Nothing was named.",
                hint="Give a channel, a playlist or a folder.",
            )
        form = OptionsForm(_OPTIONS_FORM, service)
        options = form.run_options()
        service.ingest.check(options)
        service.subscriptions.change(
            reference,
            every_s=float(state.get(_EVERY) or 6) * _HOUR_S,
            filters=_FILTERS.filters(),
            options=options,
            terms=form.source_options(),
        )
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    state[_NEW] = ""
    _FILTERS.clear()  # they are folded away, and would hold for the next source unseen
    messages.flash(_FLASH_KEY, text("follow_added", reference=messages.escape_markdown(reference)))


def _unfollow(key: str, reference: str) -> None:
    try:
        session.service().subscriptions.unfollow(key)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.flash(
        _FLASH_KEY, text("follow_removed", reference=messages.escape_markdown(reference))
    )
