"""Products of an item: films of its words and evidence packs, each made once and kept.

An order says what is wanted. It goes through the queue as JSON values, and may be carried out by
another machine: a style or a still that is a file must be there, too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from kb import __version__, storage
from kb.errors import KBError, MediaUnavailable, UsageError
from kb.library import Library, LibraryEntry
from kb.library.products import Product, Products, product_name
from kb.library.scratch import scratch_folder
from kb.media.probe import probe
from kb.pipeline import enrichment
from kb.pipeline.evidence_pack import write_pack, write_zip
from kb.pipeline.fetched_picture import LOCAL, SHARE, Fetch
from kb.pipeline.item_medium import medium_of
from kb.pipeline.signature import Signer, signer_of
from kb.pipeline.video import MOST_STRETCHES, Kind, Wish, Words, made_from, make
from kb.settings import Settings
from kb.transcript.formats import json_document
from kb.types import Transcript
from kb.types.notes import Cited
from kb.video.joined import join_picture
from kb.video.reel import Stretch

EVIDENCE = "evidence"
FILMS: tuple[Kind, ...] = ("captions", "karaoke", "soft", "reel")
KINDS = (*FILMS, EVIDENCE)
AROUND_S = 0.25  # before and after the segments of a highlight
PACK_VERSION = 1  # goes up when a pack of the same inputs has other parts
# The picture of a product, in its record.
KEPT, FETCHED, STILL, WAVE = "kept", "fetched", "still", "wave"

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Order:
    """A product that a user asks for.

    `stretches` are those of a reel (none: the highlights that were found), or the one of an
    evidence pack. `fetch`: the picture of an item that is kept as sound is fetched for it;
    `sign`: a pack is signed with the key of the library.
    """

    kind: str
    style: str = ""
    picture: str = ""
    size: str = ""
    threads: int = 0
    stretches: tuple[Stretch, ...] = ()
    length_s: float | None = None
    words: Words | None = None
    suffix: str = ".mp4"
    fetch: bool = False
    sign: bool = False

    @classmethod
    def of_film(cls, wish: Wish, suffix: str, *, fetch: bool = False) -> Order:
        """Return the order of a film."""
        # A machine that takes the order has another working directory.
        style = str(Path(wish.style).absolute()) if Path(wish.style).suffix else wish.style
        still = str(wish.picture.absolute()) if wish.picture else ""
        return cls(
            wish.kind, style, still, wish.size, wish.threads, wish.stretches, wish.length_s,
            wish.words, suffix, fetch,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Order:
        """Return the order of JSON values. Raises UsageError for other ones."""
        try:
            stretches = tuple(
                Stretch(float(start), float(end), str(title))
                for start, end, title in values.get("stretches", ())
            )
            length_s = values.get("length_s")
            words = values.get("words")
            order = cls(
                str(values["kind"]), str(values.get("style", "")), str(values.get("picture", "")),
                str(values.get("size", "")), int(values.get("threads", 0)), stretches,
                None if length_s is None else float(length_s),
                "karaoke" if words == "karaoke" else "captions" if words else None,
                str(values.get("suffix", ".mp4")), bool(values.get("fetch")),
                bool(values.get("sign")),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise _unknown(values) from error
        if order.kind not in KINDS:
            raise _unknown(values)
        return order

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values from which `from_dict` makes the same order."""
        return {
            "kind": self.kind, "style": self.style, "picture": self.picture, "size": self.size,
            "threads": self.threads,
            "stretches": [[s.start_s, s.end_s, s.title] for s in self.stretches],
            "length_s": self.length_s, "words": self.words, "suffix": self.suffix,
            "fetch": self.fetch, "sign": self.sign,
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """Equal for equal orders, whatever their number of threads."""
        values = {**self.as_dict(), "threads": 0}
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def wish(self) -> Wish:
        """Return the film that is wanted. Raises UsageError for a pack."""
        kind = next((each for each in FILMS if each == self.kind), None)
        if kind is None:
            raise _unknown(self.as_dict())
        still = Path(self.picture) if self.picture else None
        return Wish(
            kind, self.style, still, self.size, self.threads, self.stretches, self.length_s,
            self.words,
        )  # fmt: skip

    def check(self) -> None:
        """Raise UsageError for values that cannot be, before any work is done."""
        if self.kind != EVIDENCE:
            self.wish().check(Path(f"film{self.suffix}"))
        elif len(self.stretches) != 1 or self.suffix != ".zip":
            raise _unknown(self.as_dict())


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
        _seen(library, entry, order, medium, progress, fetch_picture) as (seen, picture, rest),
    ):
        notes = _make(order, entry, transcript, seen, draft, target or draft, signer, rest)
        about = {
            **order.as_dict(), "picture_is": picture, "order": order.digest,
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }  # fmt: skip
        remarks = [note.record() for note in notes]
        with library.guard(entry.item.id):
            product = products.keep(draft, entry.stem, name, remarks, about)
    return product


