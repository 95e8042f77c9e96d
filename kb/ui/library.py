"""The Library tab: search, the list of items, and one item when it is open."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError
from kb.library import LibraryEntry
from kb.service import ItemStatus
from kb.types import Hit
from kb.ui import item, session, show
from kb.ui.player import clock
from kb.ui.texts import counted, text

_TABLE = "items"
_SHOWN = "items_shown"


def render() -> None:
    """Draw the tab."""
    item_id, start_s = session.opened()
    query = _search_box()
    if item_id:
        item.render(item_id, start_s, query)
    elif query:
        _answers(query)
    else:
        _items()


def _search_box() -> str:
    words = st.text_input(
        text("search"),
        key="q",
        placeholder=text("search_placeholder"),
        label_visibility="collapsed",
        type="search",
        live=True,
        bind="query-params",
        on_change=session.close_item,
        persist_state="session",
    )
    return str(words or "").strip()


def _answers(query: str) -> None:
    try:
        result = session.service().search(query)
    except KBError as error:
        show.error(error)
        return
    if not result.hits:
        show_nothing = text("search_none", query=show.plain(query))
        st.info(f"{show_nothing}\n\n{text('search_none_hint')}")
        return
    st.caption(counted("search_found", len(result.hits), took=result.took_ms))
    for number, hit in enumerate(result.hits):
        _answer(number, hit)


def _answer(number: int, hit: Hit) -> None:
    with st.container(border=True, key=f"hit-{number}", gap="xsmall"):
        st.button(
            f"▶ **{clock(hit.at_s)}** · {show.plain(hit.title)}",
            key=f"open-{number}",
            type="tertiary",
            on_click=session.open_item,
            args=(hit.item_id, hit.at_s),
        )
        st.markdown(show.marked(hit.snippet))


def _items() -> None:
    service = session.service()
    try:
        listing = service.library.scan()
        states = {status.id: status for status in service.statuses()}
    except KBError as error:
        show.error(error)
        return
    for problem in listing.problems:
        show.trouble(problem.message, problem.hint, severe=False)
    if not listing.entries:
        _empty()
        return
    _totals(listing.entries, states)
    _table(listing.entries, states)


def _empty() -> None:
    with st.container(border=True):
        st.markdown(f"**{text('library_empty')}**  \n{text('library_empty_hint')}")
        st.button(
            text("go_ingest"), type="primary", on_click=session.go_to, args=("tab_ingest",),
            key="go-ingest",
        )  # fmt: skip


def _totals(entries: Sequence[LibraryEntry], states: dict[str, ItemStatus]) -> None:
    counts = [_state(entry, states) for entry in entries]
    figures = [
        ("items", f"{len(entries):,}"),
        ("hours", show.length(sum(entry.duration_s or 0.0 for entry in entries))),
        ("words", f"{sum(_words(entry) or 0 for entry in entries):,}"),
    ]
    figures += [(state, f"{counts.count(state):,}") for state in ("held", "failed")]
    with st.container(horizontal=True, key="figures-library"):
        for label, value in figures:
            st.metric(text(label), value, border=True, width="content")


def _table(entries: Sequence[LibraryEntry], states: dict[str, ItemStatus]) -> None:
    ids = [entry.item.id for entry in entries]
    # A selection is positions: they count in the list as it was drawn, not as it is by then.
    st.session_state[_SHOWN] = ids
    columns = {
        "title": [entry.item.title for entry in entries],
        "state": [show.state(_state(entry, states)) for entry in entries],
        "length": [show.length(entry.duration_s) for entry in entries],
        "words": [_words(entry) for entry in entries],
        "coverage": [_covered(entry) for entry in entries],
        "language": [str(entry.transcribed.get("language", "")) for entry in entries],
        "date": [entry.item.published for entry in entries],
    }
    column = st.column_config
    st.dataframe(
        columns,
        hide_index=True,
        key=_TABLE,
        on_select=_chosen,
        selection_mode=["single-row", "single-cell"],
        column_config={
            "title": column.TextColumn(text("column_title")),
            "state": column.TextColumn(text("column_state"), width="small"),
            "length": column.TextColumn(text("column_length"), width="small"),
            "words": column.NumberColumn(text("column_words"), format="localized", width="small"),
            "coverage": column.ProgressColumn(
                text("column_coverage"), format="percent", min_value=0.0, max_value=1.0
            ),
            "language": column.TextColumn(text("column_language"), width="small"),
            "date": column.TextColumn(text("column_date"), width="small"),
        },
        alt=text("items_alt"),
    )
    st.caption(text("items_help"))


def _chosen() -> None:
    selection = st.session_state[_TABLE].selection
    rows = [*selection.rows, *(row for row, _ in selection.cells)]
    shown = st.session_state.get(_SHOWN, [])
    if rows and rows[0] < len(shown):
        session.open_item(shown[rows[0]])


def _state(entry: LibraryEntry, states: dict[str, ItemStatus]) -> str:
    """The queue's word; for what was laid into the folder by hand, the folder's."""
    status = states.get(entry.item.id)
    return status.state if status else item.state_in_folder(entry)


def _words(entry: LibraryEntry) -> int | None:
    words = entry.transcribed.get("words")
    return words if isinstance(words, int) else None


def _covered(entry: LibraryEntry) -> float | None:
    coverage = entry.transcribed.get("coverage")
    ratio = coverage.get("ratio") if isinstance(coverage, dict) else None
    return float(ratio) if isinstance(ratio, int | float) else None
