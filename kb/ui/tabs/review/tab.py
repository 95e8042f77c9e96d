"""The Review tab: one doubtful passage after the other, and the list of all that wait."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError, LibraryError
from kb.service.confidence import mean_confidence
from kb.service.review_inbox import Cursor, Decision, InboxPlace
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.i18n.error_messages import flag_label
from kb.ui.tabs.review import waiting
from kb.ui.web import media_route
from kb.ui.widgets import messages
from kb.ui.widgets.passage import PassageDecision, PassageState, parse_decision, passage
from kb.ui.widgets.player import format_timestamp

REFRESH_S = 5  # the queue and other people add items and decide them
PLACE = "review"  # of the results of decisions
_CARD = "review_passage"
_HERE, _BEFORE, _TURN = "review_here", "review_before", "review_turn"
_LAST = "review_last"  # revision of the decision that was carried out last
_NO_WORDS = "no words"
_GRADE_COLORS = {"A": "green", "B": "blue", "C": "orange"}


def render() -> None:
    """Draw the tab."""
    st.fragment(_inbox, run_every=REFRESH_S)()


def _inbox() -> None:
    if session.redraw_requested():
        st.rerun()
    inbox = session.service().inbox
    try:
        size = inbox.size()
        place = _place()
    except KBError as error:
        messages.error(error)
        return
    messages.show_flash(PLACE)
    if not size.items:
        st.info(f"{text('review_empty')}\n\n{text('review_empty_hint')}")
        return
    length = messages.format_length(size.seconds)
    st.markdown(f":gray[{plural_text('review_size', size.items, length=length)}]")
    if place is not None:
        _card(place)
    else:
        _end()
    waiting.draw(start_at)


def _place() -> InboxPlace | None:
    """Return the place that this visitor is at; the first one if that is gone."""
    inbox = session.service().inbox
    here = st.session_state.get(_HERE)
    if isinstance(here, Cursor):
        if here.start_s >= 0:
            place = inbox.at(here.item_id, here.start_s)
        else:
            place = inbox.first(here.item_id)
        if place is not None and not _is_over(place):
            return place
    found = inbox.next(_passed())
    _go(found)
    return found


def _is_over(place: InboxPlace) -> bool:
    """Return True if the item was accepted as a whole, here or elsewhere."""
    return place.entry.accepted and not (place.passage and place.passage.checked)


def _go(place: InboxPlace | None) -> None:
    """Make this the visitor's place, and forget where the last one was."""
    st.session_state[_HERE] = place.cursor if place else None


def _passed() -> Cursor | None:
    """Return the last place that this visitor has passed."""
    before = st.session_state.get(_BEFORE)
    return before[-1] if before else None


def _card(place: InboxPlace) -> None:
    entry, found = place.entry, place.passage
    with st.container(border=True, key=f"review-{entry.item.id}", gap="xsmall"):
        st.button(
            f"**{messages.escape_markdown(entry.item.title)}**",
            key=f"review-open-{entry.item.id}",
            type="tertiary",
            on_click=session.open_item,
            args=(entry.item.id, found.start_s if found else None),
        )
        st.markdown(" · ".join(_facts(place)))
        if found is None:
            if entry.error:
                messages.stored_error(entry, severe=False)
            st.markdown(text("review_whole"))
        else:
            st.markdown(_reasons(place))
        passage(_state(place), key=_CARD, on_decide=_on_decide)


def _facts(place: InboxPlace) -> list[str]:
    entry = place.entry
    facts = [messages.colored_state(entry.state)]
    if entry.grade:
        color = _GRADE_COLORS.get(entry.grade, "gray")
        facts.append(f":{color}-badge[{text('review_grade', grade=entry.grade)}]")
    if (mean := mean_confidence(place.transcript)) is not None:
        facts.append(text("review_confidence", share=format_number(100 * mean)))
    if entry.expected_errors is not None:
        facts.append(messages.escape_markdown(messages.likely_wrong(entry.expected_errors)))
    facts += [messages.escape_markdown(each)
              for each in (entry.item.channel, entry.item.published) if each]  # fmt: skip
    if place.count and place.passage is not None:
        facts.append(
            text("review_place", number=place.number, count=place.count, left=place.left)
        )  # fmt: skip
    return facts


