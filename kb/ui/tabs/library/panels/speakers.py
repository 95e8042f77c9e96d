"""The speakers of one item: their names, excerpts with sound, and corrections of who speaks."""

from __future__ import annotations

import html

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.notation import parse_time
from kb.service.speaker_names import LONGEST_NAME, Excerpt, Speaker
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.types.safe_text import printable
from kb.ui import session
from kb.ui.i18n import Count, format_number, plural_text, text
from kb.ui.web import media_route
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

MOST = 20  # speakers that are listed
_FIELD_PX = 320  # on a phone, each field has a line of its own

_WAITING = "speaker-waiting-for-answer"  # key of the naming that waits for a confirmation
_FROM, _TO, _WHO = "speaker-from", "speaker-to", "speaker-who"


def render(
    service: Service, entry: LibraryEntry, transcript: Transcript | None, *, place: str
) -> None:
    """Draw the speakers; nothing for an item without any.

    Results of the acts are shown at `place` (see `messages.flash`).
    """
    if transcript is None or not any(segment.speaker for segment in transcript.segments):
        return
    try:
        found = service.speakers.of(entry.item.id)
        source = _source(entry)
        offset_s = service.items.media_start_s(entry)
    except KBError as error:
        messages.error(error)
        return
    st.markdown(f"**{text('speakers_title')}**")
    st.caption(text("speakers_help"))
    _confirmation(entry.item.id, place)
    for number, speaker in enumerate(found[:MOST]):
        with st.container(border=True, key=f"speaker-{number}", gap="xsmall"):
            _speaker(entry.item.id, speaker, found, place)
            if not speaker.is_named:
                _excerpts(speaker.excerpts, source, offset_s)
            elif speaker.excerpts:
                with st.expander(text("speakers_excerpts"), key=f"speaker-heard-{number}"):
                    _excerpts(speaker.excerpts, source, offset_s)
    if len(found) > MOST:
        st.caption(plural_text("speakers_more", len(found) - MOST))
    with st.expander(text("speakers_assign"), key="speaker-assign"):
        _assignment(entry.item.id, found, place)


def _speaker(item_id: str, speaker: Speaker, found: list[Speaker], place: str) -> None:
    share = f"{messages.format_length(speaker.seconds)} · {format_number(100 * speaker.share)} %"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = f"speaker-name|{item_id}|{speaker.shown}"
        st.text_input(
            f"{messages.escape_markdown(speaker.shown)} · {share}",
            value=speaker.shown if speaker.is_named else "",
            placeholder=text("speakers_name"),
            max_chars=LONGEST_NAME,
            width=_FIELD_PX,
            key=key,
            on_change=_rename,
            args=(item_id, speaker, key, place),
        )
        others = [each.shown for each in found if each.shown != speaker.shown]
        if others:
            key = f"speaker-same|{item_id}|{speaker.shown}"
            st.selectbox(
                text("speakers_same"),
                others,
                index=None,
                placeholder=text("speakers_same_none"),
                width=_FIELD_PX,
                key=key,
                on_change=_merge,
                args=(item_id, speaker.shown, key, place),
            )

    if speaker.suggested:
        _suggestion(item_id, speaker, place)


def _suggestion(item_id: str, speaker: Speaker, place: str) -> None:
    """Draw the name that the voice suggests, to be confirmed or refused."""
    with st.container(horizontal=True, vertical_alignment="center"):
        name = messages.escape_markdown(speaker.suggested)
        share = format_number(100 * (speaker.similarity or 0.0))
        st.markdown(text("speakers_suggested", name=name, share=share), width="content")
        for answer, act in (("yes", _confirm), ("no", _refuse)):
            st.button(
                text(f"speakers_{answer}"),
                key=f"speaker-{answer}|{item_id}|{speaker.shown}",
                on_click=act,
                args=(item_id, speaker, place),
            )


def _excerpts(excerpts: tuple[Excerpt, ...], source: str, offset_s: float) -> None:
    """Draw excerpts; each has a player of its own that plays nothing else.

    Streamlit's own player takes no address of this page. A part of a medium is named as in the
    "Media Fragments URI" of the W3C, of which every browser knows the times.
    """
    rows = []
    for each in excerpts:
        start_s, end_s = each.start_s + offset_s, each.end_s + offset_s
        address = html.escape(f"{source}#t={start_s:.2f},{end_s:.2f}")
        label = html.escape(text("speakers_hear", start=format_timestamp(each.start_s)))
        sound = (
            f'<audio controls preload="none" src="{address}" aria-label="{label}"></audio>'
            if source
            else ""
        )
        said = html.escape(printable(each.text))
        time = format_timestamp(each.start_s)
        rows.append(f'<div class="kb-excerpt">{sound}<span><b>{time}</b> {said}</span></div>')
    st.html(_STYLE + "".join(rows))


