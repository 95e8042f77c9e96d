"""Films, dubs and evidence packs of one item: ordered, made by a worker, downloaded when done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from kb.errors import KBError, UsageError
from kb.service import Service
from kb.service.notation import parse_time
from kb.service.products import KeptProduct, OrderedProduct
from kb.service.views import LibraryEntry
from kb.types import Transcript
from kb.types.safe_text import printable
from kb.ui import session
from kb.ui.i18n import has_text, language_text, text
from kb.ui.tabs.library.panels import dub_form
from kb.ui.tabs.library.panels.product_texts import kind_text, ordered_text, style_text
from kb.ui.tabs.library.panels.steps import SIGNS
from kb.ui.web import product_route
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

if TYPE_CHECKING:
    from kb.service.video import Order

KINDS = ("captions", "karaoke", "reel", "dub", "evidence")
REFRESH_S = 2.0  # while a product is under way
_ENDED = 3  # products that failed or were cancelled, the latest
_STRETCHED = ("reel", "evidence")
_STYLED = ("captions", "karaoke", "reel")


def render(
    service: Service, entry: LibraryEntry, transcript: Transcript | None, *, place: str
) -> None:
    """Draw the form, what is under way and what is there; nothing without a transcript."""
    if transcript is None or not transcript.segments:
        return
    st.markdown(f"**{text('produce_title')}**")
    _form(service, entry, place)
    try:
        busy = any(each.is_under_way for each in service.products.ordered(entry.item.id))
    except KBError as error:
        messages.error(error)
        return
    st.fragment(_states, run_every=REFRESH_S if busy else None)(entry)


def _form(service: Service, entry: LibraryEntry, place: str) -> None:
    from kb.service.video import STYLES

    item_id = entry.item.id
    with st.expander(text("produce_open"), key="produce"):
        # Made here: Streamlit also asks for labels where the visitor's language is not known.
        labels = {kind: kind_text(kind) for kind in KINDS}
        kind = st.selectbox(
            text("produce_kind"),
            KINDS,
            format_func=labels.__getitem__,
            key=f"produce-kind|{item_id}",
        )
        st.caption(text(f"produce_help_{kind}"))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            if kind in _STYLED:
                usual = "karaoke" if kind == "karaoke" else "plain"
                styles = {name: style_text(name) for name in STYLES}
                st.selectbox(
                    text("produce_style"), STYLES, index=STYLES.index(usual),
                    key=f"produce-style-{kind}|{item_id}", width=180,
                    format_func=styles.__getitem__,
                )  # fmt: skip
            if kind in _STRETCHED:
                for name, example in (("from", "1:05"), ("to", "1:20")):
                    st.text_input(
                        text(f"produce_{name}"), placeholder=example,
                        key=f"produce-{name}|{item_id}", width=120,
                    )  # fmt: skip
            if kind == "reel":
                st.number_input(
                    text("produce_length"), min_value=0, max_value=3600, value=60, step=10,
                    key=f"produce-length|{item_id}", width=180,
                )  # fmt: skip
        can_order = dub_form.render(service, entry, place) if kind == "dub" else True
        if kind == "evidence":
            st.checkbox(
                text("produce_sign"), key=f"produce-sign|{item_id}", help=text("produce_sign_help")
            )
        if entry.item.source != "file" and not _keeps_picture(entry):
            st.checkbox(text("produce_fetch"), key=f"produce-fetch|{item_id}")
        st.button(
            text("produce_make"), key="produce-make", type="primary", on_click=_order,
            args=(item_id, place), disabled=not can_order,
        )  # fmt: skip


def _keeps_picture(entry: LibraryEntry) -> bool:
    path = entry.media_path
    return path is not None and path.suffix.lower() in (".mp4", ".mkv", ".mov", ".webm", ".avi")


def _order(item_id: str, place: str) -> None:
    """Queue what the form asks for; an act of a button."""
    service = session.service()
    kind = str(st.session_state.get(f"produce-kind|{item_id}", KINDS[0]))
    try:
        order = _wanted(service, item_id, kind)
        service.products.request(item_id, order)
        words = text("produce_queued", kind=kind_text(kind))
        if not service.queue.workers():
            words += " " + text("produce_no_worker")
        messages.flash(place, words)
    except KBError as error:
        messages.flash_error(place, error)


def _wanted(service: Service, item_id: str, kind: str) -> Order:
    """Return the order of what the form says. Raises UsageError."""
    from kb.service.video import Stretch, Wish

    def entered(name: str) -> str:
        return str(st.session_state.get(f"produce-{name}|{item_id}") or "").strip()

    start, end = entered("from"), entered("to")
    if (kind in _STRETCHED and bool(start) != bool(end)) or (kind == "evidence" and not start):
        raise UsageError(
            "produce.times", "A time is missing.", hint="Give both, such as 1:05 and 1:20."
        )
    fetch = bool(st.session_state.get(f"produce-fetch|{item_id}"))
    if kind == "evidence":
        sign = bool(st.session_state.get(f"produce-sign|{item_id}"))
        return service.evidence.order(parse_time(start), parse_time(end), sign=sign, fetch=fetch)
    if kind == "dub":
        return dub_form.wanted(service, item_id, fetch=fetch)
    style = str(st.session_state.get(f"produce-style-{kind}|{item_id}") or "")
    if kind != "reel":
        return service.videos.order(
            Wish("karaoke" if kind == "karaoke" else "captions", style), fetch=fetch
        )
    stretches = (Stretch(parse_time(start), parse_time(end)),) if start else ()
    length_s = float(st.session_state.get(f"produce-length|{item_id}") or 0) or None
    return service.videos.order(
        Wish("reel", style, stretches=stretches, length_s=length_s, words="captions"), fetch=fetch
    )


def _states(entry: LibraryEntry) -> None:
    """Draw what was ordered and what is there."""
    service = session.service()
    try:
        ordered = service.products.ordered(entry.item.id)
    except KBError as error:
        messages.error(error)
        return
    under_way = [each for each in ordered if each.is_under_way]
    ended = [each for each in ordered if each.status in ("failed", "cancelled", "skipped")]
    for each in [*under_way, *ended[:_ENDED]]:
        _ordered(entry.item.id, each)
    for number, product in enumerate(service.products.kept(entry)):
        _kept(entry.item.id, number, product)
    busy = f"produce-busy|{entry.item.id}"
    was_busy, st.session_state[busy] = st.session_state.get(busy, False), bool(under_way)
    if was_busy and not under_way:
        st.rerun()  # the whole page, which ends the refreshing


def _ordered(item_id: str, product: OrderedProduct) -> None:
    sign = messages.publish_sign(SIGNS.get(product.status, product.status))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{sign} {messages.escape_markdown(ordered_text(product))}", width="content")
        if product.is_under_way:
            st.button(
                text("produce_cancel", kind=kind_text(product.kind)),
                key=f"produce-cancel|{product.step}", on_click=_cancel,
                args=(item_id, product.step),
            )  # fmt: skip
    if product.error:
        messages.stored_error(product, severe=product.status == "failed")


def _cancel(item_id: str, step: str) -> None:
    try:
        session.service().products.cancel(item_id, step)
    except KBError as error:
        messages.error(error)


def _kept(item_id: str, number: int, product: KeptProduct) -> None:
    when = messages.format_datetime(product.made_at)
    is_sound = product.kind == "dub" and product.path.suffix == ".m4a"
    kind = text("produce_dub_sound") if is_sound else kind_text(product.kind)
    parts = [kind, *([language_text(product.language)] if product.language else [])]
    if product.signed_by:
        parts.append(text("produce_signed", signer=product.signed_by[:16]))
    if product.kind == "evidence" or len(product.stretches) == 1:
        parts += [
            f"{format_timestamp(start)} – {format_timestamp(end)}"
            for start, end, _ in product.stretches[:1]
        ]
    parts += [when, messages.format_size(product.size_bytes)]
    if has_text(f"produce_picture_{product.picture}"):
        parts.append(text(f"produce_picture_{product.picture}"))
    with st.container(horizontal=True, vertical_alignment="center", key=f"produce-kept-{number}"):
        st.link_button(
            text("produce_download"), product_route.product_url(item_id, product.path.name),
            help=text("produce_download_one", kind=kind, when=when),
            icon=":material/download:",
        )  # fmt: skip
        st.markdown(messages.escape_markdown(printable(" · ".join(parts))), width="content")
    for note in product.notes:
        messages.error(note, severe=False)
