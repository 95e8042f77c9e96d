"""The Library tab: search, the list of items with its filters, and one item when it is open."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError, restored
from kb.service.catalogue import ListFilter, ListPage, ListRow, Sort
from kb.service.notation import SearchMode
from kb.service.views import may_have_still
from kb.ui import session
from kb.ui.i18n import format_number, language_text, plural_text, text
from kb.ui.tabs.library import bulk, channel, filters, hits, removal, searches
from kb.ui.web import preview_route
from kb.ui.widgets import messages
from kb.ui.widgets.rows import Cell, Column, Row, RowList, Tone

REFRESH_S = 5
_LIST, _PAGE = "library", "library_page"
_MODE = "search_mode"
_MODES: tuple[SearchMode, ...] = ("hybrid", "keyword", "semantic")
_TONES: dict[str, Tone] = {"held": "warn", "failed": "bad", "running": "live"}
_GRADES: dict[str, Tone] = {"A": "good", "C": "warn"}


def render() -> None:
    """Draw the tab."""
    item_id, start_s = session.current_item()
    query, mode = _search_box()
    if not item_id:
        removal.show_removed()
        searches.notice()
    if item_id:
        from kb.ui.tabs.library import item  # with all steps, which the list does not need

        item.render(item_id, start_s, query)
    elif query:
        hits.render(query, mode)
    elif channel_name := session.current_channel():
        channel.render(channel_name)
    else:
        _items()


def _search_box() -> tuple[str, SearchMode]:
    # Where a search by meaning cannot be carried out there is one mode, and its results say why.
    modes = _MODES if session.service().meaning_problem() is None else _MODES[:1]
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
        query, chosen = str(words or "").strip(), mode or modes[0]
        searches.menu(query, chosen, _MODE if len(modes) > 1 else "")
    return query, chosen


def _items() -> None:
    st.fragment(_list, run_every=REFRESH_S)()


def _list() -> None:
    """Draw filters, figures, the acts on selected rows, and the rows.

    It is drawn again while the page is open: the queue and other programs add items.
    """
    if session.redraw_requested():
        st.rerun()
    shown = RowList(_LIST)
    sort, reverse = filters.order()
    try:
        listing = session.library_listing()
        page = _page(filters.chosen(), sort, reverse)
    except KBError as error:
        messages.error(error)
        return
    for problem in listing.problems:
        messages.error(restored(problem.message, problem.hint, problem.problem), severe=False)
    if not listing.entries:
        _empty()
        return
    filters.draw(page.counts, shown.to_top)
    messages.show_flash(bulk.PLACE)
    if not page.total:
        st.info(text("list_nothing"))
        return
    bulk.bar(shown, page.rows, _figures(page))
    rows = page.rows[shown.offset : shown.offset + shown.limit]
    shown.draw(
        _columns(page),
        [_row(row) for row in rows],
        page.total,
        label=text("items_alt"),
        menu={
            "open": text("list_open"),
            "channel": text("channel_open"),
            "remove": text("remove"),
        },
        on_act=_on_act,
        on_sort=_on_sort,
        sorted_by=sort,
        descending=_is_descending(sort, reverse),
    )


def _page(chosen: ListFilter, sort: Sort, reverse: bool) -> ListPage:
    """Return the list; the one of before while neither the items nor the choices have changed."""
    catalogue = session.service().catalogue
    rows = catalogue.rows()
    asked = (chosen, sort, reverse)
    before: tuple[object, object, ListPage] | None = st.session_state.get(_PAGE)
    if before is not None and before[0] is rows and before[1] == asked:
        return before[2]
    page = catalogue.page(chosen, sort=sort, reverse=reverse, rows=rows)
    st.session_state[_PAGE] = (rows, asked, page)
    return page


def _on_act(name: str, ids: list[str]) -> None:
    if not ids:
        return
    if name == "open":
        session.open_item(ids[0])
    elif name == "channel":
        session.open_channel(session.service().items.entry(ids[0]).item.channel)
    else:
        RowList(_LIST).select(ids)
    session.redraw()


def _on_sort(column: str) -> None:
    filters.sort_by(column)
    RowList(_LIST).to_top()


def _is_descending(sort: str, reverse: bool) -> bool:
    return (sort in filters.DESCENDING) != reverse


def _columns(page: ListPage) -> list[Column]:
    counts = page.counts
    columns = [Column("title", text("column_title"), "minmax(12rem, 3fr)", sort=True)]
    if counts["channel"]:
        columns.append(Column("channel", text("column_channel"), "minmax(6rem, 1fr)", sort=True))
    columns += [
        Column("published", text("column_date"), "6.5rem", sort=True),
        Column("length", text("column_length"), "5rem", sort=True, end=True),
    ]
    if len(counts["language"]) > 1:
        columns.append(Column("language", text("column_language"), "6.5rem", minor=True))
    columns.append(Column("grade", text("column_grade"), "4.2rem", sort=True))
    if any(row.entry.expected_errors is not None for row in page.rows):
        columns.append(Column("errors", text("column_errors"), "6.5rem", sort=True, end=True,
                              minor=True))  # fmt: skip
    columns.append(Column("doubtful", text("column_doubtful"), "6.5rem", sort=True, end=True,
                          minor=True))  # fmt: skip
    if counts["tag"]:
        columns.append(Column("tags", text("column_tags"), "minmax(5rem, 1fr)", minor=True))
    columns.append(Column("state", text("column_state"), "minmax(6rem, 1fr)"))
    return columns


def _row(row: ListRow) -> Row:
    entry, language = row.entry, next(iter(row.facets["language"]), "")
    wrong = entry.expected_errors
    doubts = f"{format_number(row.doubtful_s)} s" if row.doubtful_s >= 1 else ""
    cells: dict[str, str | Cell] = {
        "title": entry.item.title,
        "channel": entry.item.channel,
        "published": entry.item.published,
        "length": messages.format_length(entry.duration_s),
        "language": language_text(language) if language else "",
        "grade": Cell(
            entry.grade,
            _GRADES.get(entry.grade, ""),
            "" if wrong is None else messages.likely_wrong(wrong),
        ),
        "errors": "" if wrong is None else messages.format_share(wrong),
        "doubtful": Cell(doubts, "warn" if "to_review" in row.facets["review"] else "quiet"),
        "tags": ", ".join(entry.user_tags),
        "state": Cell(_state(row), _TONES.get(row.state, "quiet")),
    }
    menu = ("open", "channel", "remove") if entry.item.channel else ("open", "remove")
    picture = preview_route.preview_url(entry, "still") if may_have_still(entry) else ""
    return Row(row.id, cells, _TONES.get(row.state, ""), menu=menu, picture=picture)


def _state(row: ListRow) -> str:
    """Return the state in words, and where the item is published."""
    words = messages.state(row.state)
    if "accepted" in row.facets["review"]:
        words += f" · {text('review_accepted')}"
    return words if row.sent == "not_sent" else f"{words} · {text(f'sent_{row.sent}')}"


def _empty() -> None:
    with st.container(border=True):
        st.markdown(f"**{text('library_empty')}**  \n{text('library_empty_hint')}")
        st.button(
            text("go_ingest"), type="primary", on_click=session.go_to, args=("tab_add",),
            key="go-ingest",
        )  # fmt: skip


def _figures(page: ListPage) -> str:
    """Return number, length and words of the listed items, as Markdown."""
    parts = [
        plural_text("list_count", page.total),
        messages.format_timedelta(page.seconds),
        plural_text("list_words", page.counted_words),
    ]
    return f":gray[{' · '.join(parts)}]"