_STYLE = """<style>
.kb-excerpt { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.75rem;
  margin-bottom: 0.5rem; }
.kb-excerpt audio { height: 2.25rem; width: 16rem; max-width: 100%; }
.kb-excerpt span { flex: 1 1 14rem; min-width: 0; overflow-wrap: anywhere; }
</style>"""


def _assignment(item_id: str, found: list[Speaker], place: str) -> None:
    st.caption(text("speakers_assign_help"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for label, example, key in (
            ("speakers_from", "1:05", _FROM), ("speakers_to", "1:12.5", _TO),
        ):  # fmt: skip
            st.text_input(text(label), placeholder=example, key=f"{key}|{item_id}", width=120)
        st.selectbox(
            text("speakers_who"),
            [each.shown for each in found],
            index=None,
            placeholder=text("speakers_found"),
            accept_new_options=True,
            key=f"{_WHO}|{item_id}",
        )
        st.button(
            text("speakers_assign_now"), key="speaker-assign-now",
            on_click=_assign, args=(item_id, place),
        )  # fmt: skip


def _source(entry: LibraryEntry) -> str:
    """Return the address of the medium, empty without one."""
    found = media_route.media_file(entry.item.id)
    return media_route.media_url(entry.item.id) if found else ""


# Acts


def _rename(item_id: str, speaker: Speaker, key: str, place: str) -> None:
    name = str(st.session_state.get(key) or "").strip()
    acts = session.service().speakers
    try:
        if name:
            acts.name(item_id, speaker.shown, name)
        elif speaker.is_named:
            acts.unname(item_id, speaker.shown)
        else:
            return
    except KBError as error:
        st.session_state.pop(key, None)
        messages.flash_error(place, error)
        return
    said = "speakers_named" if name else "speakers_unnamed"
    messages.flash(place, text(said, name=messages.escape_markdown(name or speaker.shown)))


def _confirm(item_id: str, speaker: Speaker, place: str) -> None:
    try:
        report = session.service().voices.confirm(item_id, speaker.shown)
    except KBError as error:
        messages.flash_error(place, error)
        return
    name = messages.escape_markdown(speaker.suggested)
    said = text("speakers_confirmed", name=name, count=Count(len(report.named)))
    if report.waiting:
        st.session_state[_WAITING] = (item_id, speaker.suggested, report)
    messages.flash(place, said)


def _confirmation(item_id: str, place: str) -> None:
    """Draw what naming the other recordings changes, to be done or left after a confirmation."""
    owner, name, report = st.session_state.get(_WAITING) or ("", "", None)
    if report is None or owner != item_id:
        return
    with st.container(border=True, key="speaker-waiting"):
        st.warning(
            text(
                "speakers_waiting",
                name=messages.escape_markdown(name),
                count=Count(report.waiting),
                published=Count(report.published),
                credits=format_number(report.credits, 2),
            )
        )
        with st.container(horizontal=True):
            for answer in ("yes", "no"):
                st.button(
                    text(f"speakers_waiting_{answer}"),
                    key=f"speaker-waiting-{answer}",
                    on_click=_answer,
                    args=(name, answer == "yes", place),
                )


def _answer(name: str, agreed: bool, place: str) -> None:
    st.session_state.pop(_WAITING, None)
    if not agreed:
        return
    try:
        report = session.service().voices.apply(name, sure=True)
    except KBError as error:
        messages.flash_error(place, error)
        return
    shown = messages.escape_markdown(name)
    messages.flash(place, text("speakers_applied", name=shown, count=Count(len(report.named))))


def _refuse(item_id: str, speaker: Speaker, place: str) -> None:
    try:
        session.service().voices.refuse(item_id, speaker.shown)
    except KBError as error:
        messages.flash_error(place, error)
        return
    name = messages.escape_markdown(speaker.suggested)
    messages.flash(place, text("speakers_refused", name=name))


def _merge(item_id: str, shown: str, key: str, place: str) -> None:
    into = st.session_state.get(key)
    st.session_state.pop(key, None)
    if not into:
        return
    try:
        session.service().speakers.merge(item_id, shown, into)
    except KBError as error:
        messages.flash_error(place, error)
        return
    messages.flash(
        place,
        text(
            "speakers_merged",
            name=messages.escape_markdown(shown),
            into=messages.escape_markdown(into),
        ),
    )


def _assign(item_id: str, place: str) -> None:
    state, keys = st.session_state, [f"{key}|{item_id}" for key in (_FROM, _TO, _WHO)]
    start, end, who = (str(state.get(key) or "") for key in keys)
    try:
        start_s, end_s = parse_time(start), parse_time(end)
        session.service().speakers.assign(item_id, start_s, end_s, who)
    except KBError as error:
        messages.flash_error(place, error)
        return
    for key in keys:
        state.pop(key, None)
    span = f"{format_timestamp(start_s)}–{format_timestamp(end_s)}"
    messages.flash(place, text("speakers_assigned", span=span))