def trim(library: Library, settings: Settings) -> None:
    """Remove kept products over the limits: called when the new one was copied or announced."""
    Products(library.home, settings.products_gb, settings.products_days).trim()


def needs_picture(entry: LibraryEntry, order: Order, medium: Path) -> bool:
    """Return True if a picture that is not kept can be asked for at the item's source."""
    may_be_there = entry.item.source != LOCAL and not order.picture
    return may_be_there and not probe(medium).has_video


def _make(
    order: Order,
    entry: LibraryEntry,
    transcript: Transcript,
    medium: Path,
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
            folder, entry, transcript, medium, stretch.start_s, stretch.end_s, signer=signer,
            progress=progress,
        )  # fmt: skip
        write_zip(folder, names, draft)
    return ()


@contextmanager
def _seen(
    library: Library,
    entry: LibraryEntry,
    order: Order,
    medium: Path,
    progress: Progress,
    fetch: Fetch | None,
) -> Iterator[tuple[Path, str, Progress]]:
    """Yield the medium with its picture, where that is from, and the progress of the rest.

    A fetched picture is deleted at the end.
    """
    if order.picture:
        yield medium, STILL, progress
    elif probe(medium).has_video:
        yield medium, KEPT, progress
    elif fetch is None or not order.fetch:
        yield medium, WAVE, progress
    else:

        def arrived(done: int, total: int) -> None:
            progress(SHARE * done / total if total else 0.0)

        with scratch_folder(library.home) as folder:
            try:
                picture = fetch(entry.item, folder, arrived)
            except MediaUnavailable as error:
                raise _not_fetched(entry, error) from error
            if picture is None:  # its source has none
                yield medium, WAVE, progress
                return
            joined = folder / "joined.mkv"
            join_picture(picture, medium, joined, progress=lambda _: progress(SHARE))
            picture.unlink()
            yield joined, FETCHED, lambda share: progress(SHARE + (1 - SHARE) * share)


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

    Those that touch are one stretch, with the title of the first.
    """
    found: list[Stretch] = []
    for each in sorted(highlights, key=lambda cited: cited.quotes[0].start_s):
        start_s, end_s = each.quotes[0].start_s, each.quotes[0].end_s
        around = [s for s in transcript.segments if s.start_s < end_s and s.end_s > start_s]
        start_s = max(0.0, min([start_s, *(s.start_s for s in around)]) - AROUND_S)
        end_s = max([end_s, *(s.end_s for s in around)]) + AROUND_S
        end_s = min(end_s, max(transcript.media.duration_s, end_s - AROUND_S))
        if found and start_s <= found[-1].end_s:
            found[-1] = replace(found[-1], end_s=max(end_s, found[-1].end_s))
        else:
            found.append(Stretch(start_s, end_s, each.text))
    return tuple(found[:MOST_STRETCHES])


def _not_fetched(entry: LibraryEntry, cause: KBError) -> MediaUnavailable:
    return MediaUnavailable(
        "video.not_fetched",
        "The picture of {title!r} cannot be fetched: {reason}",
        hint="Without --fetch the words are drawn over a wave of the sound.",
        retryable=cause.retryable,
        title=entry.item.title,
        reason=cause,
    )


def _unknown(values: Mapping[str, Any]) -> UsageError:
    return UsageError(
        "video.unknown_order",
        "This product is not known here: {kind!r}.",
        hint="Known: {known}. A newer version of this program may have queued it.",
        kind=str(values.get("kind", "")),
        known=", ".join(KINDS),
    )
