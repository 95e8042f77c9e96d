"""Products of an item: films of its words, dubs and evidence packs, each made once and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kb import __version__, storage
from kb.errors import KBError, UsageError
from kb.library import Library, LibraryEntry
from kb.library.products import Product, Products, product_name
from kb.pipeline import enrichment
from kb.pipeline.dub_products import obtain_dub
from kb.pipeline.evidence_pack import write_pack, write_zip
from kb.pipeline.fetched_picture import Fetch
from kb.pipeline.item_medium import medium_of
from kb.pipeline.product_order import DUB, EVIDENCE, Order
from kb.pipeline.product_picture import Progress, needs_picture, seen
from kb.pipeline.signature import Signer, signer_of
from kb.pipeline.video import MOST_STRETCHES, made_from, make
from kb.settings import Settings
from kb.transcript.formats import json_document
from kb.types import Transcript
from kb.types.notes import Cited
from kb.video.reel import SHORTEST_S, Stretch

AROUND_S = 0.25  # before and after the segments of a highlight
PACK_VERSION = 2  # goes up when a pack of the same inputs has other parts


def obtain(
    library: Library,
    settings: Settings,
    entry: LibraryEntry,
    order: Order,
    *,
    target: Path | None = None,
    progress: Progress = lambda _: None,
    fetch_picture: Fetch | None = None,
) -> Product:
    """Return the product of an order, made now or kept from an earlier time.

    `library` may have the fence of an attempt; `target` is named in errors. Raises UsageError,
    MediaUnavailable, LibraryError, and what `progress` and the fence raise; nothing half written is
    left then.
    """
    order.check()
    if order.kind == DUB:
        return obtain_dub(
            library, settings, entry, order, target=target, progress=progress,
            fetch_picture=fetch_picture,
        )  # fmt: skip
    transcript = enrichment.read_with_results(library, entry)
    if order.kind == "reel" and not order.stretches:
        order = replace(order, stretches=_highlights(library, entry, transcript))
    medium = medium_of(library, settings, entry)
    if order.fetch and not needs_picture(entry, order, medium):
        order = replace(order, fetch=False)
    products = Products(library.home, settings.products_gb, settings.products_days)
    # Read before the work: a key that cannot be used must not cost an encoding.
    signer = signer_of(library.home) if order.sign else None
    name = _name(order, transcript, entry, signer)
    if (kept := products.find(entry.stem, name, order.suffix)) is not None:
        return kept
    if order.fetch and fetch_picture is None:  # what is made now has not the name of what it lacks
        return obtain(
            library, settings, entry, replace(order, fetch=False), target=target, progress=progress
        )
    settings.free_space.require(library.home)
    with (
        products.draft(entry.stem, order.suffix) as draft,
        seen(library, entry, order, medium, progress, fetch_picture) as (shown, picture, rest),
    ):
        notes = _make(
            order, entry, transcript, shown, picture, draft, target or draft, signer, rest
        )
        about = {
            **order.as_dict(), "picture_is": picture, "order": order.digest,
            "signed_by": signer.fingerprint if signer else "",
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }  # fmt: skip
        remarks = [note.record() for note in notes]
        with library.guard(entry.item.id):
            product = products.keep(draft, entry.stem, name, remarks, about)
    return product


def trim(library: Library, settings: Settings) -> None:
    """Remove kept products over the limits: called when the new one was copied or announced."""
    Products(library.home, settings.products_gb, settings.products_days).trim()


def _make(
    order: Order,
    entry: LibraryEntry,
    transcript: Transcript,
    medium: Path,
    picture: str,
    draft: Path,
    target: Path,
    signer: Signer | None,
    progress: Progress,
) -> tuple[KBError, ...]:
    if order.kind != EVIDENCE:
        return make(medium, transcript, order.wish(), draft, target=target, progress=progress)
    (stretch,) = order.stretches
    # In the library's folder, where the space was asked for.
    with storage.scratch_folder(draft.parent) as folder:
        names = write_pack(
            folder, entry, transcript, medium, stretch.start_s, stretch.end_s, picture=picture,
            signer=signer, progress=progress,
        )  # fmt: skip
        write_zip(folder, names, draft)
    return ()


def _name(order: Order, transcript: Transcript, entry: LibraryEntry, signer: Signer | None) -> str:
    """Return the hash of all that a product is made from."""
    # With a picture that was fetched, a film of the same medium is another one.
    medium = f"{entry.sha256} with its picture" if order.fetch else entry.sha256
    if order.kind != EVIDENCE:
        return made_from(order.wish(), transcript, medium, order.suffix)
    (stretch,) = order.stretches
    item = entry.item
    return product_name(
        {
            "kind": EVIDENCE, "medium": medium,
            "item": [item.id, item.title, item.channel, item.published, item.url],
            "words": json_document.to_document(transcript),
            "stretch": [stretch.start_s, stretch.end_s], "versions": [PACK_VERSION, __version__],
            "signed_by": signer.fingerprint if signer else "",
        }
    )  # fmt: skip


def _highlights(
    library: Library, entry: LibraryEntry, transcript: Transcript
) -> tuple[Stretch, ...]:
    """Return the highlights that were found in an item as stretches. Raises UsageError."""
    found = enrichment.notes(library, entry, transcript).highlights
    if not found:
        raise UsageError(
            "reel.no_highlights",
            "No highlights of {item_id} are known.",
            hint='Name stretches (--take "1:05-1:20=Title"), or have them found: '
            "kb enrich {item_id} --steps highlights",
            item_id=entry.item.id,
        )
    return highlight_stretches(found, transcript)


def highlight_stretches(highlights: Sequence[Cited], transcript: Transcript) -> tuple[Stretch, ...]:
    """Return the whole segments around each highlight's words, in order of time.

    Those that touch are one stretch, with the title of the first. A short one, such as a word
    alone, has more of the sound around it, so that it can be part of a reel.
    """
    found: list[Stretch] = []
    length_s = transcript.media.duration_s
    for each in sorted(highlights, key=lambda cited: cited.quotes[0].start_s):
        start_s, end_s = each.quotes[0].start_s, each.quotes[0].end_s
        around = [s for s in transcript.segments if s.start_s < end_s and s.end_s > start_s]
        start_s = max(0.0, min([start_s, *(s.start_s for s in around)]) - AROUND_S)
        end_s = max([end_s, *(s.end_s for s in around)]) + AROUND_S
        end_s = min(end_s, max(length_s, end_s - AROUND_S))
        if (lacking_s := SHORTEST_S - (end_s - start_s)) > 0:
            end_s = min(end_s + lacking_s, max(length_s, end_s))
            start_s = max(0.0, min(start_s, end_s - SHORTEST_S))
        if found and start_s <= found[-1].end_s:
            found[-1] = replace(found[-1], end_s=max(end_s, found[-1].end_s))
        else:
            found.append(Stretch(start_s, end_s, each.text))
    return tuple(found[:MOST_STRETCHES])