def _reasons(place: InboxPlace) -> str:
    found = place.passage
    assert found is not None
    names = [flag_label("uncovered" if name == _NO_WORDS else name) for name in found.reasons]
    if found.share is not None:
        names.append(messages.likely_wrong(found.share))
    span = f"{format_timestamp(found.start_s)} – {format_timestamp(found.end_s)}"
    why = messages.escape_markdown(", ".join(dict.fromkeys(names)))
    done = f" · :green-badge[{text('review_accepted')}]" if found.checked else ""
    return f"**{span}** · {why}{done}"


def _state(place: InboxPlace) -> PassageState:
    entry, service = place.entry, session.service()
    try:
        medium = media_route.media_file(entry.item.id)
        offset_s = service.items.media_start_s(entry)
    except LibraryError as error:  # object storage is away: the words can be read
        medium, offset_s = None, 0.0
        messages.error(error, severe=False)
    return PassageState(
        item_id=entry.item.id,
        revision=f"{entry.item.id}|{place.cursor.start_s}|{st.session_state.get(_TURN, 0)}",
        title=entry.item.title,
        source=media_route.media_url(entry.item.id) if medium else "",
        has_video=medium is not None and not media_route.media_type(medium).startswith("audio/"),
        duration_s=place.transcript.media.duration_s,
        offset_s=offset_s,
        passage=place.passage,
        lines=place.lines,
        back=bool(st.session_state.get(_BEFORE)),
    )


def _end() -> None:
    """Say that all places were passed, and offer those that were skipped."""
    with st.container(border=True, key="review-end"):
        skipped = bool(st.session_state.get(_BEFORE))
        st.markdown(text("review_again" if skipped else "review_rest_queued"))
        if skipped:
            st.button(
                text("review_again_now"), key="review-again", type="primary", on_click=_start_again
            )


# Decisions


def _on_decide() -> None:
    decision = parse_decision(st.session_state[_CARD].decide)
    if decision is None:
        return
    # Streamlit may call this again for a value that it has delivered. A second correction would
    # be refused, and its error would stand in the place of the first one's result.
    if decision.revision and decision.revision == st.session_state.get(_LAST):
        return
    messages.clear_flash(PLACE)
    here = st.session_state.get(_HERE)
    before: list[Cursor] = st.session_state.setdefault(_BEFORE, [])
    if decision.kind == "back":
        if before:
            st.session_state[_HERE] = before.pop()
        _turn(decision.revision)
        return
    try:
        _carry_out(decision)
        if isinstance(here, Cursor):
            before.append(here)
        _go(session.service().inbox.next(_passed()))
    except KBError as error:
        messages.flash_error(PLACE, error)
        return
    _turn(decision.revision)


def _carry_out(decision: PassageDecision) -> None:
    inbox = session.service().inbox
    span = (decision.start_s, decision.end_s)
    done = Decision()
    if decision.kind == "accept":
        done = inbox.accept(decision.item_id, *span)
    elif decision.kind == "fix":
        done = inbox.fix(decision.item_id, *span, decision.edits, inserted=decision.inserted)
    elif decision.kind == "accept_all":
        done = inbox.accept_all(decision.item_id)
    if done.accepted:
        names = ", ".join(messages.published(name) for name in done.sinks)
        words = text("review_done_sent", names=names) if names else text("review_done")
        messages.flash(PLACE, words)


def _turn(done: str = "") -> None:
    """Let the card draw its words and play: a passage can be shown twice in a row.

    `done` is the revision of the decision that was carried out.
    """
    if done:
        st.session_state[_LAST] = done
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1


def _start_again() -> None:
    st.session_state[_BEFORE] = []
    st.session_state[_HERE] = None
    _turn()


def start_at(item_id: str) -> None:
    """Show the first passage of an item. For callbacks."""
    place = session.service().inbox.first(item_id)
    if place is not None:
        here = st.session_state.get(_HERE)
        if isinstance(here, Cursor):
            st.session_state.setdefault(_BEFORE, []).append(here)
        _go(place)
        _turn()
