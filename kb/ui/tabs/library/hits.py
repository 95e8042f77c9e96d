"""The hits of a search: items by title, filters with counts, passages, quotes, and exports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import streamlit as st

from kb.errors import KBError
from kb.service import SearchResult
from kb.service.catalogue import ListFilter, ListRow
from kb.service.notation import SearchMode, links_to
from kb.service.quotes import STYLES, HitFormat, export_hits, places, quote_of
from kb.service.views import AUTOMATIC_CAPTIONS, HUMAN_CAPTIONS
from kb.types import Hit, UnknownWord
from kb.types.passages import ON_SCREEN, translated_language
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.i18n.error_messages import translate_error
from kb.ui.tabs.library import filters
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

MEANING, NO_VECTORS = "meaning", "meaning.no_vectors"  # a step, and the code of its lack
_FLASH = "hits"
_LIMIT, _LIMIT_OF = "search_limit", "search_limit_of"
_ORDER = "search_order"
_ORDERS = ("best", "newest", "oldest")
_PAGE_OF_HITS = 10  # the browser takes as long to draw ten more as the search itself takes
_MOST_EXPORTED = 1_000
_MOST_TITLES = 6
_TIERS = {HUMAN_CAPTIONS: "tier_people", AUTOMATIC_CAPTIONS: "tier_machine"}


def render(query: str, mode: SearchMode) -> None:
    """Draw the answers to a query."""
    limit = _result_limit(query, mode)
    service, chosen = session.service(), filters.chosen()
    try:
        rows = service.catalogue.by_id()
        titled = service.catalogue.titled(query, rows.values())
        with_words, early = _asked_at_once(query, mode, limit, filtered=bool(chosen))
        found = {*with_words, *(row.id for row in titled)}
        ids, counts = service.catalogue.counted(rows, chosen, found or None)
        only = ids if chosen and found else service.catalogue.allowed(chosen, rows)
        result = early or _found(query, mode, limit, only, rows)
    except KBError as error:
        messages.error(error)
        return
    filters.draw(counts, _first_again)
    _titles([row for row in titled if only is None or row.id in only])
    _meaning_note(result)
    if result.left_out:
        st.caption(plural_text("search_left_out", result.left_out))
    for unknown in result.unknown:
        _unknown_word(unknown, query)
    if not result.hits:
        _nothing(query, chosen, has_titles=bool(titled))
        return
    complete, some = result.complete, result.partial
    took = format_number(result.elapsed_ms)
    with st.container(horizontal=True, vertical_alignment="center", key="hits-head"):
        if complete:
            key = "search_found_first" if result.has_more and not some else "search_found"
            words = plural_text(key, len(complete), took=took)
            if (count := len(with_words & ids)) > 1:
                words += " · " + plural_text("search_items", count)
            st.caption(words, width="content")
        else:
            st.caption(text("search_found_none", took=took), width="content")
        _head_menus(query, mode, only)
    for place, hit in enumerate(complete):
        _search_hit(place, hit, rows.get(hit.item_id))
    if some:
        key = "search_near" if result.mode == "hybrid" else "search_partial"
        key += "_first" if result.has_more else ""
        st.markdown(f"**{plural_text(key, len(some))}**")
    for place, hit in enumerate(some, start=len(complete)):
        _search_hit(place, hit, rows.get(hit.item_id))
    if result.has_more:
        st.button(text("search_more"), key="search-more", on_click=_show_more, type="tertiary")


def _asked_at_once(
    query: str, mode: SearchMode, limit: int, *, filtered: bool
) -> tuple[frozenset[str], SearchResult | None]:
    """Return the items with all words and, where nothing but the query decides, the hits.

    The index answers both at the same time on two cores; with 10,000 items each takes a good part
    of the time that a person notices.
    """
    search = session.service().search
    if mode == "semantic":
        return frozenset(), None
    if filtered or (st.session_state.get(_ORDER) or _ORDERS[0]) != _ORDERS[0]:
        return search.items_with(query), None
    with ThreadPoolExecutor(1) as beside:
        items = beside.submit(search.items_with, query)
        hits = search.run(query, mode=mode, limit=limit)
        return items.result(), hits


def _found(
    query: str,
    mode: SearchMode,
    limit: int,
    only: Collection[str] | None,
    rows: Mapping[str, ListRow],
) -> SearchResult:
    """Return the hits in the chosen order; by date, the best thousand are put in order."""
    search = session.service().search
    order = st.session_state.get(_ORDER) or _ORDERS[0]
    if order == _ORDERS[0]:
        return search.run(query, mode=mode, limit=limit, ids=only)
    result = search.run(query, mode=mode, limit=_MOST_EXPORTED, ids=only, speakers=False)

    def published(hit: Hit) -> str:
        row = rows.get(hit.item_id)
        return row.entry.item.published if row else ""

    ordered = sorted(result.hits, key=published, reverse=order == "newest")
    # Those with all words stay before those with some.
    ordered.sort(key=lambda hit: hit in result.partial)
    more = result.has_more or len(ordered) > limit
    return result.with_hits(search.with_speakers(ordered[:limit]), has_more=more)


def _titles(found: list[ListRow]) -> None:
    """Draw the items whose title, channel, tags or note have the words."""
    if not found:
        return
    with st.container(border=True, key="titles", gap="xsmall"):
        st.markdown(f"**{plural_text('search_titles', len(found))}**")
        for row in found[:_MOST_TITLES]:
            about = " · ".join(
                part
                for part in (
                    row.entry.item.channel,
                    row.entry.item.published,
                    messages.format_length(row.entry.duration_s),
                )
                if part
            )
            st.button(
                f"**{messages.escape_markdown(row.entry.item.title)}**"
                f"  :gray[{messages.escape_markdown(about)}]",
                key=f"title-{row.id}",
                type="tertiary",
                on_click=session.open_item,
                args=(row.id,),
            )
        if len(found) > _MOST_TITLES:
            st.caption(text("search_titles_more", count=format_number(len(found) - _MOST_TITLES)))


def _head_menus(query: str, mode: SearchMode, only: Collection[str] | None) -> None:
    st.selectbox(
        text("search_order"),
        _ORDERS,
        format_func={each: text(f"search_order_{each}") for each in _ORDERS}.__getitem__,
        key=_ORDER,
        label_visibility="collapsed",
        width=170,
        persist_state="session",
    )
    with st.popover(text("hits_export"), width="content", key="hits-export"):
        st.caption(text("hits_export_help", count=format_number(_MOST_EXPORTED)))
        formats: tuple[HitFormat, ...] = ("csv", "md")
        for name in formats:
            st.download_button(
                text(f"hits_export_{name}"),
                partial(_exported, query, mode, only, name, session.link_base()),
                file_name=f"{text('hits_file')}.{name}",
                mime="text/csv" if name == "csv" else "text/markdown",
                on_click="ignore",
                key=f"hits-{name}",
            )


def _exported(
    query: str, mode: SearchMode, only: Collection[str] | None, name: HitFormat, base: str
) -> bytes:
    service = session.service()
    hits = service.search.run(query, mode=mode, limit=_MOST_EXPORTED, ids=only).hits
    entries = {
        entry.item.id: entry for entry in service.library.find_all({hit.item_id for hit in hits})
    }
    with links_to(base):
        written = export_hits(hits, entries, name, query)
    return written.encode("utf-8-sig" if name == "csv" else "utf-8")


def _nothing(query: str, chosen: ListFilter, *, has_titles: bool) -> None:
    words = text("search_none", query=messages.escape_markdown(query))
    hint = text("search_none_filtered") if chosen else text("search_none_hint")
    if not has_titles:
        st.info(f"{words}\n\n{hint}")
    last = query.split()[-1]
    if not chosen and last.isalnum():
        st.button(
            text("search_beginning", word=messages.escape_markdown(last)),
            key="search-beginning",
            on_click=_search_for,
            args=(f"{query}*",),
        )


def _first_again() -> None:
    st.session_state.pop(_LIMIT_OF, None)


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
        lacks = result.words_alone.code == NO_VECTORS
        st.caption(text("search_words_alone", reason=reason, hint="" if lacks else hint))
    else:
        lacks = False
    if result.without_meaning:
        st.caption(plural_text("search_without_meaning", result.without_meaning))
    messages.show_flash(_FLASH)
    if lacks or result.without_meaning:
        st.button(text("search_make_meaning"), key="search-make-meaning", on_click=_make_meaning)


def _make_meaning() -> None:
    """Queue the step that makes recordings searchable by meaning, for all that lack it."""
    service = session.service()
    try:
        report = service.enrichment.run(None, (MEANING,))
        service.audit.record("enrich", steps=[MEANING])
    except KBError as error:
        messages.flash_error(_FLASH, error)
        return
    if problem := report.lacking.get(MEANING):
        messages.flash_error(_FLASH, problem)
        return
    count = len(report.queued) + len(report.under_way)
    messages.flash(_FLASH, plural_text("search_meaning_queued", count))


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


def _search_hit(place: int, hit: Hit, row: ListRow | None) -> None:
    with st.container(border=True, key=f"hit-{place}", gap="xsmall"):
        # As few elements as possible: each costs the browser more than the server.
        about = _about(row) if row is not None else ""
        st.button(
            f"▶ **{format_timestamp(hit.at_s)}** · {messages.escape_markdown(hit.title)}"
            + (f"  :gray[· {about}]" if about else ""),
            key=f"open-{place}",
            type="tertiary",
            on_click=session.open_item,
            args=(hit.item_id, hit.at_s),
        )
        words = (
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
            words += f"\n\n:gray[:small[{text('search_missing', words=missing)}]]"
        st.markdown(words)
        all_places = places(hit)
        if len(all_places) < 2:
            _quote(place, hit, row)
            return
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"hit-chips-{place}"
        ):
            for one in all_places:
                st.button(
                    format_timestamp(one.at_s),
                    key=f"open-{place}-{int(one.at_s)}",
                    help=messages.escape_markdown(one.text),
                    on_click=session.open_item,
                    args=(hit.item_id, one.at_s),
                )
            _quote(place, hit, row)


def _about(row: ListRow) -> str:
    """Return channel, date and grade of the item of a hit."""
    item, parts = row.entry.item, []
    if item.channel:
        parts.append(messages.escape_markdown(item.channel))
    if item.published:
        parts.append(messages.escape_markdown(item.published))
    if row.entry.grade:
        parts.append(text("grade", grade=row.entry.grade))
    return " · ".join(parts)


def _quote(place: int, hit: Hit, row: ListRow | None) -> None:
    """Draw the menu with the quote of the hit in each form, to be copied."""
    menu = st.popover(
        text("quote"), type="tertiary", width="content", key=f"quote-{place}", on_change="rerun"
    )
    if not menu.open:
        return
    with menu:
        with links_to(session.link_base()):
            quote = quote_of(hit, row.entry if row else None)
        for style in STYLES:
            st.caption(text(f"quote_{style}"))
            st.code(quote.render(style), language=None, wrap_lines=True)


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
