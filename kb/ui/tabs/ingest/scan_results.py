"""What a look has found: a card for each thing that was named, and one table of all media."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from kb.sources.listing.scan import Scan, ScannedItem
from kb.types import MediaItem
from kb.ui.i18n import counted, number, text
from kb.ui.tabs.ingest.scan_thread import Finding
from kb.ui.widgets import messages, row_selection

CARDS = 6  # more of them are counted only
ROWS_SHOWN = 8
_TABLE, _PICKED = "found_table", "found_picked"
_KINDS = ("video", "playlist", "channel", "handle", "user", "custom", "file", "web")


def cards(findings: Sequence[Finding]) -> None:
    """Draw what was named: what it is, as soon as that is known."""
    wrong = [finding for finding in findings if finding.error is not None]
    fine = [finding for finding in findings if finding.error is None]
    for finding in wrong[:CARDS]:
        _wrong(finding)
    if len(wrong) > CARDS:
        st.caption(counted("found_more_wrong", len(wrong) - CARDS))
    for finding in fine[:CARDS]:
        _card(finding)
    if len(fine) > CARDS:
        going = sum(not finding.done for finding in fine)
        st.caption(text("found_more", count=number(len(fine) - CARDS), going=number(going)))


def _wrong(finding: Finding) -> None:
    assert finding.error is not None
    message = f"{finding.reference}: {finding.error.message}"
    if finding.reference in finding.error.message:
        message = finding.error.message
    hint = finding.error.hint
    if finding.later:
        hint = f"{text('found_later')} {hint}".strip()
    messages.trouble(message, hint, severe=not finding.later)


def _card(finding: Finding) -> None:
    report = finding.report
    with st.container(border=True, key=f"found-{finding.reference}", horizontal=True,
                      vertical_alignment="center", gap="small"):  # fmt: skip
        if report is not None and report.picture:
            st.image(report.picture, width=56, alt=text("found_picture", title=report.title))
        with st.container(gap="xxsmall"):
            title = (report.title if report else "") or finding.reference
            kind = _kind(report.kind) if report else ""
            st.markdown(f"**{messages.plain(_short(title))}**" + (f" · {kind}" if kind else ""))
            st.markdown(_counts(finding))
            for note in report.notes if report else ():
                st.caption(messages.plain(note))


def _short(title: str) -> str:
    """Of an upload its name, and not where it lies."""
    parts = title.replace("\\", "/").rsplit("/", 2)
    return parts[-1] if len(parts) == 3 and "/uploads/" in title.replace("\\", "/") else title


def _kind(kind: str) -> str:
    return text(f"kind_{kind}") if kind in _KINDS else messages.plain(kind)


def _counts(finding: Finding) -> str:
    report = finding.report
    if finding.scan is None:
        if report is None:
            return text("found_opening")
        if report.reported:
            return text(
                "found_listing", listed=number(report.listed), all=number(report.reported)
            )  # fmt: skip
        return counted("found_listing_any", report.listed)
    scan = finding.scan
    parts = [counted("found_all", len(scan.items))]
    if report is not None and report.reported and report.reported != len(scan.items):
        parts = [text("found_of", count=number(len(scan.items)), all=number(report.reported))]
    for key, count in _standing(scan).items():
        if count:
            parts.append(counted(key, count))
    return " · ".join(parts)


def _standing(scan: Scan) -> dict[str, int]:
    kinds = [each.counts_as for each in scan.items]
    return {
        "found_new": kinds.count("new"),
        "found_known": kinds.count("known"),
        "found_failed": kinds.count("failed") + kinds.count("cancelled"),
        "found_gone": kinds.count("unavailable") + scan.report.unavailable,
    }


# The table


def table(findings: Sequence[Finding]) -> list[MediaItem] | None:
    """Draw all media that were found; returns those that are ticked, None if none is."""
    rows: dict[str, ScannedItem] = {}
    for finding in findings:
        for each in finding.scan.items if finding.scan else ():
            rows.setdefault(each.item.id, each)
    if not rows:
        return None
    ids = list(rows)
    drawn = row_selection.put_back(_TABLE, ids, st.session_state.get(_PICKED, ()))
    found = list(rows.values())
    column = st.column_config
    st.dataframe(
        {
            "title": [each.item.title for each in found],
            "state": [_state(each.state) for each in found],
            "length": [messages.length(each.item.duration_s) for each in found],
            "date": [each.item.published for each in found],
            "link": [each.item.url if each.item.url.startswith("http") else None for each in found],
        },
        hide_index=True,
        key=drawn,
        height=min(len(found), ROWS_SHOWN) * 35 + 38,
        on_select=partial(_chosen, drawn),
        selection_mode="multi-row",
        column_config={
            "title": column.TextColumn(text("found_column_title"), width="medium"),
            "state": column.TextColumn(text("found_column_state"), width="small"),
            "length": column.TextColumn(text("found_column_length"), width="small"),
            "date": column.TextColumn(text("found_column_date"), width="small"),
            "link": column.LinkColumn(
                text("found_column_link"), display_text=text("found_link"), width="small"
            ),
        },
        alt=text("found_alt"),
    )
    picked = set(st.session_state.get(_PICKED, ()))
    chosen = [each.item for each in found if each.item.id in picked]
    st.caption(counted("found_picked", len(chosen)) if chosen else text("found_help"))
    return chosen or None


def _state(name: str) -> str:
    if name in ("new", "upcoming", "live", "unavailable"):
        return text(f"found_state_{name}")
    return messages.state(name)


def _chosen(drawn: str) -> None:
    if drawn != row_selection.key(_TABLE):
        return  # a click in a table that has been drawn anew since
    st.session_state[_PICKED] = row_selection.ticked(_TABLE)


def forget() -> None:
    """Tick nothing: something else is looked at now."""
    st.session_state.pop(_PICKED, None)
