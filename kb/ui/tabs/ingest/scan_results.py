"""Results of a scan: a card for each reference, and one list of all media."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st

from kb.service.views import Scan, ScannedItem
from kb.types import MediaItem
from kb.types.safe_text import web_address
from kb.ui.i18n import error_messages, format_number, has_text, plural_text, text
from kb.ui.tabs.ingest.scan_thread import ScanResult, would_ingest
from kb.ui.widgets import messages
from kb.ui.widgets.rows import Cell, Column, Row, RowList, Tone

CARDS = 6  # further ones are only counted
ROWS_SHOWN = 8
_TONES: dict[str, Tone] = {"new": "live", "failed": "bad", "held": "warn", "done": "good"}


def cards(results: Sequence[ScanResult]) -> None:
    """Draw the references that were entered, each with its scan as soon as there is a result."""
    wrong = [finding for finding in results if finding.error is not None]
    fine = [finding for finding in results if finding.error is None]
    for finding in wrong[:CARDS]:
        _error_card(finding)
    if len(wrong) > CARDS:
        st.caption(plural_text("found_more_wrong", len(wrong) - CARDS))
    for finding in fine[:CARDS]:
        _card(finding)
    if len(fine) > CARDS:
        going = sum(not finding.done for finding in fine)
        st.caption(
            text("found_more", count=format_number(len(fine) - CARDS), going=format_number(going))
        )


def _error_card(result: ScanResult) -> None:
    assert result.error is not None
    message, hint = error_messages.translate_error(result.error)
    if result.reference not in message:
        message = f"{result.reference}: {message}"
    if result.temporary:
        hint = f"{text('found_later')} {hint}".strip()
    messages.show_error(message, hint, severe=not result.temporary)


def _card(result: ScanResult) -> None:
    report = result.report
    with st.container(border=True, key=f"found-{result.reference}", horizontal=True,
                      vertical_alignment="center", gap="small"):  # fmt: skip
        if report is not None and report.picture:
            st.image(report.picture, width=56, alt=text("found_picture", title=report.title))
        with st.container(gap="xxsmall"):
            title = (report.title if report else "") or result.reference
            kind = _kind(report.kind) if report else ""
            st.markdown(
                f"**{messages.escape_markdown(_short_title(title))}**"
                + (f" · {kind}" if kind else "")
            )
            st.markdown(_counts(result))
            for remark in report.remarks if report else ():
                note = " ".join(error_messages.translate_error(remark)).rstrip()
                st.caption(messages.escape_markdown(note))


def _short_title(title: str) -> str:
    """Return the name of an upload without its folder; other references are not changed."""
    parts = title.replace("\\", "/").rsplit("/", 2)
    return parts[-1] if len(parts) == 3 and "/uploads/" in title.replace("\\", "/") else title


def _kind(kind: str) -> str:
    key = f"kind_{kind}"
    return text(key) if has_text(key) else messages.escape_markdown(kind)


def _counts(result: ScanResult) -> str:
    report = result.report
    if result.scan is None:
        if report is None:
            return text("found_opening")
        if report.reported:
            return text(
                "found_listing",
                listed=format_number(report.listed),
                all=format_number(report.reported),
            )  # fmt: skip
        return plural_text("found_listing_any", report.listed)
    scan = result.scan
    parts = [plural_text("found_all", len(scan.items))]
    if report is not None and report.reported and report.reported != len(scan.items):
        parts = [
            text(
                "found_of", count=format_number(len(scan.items)), all=format_number(report.reported)
            )
        ]
    for key, count in _state_counts(scan).items():
        if count:
            parts.append(plural_text(key, count))
    return " · ".join(parts)


def _state_counts(scan: Scan) -> dict[str, int]:
    kinds = [each.category for each in scan.items]
    return {
        "found_new": kinds.count("new"),
        "found_known": kinds.count("known"),
        "found_failed": kinds.count("failed") + kinds.count("cancelled"),
        "found_gone": kinds.count("unavailable") + scan.report.unavailable,
    }


# List


def found_list() -> RowList:
    """Return the list of the media that were found, with what is selected in it."""
    return RowList("found")


def table(results: Sequence[ScanResult], *, again: bool = False) -> list[MediaItem] | None:
    """Draw all media that were found; return the selected ones, None if none is selected.

    Of the selected ones those are returned that would be queued; `again`: also if they are in the
    library.
    """
    rows: dict[str, ScannedItem] = {}
    for finding in results:
        for each in finding.scan.items if finding.scan else ():
            rows.setdefault(each.item.id, each)
    if not rows:
        return None
    found = list(rows.values())
    shown = found_list()
    window = found[shown.offset : shown.offset + shown.limit]
    if not window:
        shown.to_top()
        window = found[: shown.limit]
    columns = [each for each in _columns() if each.name != "link" or _has_links(window)]
    shown.draw(
        columns, [_row(each) for each in window], len(found), label=text("found_alt"),
        shown=ROWS_SHOWN,
    )  # fmt: skip
    selected = set(shown.selected)
    chosen = [each for each in found if each.item.id in selected]
    taken = [each.item for each in chosen or found if would_ingest(each, again=again)]
    st.caption(_help(len(chosen), len(taken), again=again))
    return taken if chosen else None


def _help(chosen: int, taken: int, *, again: bool) -> str:
    """Return what will be ingested, and how what is in the library is transcribed once more."""
    more = text("found_help_more", option=text("option_again"))
    if not taken:
        return f"{text('found_help_known')} {more}"
    if not chosen:
        return text("found_help_again" if again else "found_help")
    said = plural_text("found_picked", taken)
    if taken == chosen:
        return said
    return f"{said} {plural_text('found_picked_known', chosen - taken)} {more}"


def _has_links(found: Sequence[ScannedItem]) -> bool:
    return any(web_address(each.item.url) for each in found)


def _columns() -> list[Column]:
    return [
        Column("title", text("found_column_title"), "minmax(10rem, 4fr)"),
        Column("state", text("found_column_state"), "minmax(6rem, 1.2fr)"),
        Column("date", text("found_column_date"), "6.5rem", minor=True),
        Column("length", text("found_column_length"), "4.5rem", end=True),
        Column("link", text("found_column_link"), "5rem", minor=True),
    ]


def _row(each: ScannedItem) -> Row:
    item = each.item
    cells: dict[str, str | Cell] = {
        "title": item.title,
        "state": Cell(_state(each.state), _TONES.get(each.state, "quiet")),
        "date": item.published,
        "length": messages.format_length(item.duration_s),
        "link": Cell(text("found_link"), link=item.url) if web_address(item.url) else "",
    }
    return Row(item.id, cells, picture=_picture(item), opens=False)


def _picture(item: MediaItem) -> str:
    """Return the address of the item's small picture at its site; "" where none is known."""
    if item.source == "youtube":
        return f"https://i.ytimg.com/vi/{quote(item.id.partition(':')[2])}/mqdefault.jpg"
    return web_address(str(item.extra.get("thumbnail") or "")) or ""


def _state(name: str) -> str:
    if name in ("new", "upcoming", "live", "unavailable"):
        return text(f"found_state_{name}")
    return messages.state(name)


def clear_selection() -> None:
    """Clear the selection, because other references are scanned now."""
    shown = found_list()
    shown.select(())
    shown.to_top()
