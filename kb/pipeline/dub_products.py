"""Dubs of items as products: the sound, and copies of the video with it; each made once and kept.

The sound is a product of its own, so that a copy of the video needs no voice again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kb import __version__
from kb.errors import UsageError
from kb.library import Library, LibraryEntry
from kb.library.products import Product, Products, product_name
from kb.media import shown
from kb.media.probe import probe
from kb.pipeline import dubbing, enrichment, translations
from kb.pipeline.dubbing import Cast, Dub, DubReport
from kb.pipeline.fetched_picture import Fetch
from kb.pipeline.item_medium import medium_of
from kb.pipeline.product_order import DUB, DUB_SOUND, Order
from kb.pipeline.product_picture import WAVE, Progress, needs_picture, seen
from kb.settings import Settings
from kb.types import Transcript

_BYTES_PER_S = 70_000  # of the voice while a dub is made, and of its sound
SOUND_SHARE = 0.9  # of the work, until the sound is there
COPY_VERSION = 1  # goes up when a copy of a video with the same sound is another one


@dataclass(frozen=True, slots=True)
class PreparedDub:
    """A dub whose words and voices are known; `name` is that of its sound."""

    dub: Dub
    words: Transcript
    played: Cast
    name: str


def prepared(
    library: Library,
    settings: Settings,
    entry: LibraryEntry,
    dub: Dub,
    words: Transcript | None = None,
) -> PreparedDub:
    """Return a dub of an item; without words they are those of its translation.

    Raises UsageError without one, and as `kb.pipeline.dubbing.cast` does.
    """
    original = enrichment.read_with_results(library, entry)
    if words is None:
        words = translations.translated(library, entry, original, dub.language)
    words = dubbing.with_speakers_of(words, original)
    played = dubbing.cast(settings, words, dub)
    return PreparedDub(dub, words, played, dubbing.made_from(words, dub, played, entry.sha256))


def obtain_sound(
    library: Library,
    settings: Settings,
    entry: LibraryEntry,
    wanted: PreparedDub,
    *,
    target: Path | None = None,
    progress: Progress = lambda _: None,
) -> Product:
    """Return the sound of a dub, made now or kept from an earlier time.

    Raises as `kb.pipeline.products.obtain` does.
    """
    products = _products(library, settings)
    if (kept := products.find(entry.stem, wanted.name, DUB_SOUND)) is not None:
        return kept
    medium = medium_of(library, settings, entry)
    need = int((probe(medium).duration_s or 0.0) * _BYTES_PER_S)
    settings.free_space.require(library.home, need)
    with products.draft(entry.stem, DUB_SOUND) as draft:
        report = dubbing.make_sound(
            medium, wanted.words, wanted.dub, wanted.played, draft, target=target or draft,
            progress=progress,
        )  # fmt: skip
        about = _about(Order.of_dub(wanted.dub, DUB_SOUND), report)
        with library.guard(entry.item.id):
            remarks = [note.record() for note in report.notes]
            return products.keep(draft, entry.stem, wanted.name, remarks, about)


def obtain_dub(
    library: Library,
    settings: Settings,
    entry: LibraryEntry,
    order: Order,
    *,
    target: Path | None = None,
    progress: Progress = lambda _: None,
    fetch_picture: Fetch | None = None,
) -> Product:
    """Return the product of an order of a dub; see `kb.pipeline.products.obtain`."""
    wanted = prepared(library, settings, entry, order.dub())
    if order.suffix == DUB_SOUND:
        return obtain_sound(library, settings, entry, wanted, target=target, progress=progress)
    medium = medium_of(library, settings, entry)
    fetch = order.fetch and needs_picture(entry, order, medium)
    order, products = replace(order, fetch=fetch), _products(library, settings)
    name = product_name(
        {
            "dub": wanted.name, "suffix": order.suffix, "picture_is_fetched": fetch,
            "versions": [COPY_VERSION, __version__],
        }
    )  # fmt: skip
    if (kept := products.find(entry.stem, name, order.suffix)) is not None:
        return kept
    if not probe(medium).has_video and (not fetch or fetch_picture is None):
        raise no_picture(medium, order.suffix)
    sound = obtain_sound(
        library, settings, entry, wanted, target=target,
        progress=lambda share: progress(share * SOUND_SHARE),
    )  # fmt: skip

    def rest(share: float) -> None:
        progress(SOUND_SHARE + share * (1 - SOUND_SHARE))

    settings.free_space.require(library.home, medium.stat().st_size)
    with (
        products.draft(entry.stem, order.suffix) as draft,
        seen(library, entry, order, medium, rest, fetch_picture) as (video, picture, advance),
    ):
        if picture == WAVE:  # its source has none
            raise no_picture(medium, order.suffix)
        dubbing.add_sound(
            video, sound.path, order.language, draft, target=target or draft, progress=advance
        )
        about = {**sound.about, **_about(order), "picture_is": picture}
        with library.guard(entry.item.id):
            return products.keep(draft, entry.stem, name, sound.remarks, about)


def report_of(product: Product) -> Mapping[str, int]:
    """Return the counts of a kept dub: `lines`, `faster` and `cut`."""
    return {each: int(product.about.get(each, 0)) for each in ("lines", "faster", "cut")}


def no_picture(medium: Path, suffix: str, stem: str = "NAME") -> UsageError:
    """Return the error of a dub of sound alone that is to be a film."""
    return UsageError(
        "dub.no_picture",
        "{name} is sound alone and cannot become {suffix}.",
        hint="Write its sound: -o {stem}.m4a",
        name=shown(medium.name),
        suffix=suffix,
        stem=stem,
    )


def _products(library: Library, settings: Settings) -> Products:
    return Products(library.home, settings.products_gb, settings.products_days)


def _about(order: Order, report: DubReport | None = None) -> dict[str, Any]:
    """Return the record of a dub: its order, and how its lines fit."""
    made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    about = {**order.as_dict(), "kind": DUB, "order": order.digest, "made_at": made_at}
    if report is not None:
        about |= {"lines": report.lines, "faster": report.faster, "cut": report.cut}
    return about
