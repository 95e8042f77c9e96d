"""The Library tab: search, the list of items, and one item when it is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import streamlit as st

from kb.errors import KBError, restored
from kb.service import STATES, SearchResult
from kb.service.notation import SearchMode
from kb.service.views import AUTOMATIC_CAPTIONS, HUMAN_CAPTIONS, LibraryEntry
from kb.types import Hit, UnknownWord
from kb.types.passages import ON_SCREEN, translated_language
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.i18n.error_messages import translate_error
from kb.ui.tabs.library import exports, item, removal
from kb.ui.widgets import messages, row_selection
from kb.ui.widgets.player import format_timestamp
from kb.ui.widgets.tables import guarded_table

_TABLE, _ONLY, _MODE = "items", "library_only", "search_mode"
_LIMIT, _LIMIT_OF = "search_limit", "search_limit_of"
_PAGE_OF_HITS = 20
_MODES: tuple[SearchMode, ...] = ("hybrid", "keyword", "semantic")
_ALL = "all"
_TIERS = {HUMAN_CAPTIONS: "tier_people", AUTOMATIC_CAPTIONS: "tier_machine"}


def render() -> None:
    """Draw the tab."""
    item_id, start_s = session.current_item()
    query, mode = _search_box()
    if not item_id:
        removal.show_removed()
    if item_id:
        item.render(item_id, start_s, query)
    elif query:
        _search_results(query, mode)
    else:
        _items()


def _search_box() -> tuple[str, SearchMode]:
    # Where a search by meaning cannot be carried out there is one mode, and its results say why.
    modes = _MODES if session.service().search.meaning_problem() is None else _MODES[:1]
    with st.container(horizontal=True, vertical_alignment="bottom", key="search"):
        words = st.text_input(
            text("search"),
            key="q",
            placeholder=text("search_placeholder"),
            label_visibility="collapsed",
            type="search",
            live="150ms",
            bind="query-params",
            on_change=session.close_item,
            persist_state="session",
        )
        mode = modes[0]
        if len(modes) > 1:
            mode = st.segmented_control(
                text("search_mode"),
                modes,
                default=modes[0],
                required=True,
                format_func=lambda name: text(f"search_{name}"),
                key=_MODE,
                label_visibility="collapsed",
                persist_state="session",
            )
    return str(words or "").strip(), mode or modes[0]


def _search_results(query: str, mode: SearchMode) -> None:
    limit = _result_limit(query, mode)
    try:
        result = session.service().search.run(query, mode=mode, limit=limit)
    except KBError as error:
        messages.error(error)
        return
    _meaning_note(result)
    if result.left_out:
        st.caption(plural_text("search_left_out", result.left_out))
    for unknown in result.unknown:
        _unknown_word(unknown, query)
    if not result.hits:
        show_nothing = text("search_none", query=messages.escape_markdown(query))
        st.info(f"{show_nothing}\n\n{text('search_none_hint')}")
        return
    complete, partial = result.complete, result.partial
    took = format_number(result.elapsed_ms)
    if complete:
        key = "search_found_first" if result.has_more and not partial else "search_found"
        st.caption(plural_text(key, len(complete), took=took))
    else:
        st.caption(text("search_found_none", took=took))
    for place, hit in enumerate(complete):
        _search_hit(place, hit)
    if partial:
        key = "search_near" if result.mode == "hybrid" else "search_partial"
        key += "_first" if result.has_more else ""
        st.markdown(f"**{plural_text(key, len(partial))}**")
    for place, hit in enumerate(partial, start=len(complete)):
        _search_hit(place, hit)
    if result.has_more:
        st.button(text("search_more"), key="search-more", on_click=_show_more, type="tertiary")


def _result_limit(query: str, mode: SearchMode) -> int:
    """Return the number of passages to show; another query begins with the first ones again."""
    if st.session_state.get(_LIMIT_OF) != (query, mode):
        st.session_state[_LIMIT_OF] = (query, mode)
        st.session_state[_LIMIT] = _PAGE_OF_HITS
    return int(st.session_state[_LIMIT])


def _show_more() -> None:
    st.session_state[_LIMIT] += _PAGE_OF_HITS


def _meaning_note(result: SearchResult) -> None:
    """Say where passages were searched by their words alone."""
    if result.words_alone is not None:
        reason, hint = map(messages.escape_markdown, translate_error(result.words_alone))
        st.caption(text("search_words_alone", reason=reason, hint=hint))
    if result.without_meaning:
        st.caption(plural_text("search_without_meaning", result.without_meaning))


def _unknown_word(unknown: UnknownWord, query: str) -> None:
    """Draw a word that no passage has, with a button for each similar word."""
    with st.container(horizontal=True, vertical_alignment="center"):
        key = "search_unknown" if unknown.similar else "search_unknown_alone"
        st.markdown(text(key, word=messages.escape_markdown(unknown.word)))
        for word in unknown.similar:
            st.button(
                messages.escape_markdown(word),
                key=f"similar-{unknown.word}-{word}",
                on_click=_search_for,
                args=(query.replace(unknown.word, word),),
            )


def _search_for(query: str) -> None:
    st.session_state["q"] = query
    session.close_item()


def _search_hit(place: int, hit: Hit) -> None:
    with st.container(border=True, key=f"hit-{place}", gap="xsmall"):
        st.button(
            f"▶ **{format_timestamp(hit.at_s)}** · {messages.escape_markdown(hit.title)}",
            key=f"open-{place}",
            type="tertiary",
            on_click=session.open_item,
            args=(hit.item_id, hit.at_s),
        )
        st.markdown(
            _screen_badge(hit)
            + _meaning_badge(hit)
            + _recurring_badge(hit)
            + _tier_badge(hit)
            + _unsure_badge(hit)
            + _speaker(hit)
            + messages.highlight_markdown(hit.snippet)
        )
        if hit.missing:
            missing = " ".join(f"~~{messages.escape_markdown(word)}~~" for word in hit.missing)
            st.caption(text("search_missing", words=missing))
        places = {int(one.at_s): one for one in reversed(hit.occurrences)}
        if len(places) > 1:
            with st.container(horizontal=True, gap="small"):
                for second, one in sorted(places.items()):
                    st.button(
                        format_timestamp(one.at_s),
                        key=f"open-{place}-{second}",
                        type="tertiary",
                        help=messages.escape_markdown(one.text),
                        on_click=session.open_item,
                        args=(hit.item_id, one.at_s),
                    )


def _tier_badge(hit: Hit) -> str:
    """Return a badge for captions that are shown before a transcript exists."""
    if not hit.tier:
        return ""
    known = _TIERS.get(hit.tier)
    return f":orange-badge[{text(known) if known else messages.escape_markdown(hit.tier)}] "


def _speaker(hit: Hit) -> str:
    return f"**{messages.escape_markdown(hit.speaker)}:** " if hit.speaker else ""


def _screen_badge(hit: Hit) -> str:
    """Return a badge for text that is on the screen, not spoken."""
    if language := translated_language(hit.origin):
        return f":blue-badge[{text('search_translation', language=language)}] "
    return f":blue-badge[{text('search_on_screen')}] " if hit.origin == ON_SCREEN else ""


def _meaning_badge(hit: Hit) -> str:
    """Return a badge where none of the words occurs."""
    return f":violet-badge[{text('search_by_meaning')}] " if hit.by_meaning else ""


def _recurring_badge(hit: Hit) -> str:
    """Return a badge for what recurs in its channel, as an intro does."""
    return f":gray-badge[{text('search_recurring')}] " if hit.recurring else ""


def _unsure_badge(hit: Hit) -> str:
    """Return a badge where many words around the words found are likely wrong."""
    if hit.expected_errors is None:
        return ""
    said = messages.likely_wrong(hit.expected_errors)
    return f":orange-badge[{messages.escape_markdown(said)}] "


def _items() -> None:
    try:
        listing = session.library_listing()
        # The queue's state is shown for unfinished items; the folder has the state of finished
        # ones.
        states = session.service().queue.unfinished()
    except KBError as error:
        messages.error(error)
        return
    for problem in listing.problems:
        messages.error(restored(problem.message, problem.hint, problem.problem), severe=False)
    if not listing.entries:
        _empty()
        return
    found = [(entry, states.get(entry.item.id) or item.state_from_files(entry))
             for entry in listing.entries]  # fmt: skip
    counts = Counter(state for _, state in found)
    _totals(listing.entries, counts)
    only = _select_state(counts)
    _table([(entry, state) for entry, state in found if only in (_ALL, state)])


def _empty() -> None:
    with st.container(border=True):
        st.markdown(f"**{text('library_empty')}**  \n{text('library_empty_hint')}")
        st.button(
            text("go_ingest"), type="primary", on_click=session.go_to, args=("tab_add",),
            key="go-ingest",
        )  # fmt: skip


def _totals(entries: Sequence[LibraryEntry], counts: Counter[str]) -> None:
    figures = [
        ("items", format_number(len(entries))),
        ("hours", messages.format_length(sum(entry.duration_s or 0.0 for entry in entries))),
        ("words", format_number(sum(entry.word_count or 0 for entry in entries))),
    ]
    figures += [(state, format_number(counts[state])) for state in ("held", "failed")]
    with st.container(horizontal=True, key="figures-library"):
        for label, value in figures:
            st.metric(text(label), value, border=True, width="content")


def _select_state(counts: Counter[str]) -> str:
    present = [state for state in STATES if counts[state]]
    if len(present) < 2:
        return _ALL
    labels = {_ALL: text("show_all")}
    labels |= {
        state: f"{messages.state(state)} ({format_number(counts[state])})" for state in present
    }
    if st.session_state.get(_ONLY) not in labels:
        st.session_state.pop(_ONLY, None)  # the last item of that state has another state now
    chosen = st.segmented_control(
        text("show_only"),
        list(labels),
        default=_ALL,
        required=True,
        format_func=labels.__getitem__,
        key=_ONLY,
        label_visibility="collapsed",
        persist_state="session",
    )
    return str(chosen or _ALL)


def _table(found: Sequence[tuple[LibraryEntry, str]]) -> None:
    entries = [entry for entry, _ in found]
    # With a constant key, a table with other rows would ignore a click or open another item.
    table_key = row_selection.key_for_rows(_TABLE, [entry.item.id for entry in entries])
    columns: dict[str, list[object]] = {
        "title": [entry.item.title for entry in entries],
        "state": [messages.state(state) for _, state in found],
        "grade": [entry.grade for entry in entries],
        "coverage": [_coverage_ratio(entry) for entry in entries],
        "errors": [_percent(entry.expected_errors) for entry in entries],
        "length": [messages.format_length(entry.duration_s) for entry in entries],
        "words": [entry.word_count for entry in entries],
        "channel": [entry.item.channel for entry in entries],
        "language": [str(entry.transcribed.get("language", "")) for entry in entries],
        "date": [entry.item.published for entry in entries],
    }
    if not any(columns["channel"]):
        del columns["channel"]
    if all(share is None for share in columns["errors"]):
        del columns["errors"]
    column = st.column_config
    guarded_table(
        columns,
        key=table_key,
        on_select=partial(_on_select, table_key),
        selection_mode=["multi-row", "single-cell"],
        height=min(38 + 35 * max(1, len(entries)), 640),
        column_config={
            "title": column.TextColumn(text("column_title"), width=260),
            "state": column.TextColumn(text("column_state"), width="small"),
            "grade": column.TextColumn(text("column_grade"), width="small"),
            "length": column.TextColumn(text("column_length"), width="small"),
            "words": column.NumberColumn(text("column_words"), format="localized", width="small"),
            "coverage": column.ProgressColumn(
                text("column_coverage"), format="percent", min_value=0.0, max_value=1.0
            ),
            "errors": column.NumberColumn(
                text("column_errors"),
                format="%d %%",
                width="small",
                help=text("column_errors_help"),
            ),
            "channel": column.TextColumn(text("column_channel")),
            "language": column.TextColumn(text("column_language"), width="small"),
            "date": column.TextColumn(text("column_date"), width="small"),
        },
        alt=text("items_alt"),
    )
    st.caption(text("items_help"))
    exports.zip_menu(entries, row_selection.selected_ids(_TABLE))


def _on_select(table_key: str) -> None:
    if table_key != row_selection.key(_TABLE):
        return  # a click in a table that has been redrawn meanwhile
    selection = st.session_state[table_key].selection
    rows = [row for row, _ in selection.cells]
    shown = row_selection.row_ids(_TABLE)
    if rows and rows[0] < len(shown):
        session.open_item(shown[rows[0]])


def _percent(share: float | None) -> int | None:
    return None if share is None else round(100 * share)


def _coverage_ratio(entry: LibraryEntry) -> float | None:
    coverage = entry.transcribed.get("coverage")
    ratio = coverage.get("ratio") if isinstance(coverage, dict) else None
    return float(ratio) if isinstance(ratio, int | float) else None
