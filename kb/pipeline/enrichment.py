"""Steps after the words, joined with the library: which are wanted, carried out, stored and shown.

This module and `language_model` alone name `kb.enrich`. A result is current as long as the medium,
the model and the options that it was made from are the same.
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kb.enrich import STEPS, get_step
from kb.enrich import StepInput as StepInput
from kb.enrich.base import BASIS, FURTHER, PRIVATE, Channel, ItemText, Peer
from kb.errors import KBError, LibraryError, MediaUnavailable, UsageError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.options import RUN as RUN
from kb.options import RunOptions, parse_names
from kb.pipeline import fetched_picture, same_sound, stages, voices
from kb.pipeline.language_model import TRANSLATE, translation_options
from kb.pipeline.speakers import named_speakers
from kb.pipeline.step_parts import lacking as lacking
from kb.pipeline.stored_media import StoredMedia
from kb.pipeline.vocabulary import Vocabulary
from kb.settings import Settings, get_settings
from kb.transcript.digest import text_digest
from kb.transcript.notes import KINDS, read_notes
from kb.transcript.speaker_names import KEY as NAMES
from kb.transcript.translation import ENGINE as TRANSLATED
from kb.transcript.translation import language_of, read_translation
from kb.types import Transcript
from kb.types.notes import Notes

AUTO, NONE = "auto", "none"
_ADD = "kb models add "
SPEAKERS = "speakers"  # name of the step and of its option, the number of speakers
MOST_SPEAKERS = 100
SAMPLE_RATE = "sample_rate"  # an option of the step screen: every frame of this number is read
MOST_SAMPLE_RATE = 100_000
AGAIN = "again"  # option of a request: a current result is made again too

log = logging.getLogger(__name__)

Hear = Callable[[StepInput, Callable[[float], None]], Transcript]


@dataclass(frozen=True, slots=True)
class StepState:
    """A step on this machine; `lacking` is the error of what is missing, with the command."""

    name: str
    model: str
    is_default: bool
    lacking: KBError | None
    about: KBError | str = ""

    @property
    def part(self) -> str:
        """Name of what is missing for `add_parts`; empty if nothing is, or it cannot be fetched."""
        command = str(self.lacking.values.get("command", "")) if self.lacking is not None else ""
        return command.removeprefix(_ADD) if command.startswith(_ADD) else ""


def step_names() -> tuple[str, ...]:
    """Return the names of all steps."""
    return tuple(STEPS)


def step_states() -> list[StepState]:
    """Return all steps, and what this machine lacks for them."""
    return [
        StepState(name, step.model, step.is_default, step.missing(), step.about())
        for name, step in ((name, get_step(name)) for name in STEPS)
    ]


def add_parts(name: str) -> str:
    """Fetch the model of a step, or a further one by its name; return its path.

    Raises UsageError and ModelUnavailable.
    """
    for step in map(get_step, STEPS):
        if name in step.parts:
            return step.add(name)
    return get_step(name).add()


def wanted_steps(
    options: RunOptions, settings: Settings, elsewhere: Container[str] = ()
) -> tuple[str, ...]:
    """Return the steps of a run, in order, without those of `auto` that lack a part.

    `elsewhere` are the steps whose parts another machine at work has: whichever machine asks or
    works, `auto` is the same. A step that was named stays, so that its item shows what is missing.
    Raises UsageError for an unknown name, and for a number of speakers or frames that cannot be.
    """
    check_speaker_count(options.speaker_count)
    if options.sample_rate is not None:
        checked_sample_rate(options.sample_rate)
    names = parse_names(settings.steps) if options.steps is None else options.steps
    return expand(names, elsewhere)


def check_speaker_count(count: int | None) -> None:
    """Raise UsageError for a number of speakers that cannot be."""
    if count is not None and not 1 <= count <= MOST_SPEAKERS:
        raise UsageError(
            "enrich.speakers",
            "{number} is no number of speakers.",
            hint="Give a number from 1 to {most}.",
            number=count,
            most=MOST_SPEAKERS,
        )


def checked_sample_rate(rate: int) -> int:
    """Return a number of frames. Raises UsageError for one that cannot be."""
    if not 1 <= rate <= MOST_SAMPLE_RATE:
        raise UsageError(
            "enrich.sample_rate",
            "{number} is no number of frames.",
            hint="Give a number from 1 to {most}: every frame of that number is read.",
            number=rate,
            most=MOST_SAMPLE_RATE,
        )
    return rate


def options_of_run(options: RunOptions, settings: Settings) -> dict[str, Any]:
    """Return the options of the steps of a run; `settings` are those of its request."""
    found: dict[str, Any] = {}
    if TRANSLATE in (parse_names(settings.steps) if options.steps is None else options.steps):
        with suppress(UsageError):  # the step names what is missing
            found.update(translation_options(settings))
    if options.speaker_count is not None:
        found[SPEAKERS] = options.speaker_count
    if options.sample_rate is not None:
        found[SAMPLE_RATE] = options.sample_rate
    wanted = options.fetch_picture
    if wanted is not None or not settings.fetch_picture:
        found[fetched_picture.OPTION] = settings.fetch_picture if wanted is None else wanted
    return found


def fetches_pictures(
    options: RunOptions, settings: Settings, elsewhere: Container[str] = ()
) -> bool:
    """Return True if a step of a run fetches pictures. Raises UsageError as `wanted_steps` does."""
    wanted = settings.fetch_picture if options.fetch_picture is None else options.fetch_picture
    return wanted and any(
        get_step(name).needs_picture for name in wanted_steps(options, settings, elsewhere)
    )


def expand(names: Sequence[str], elsewhere: Container[str] = ()) -> tuple[str, ...]:
    """Return the steps of a list that may have `auto` and `none`. Raises UsageError."""
    found: list[str] = []
    for name in names:
        if name == AUTO:
            found += [
                each
                for each in STEPS
                if get_step(each).is_default
                and (get_step(each).missing() is None or each in elsewhere)
            ]
        elif name != NONE:
            get_step(name)
            found.append(name)
    return tuple(each for each in STEPS if each in found)


def sends_text(names: Sequence[str]) -> bool:
    """Return True if one of these steps sends an item's words to a language model."""
    return any(get_step(name).sends_text for name in names)


def may_cost_money(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of these steps that ask a service which may cost money."""
    return tuple(name for name in names if get_step(name).may_cost_money)


def notes(library: Library, entry: LibraryEntry, transcript: Transcript) -> Notes:
    """Return what a language model noted about an item. Raises LibraryError for a damaged result.

    Results of another medium are left out.
    """
    extras = Extras(library)
    found = {kind: extras.read(entry, kind) for kind in KINDS}
    return _read_notes(
        {k: each for k, each in found.items() if each and _is_of(each, transcript)}, transcript
    )


def is_current(
    library: Library, entry: LibraryEntry, name: str, options: Mapping[str, Any] | None = None
) -> bool:
    """Return whether an item has the result that the step would give now.

    Without `options` those of the result count, so that it is not made again for another request's
    sake. A damaged result is not current, nor is one that depends on the channel's other items:
    these change without a sign at this one.
    """
    if get_step(name).compares:
        return False
    try:
        found = Extras(library).read(entry, name)
        asked = _own(name, options or {})
        given = _input(library, entry, name, asked or _options_of(found, name), get_settings())
        return found is not None and get_step(name).is_current(given, found)
    except KBError:
        return False


def run_step(
    library: Library,
    entry: LibraryEntry,
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    settings: Settings,
    progress: Callable[[float], None] = lambda _: None,
    is_wanted: Callable[[], bool] = lambda: True,
    fetch_picture: fetched_picture.Fetch | None = None,
    hear: Hear | None = None,
) -> None:
    """Carry out a step in a process of its own and write its result; a current one is kept.

    `library` has the fence of this attempt. A medium in object storage is fetched first, and with
    `fetch_picture` the picture of an item that is kept as sound, if it is wanted; `hear` returns
    the recognizer's translation of the sound. Raises the
    step's errors, Cancelled, MediaUnavailable for an item without the medium that the step needs,
    and what the fence raises.
    """
    from kb.enrich.process import run_apart

    asked = _own(name, options or {})
    step, extras = get_step(name), Extras(library)
    if not (options or {}).get(AGAIN) and is_current(library, entry, name, asked):
        if not lacks_more(library, entry, name, options, settings=settings):
            if step.is_indexed:  # the attempt that made it may have ended in between
                _index(library, entry, settings)
            return
        asked = asked or _options_of(extras.read(entry, name), name)
    wanted = step.private if settings.voice_profiles else ()
    if step.needs_medium and entry.stored and entry.media_path is None:
        entry = StoredMedia.of(library, settings).bring_back(
            entry, lambda need: settings.free_space.require(library.home, need)
        )
    given = _input(library, entry, name, {**asked, **dict.fromkeys(wanted, True)}, settings)
    if step.continues:
        with suppress(LibraryError):  # a damaged result is made again
            given = replace(given, before=extras.read(entry, name))
    if hears := step.hears(given):
        if hear is None:
            raise UsageError(
                "translation.no_recognizer",
                "Whisper translates in a worker alone.",
                hint="kb translate ID --into en --via whisper --wait",
            )
        if entry.stored and entry.media_path is None:
            entry = StoredMedia.of(library, settings).bring_back(
                entry, lambda need: settings.free_space.require(library.home, need)
            )
            given = replace(given, medium=entry.media_path)
    if step.needs_medium or hears:
        _require_medium(entry, given)
    if hears and hear is not None:
        given = replace(given, heard=hear(given, progress))
    deleted = voices.last_deletion(library) if wanted else ""
    started = time.monotonic()
    fetch = fetch_picture if step.needs_picture else None
    if not fetched_picture.is_wanted(options, settings):
        fetch = None
    try:
        with fetched_picture.with_picture(library, entry, given, fetch, progress) as (
            seen,
            was_asked,
            rest,
        ):
            result = run_apart(name, seen, progress=rest, is_wanted=is_wanted)
    except MediaUnavailable as error:
        # The local file of a stored medium may have been given up in between.
        error.retryable = error.retryable or bool(given.medium and not given.medium.exists())
        raise
    private = result.pop(PRIVATE, {})
    further: Mapping[str, Mapping[str, Any]] = result.pop(FURTHER, {})
    if private and voices.last_deletion(library) != deleted:
        private = {}  # deleted meanwhile
    document = {
        BASIS: step.basis(given),
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - started, 2),
        **({fetched_picture.FETCHED: True} if was_asked else {}),
        **result,
    }

    def guard() -> AbstractContextManager[object]:
        return library.guard(entry.item.id)

    for kind in step.private:
        if kind in private:
            about = {BASIS: {"sha256": given.sha256}, **private[kind]}
            extras.write(entry, kind, about, guard)
        else:  # that of other labels, or made before the setting was changed
            extras.remove(entry, kind, guard)
    if private and voices.last_deletion(library) != deleted:
        for kind in private:  # deleted between the look above and the writing
            extras.remove(entry, kind, guard)
        private = {}
    made = {key: document[key] for key in ("made_at", "seconds")}
    for kind, content in further.items():
        extras.write(entry, kind, {**made, **content}, guard)
    extras.write(entry, name, document, guard)
    if name == same_sound.SOUND:
        same_sound.enter(library, entry)
    if step.is_indexed:
        _index(library, entry, settings)
    if private:
        # What is published already costs credits when it changes: a person decides (`apply`).
        voices.name_known(library, entry.item.id, also_published=False)


def lacks_more(
    library: Library,
    entry: LibraryEntry,
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    settings: Settings,
) -> bool:
    """Return True if a current result is to be made again for the sake of what is not in it.

    That are documents that a setting asks for, and the text of a picture that can be fetched.
    """
    extras, step = Extras(library), get_step(name)
    if settings.voice_profiles and any(
        not extras.path(entry.stem, kind).exists() for kind in step.private
    ):
        return True
    return step.needs_picture and fetched_picture.is_lacking(
        entry, extras.read(entry, name), options, settings
    )


def label_file(
    path: Path,
    transcript: Transcript,
    options: Mapping[str, Any] | None = None,
    *,
    progress: Callable[[float], None] = lambda _: None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Transcript:
    """Return the transcript of a file outside the library with its speakers; nothing is stored.

    Raises the errors of the step, and Cancelled once `is_wanted` returns False.
    """
    from kb.enrich.process import run_apart

    track = transcript.media.tracks[0] if transcript.media.tracks else None
    given = StepInput(path, transcript.media.sha256, track, dict(options or {}))
    result = run_apart(SPEAKERS, given, progress=progress, is_wanted=is_wanted)
    return get_step(SPEAKERS).apply(result, transcript)


def with_results(
    library: Library, entry: LibraryEntry, transcript: Transcript, *, labels: bool = False
) -> Transcript:
    """Return the transcript with the results of its item put in, for readers and exports.

    Speakers have the names that a person gave, or with `labels` those of the step. A result of
    another medium, such as that of an earlier version, is left out, and so is a damaged one, which
    is logged.
    """
    extras = Extras(library)
    noted: dict[str, Mapping[str, Any]] = {}
    for name in STEPS:
        try:
            document = extras.read(entry, name)
            if document is not None and _is_of(document, transcript):
                transcript = get_step(name).apply(document, transcript)
                if name in KINDS:
                    noted[name] = document
        except LibraryError as error:
            log.warning("%s: %s", entry.item.id, error.message)
    if noted and not (found := _read_notes(noted, transcript)).is_empty:
        transcript = replace(transcript, notes=found)
    return transcript if labels else named_speakers(entry, transcript)


def read_with_results(library: Library, entry: LibraryEntry, *, labels: bool = False) -> Transcript:
    """Return an item's transcript as it is shown. Raises LibraryError as `read_transcript` does."""
    return with_results(library, entry, stages.read_transcript(library, entry), labels=labels)


def results_changed(library: Library, entry: LibraryEntry) -> tuple[tuple[str, int], ...]:
    """Return kind and time of change (in ns) of each result of an item, and a mark of its names."""
    extras = Extras(library)
    named = json.dumps(entry.record.get(NAMES), sort_keys=True)
    found = [(NAMES, zlib.crc32(named.encode()))]
    for kind in (*extras.kinds(entry.stem), *extras.further(entry.stem)):
        with suppress(OSError):  # removed since
            found.append((kind, extras.path(entry.stem, kind).stat().st_mtime_ns))
    return tuple(found)


def damaged_results(library: Library, entry: LibraryEntry) -> list[LibraryError]:
    """Return the error of each result of an item that cannot be read."""
    extras, problems = Extras(library), []
    for name in extras.further(entry.stem):
        try:
            document = extras.read(entry, name)
            if document is not None and (language := language_of(name)):
                read_translation(document, language)
        except LibraryError as error:
            problems.append(error)
    for kind in extras.kinds(entry.stem):
        try:
            document = extras.read(entry, kind)
            if document is not None and kind in STEPS and entry.transcript_path is not None:
                get_step(kind).apply(document, stages.read_transcript(library, entry))
        except LibraryError as error:
            problems.append(error)
    try:
        voices.read(library, entry)
    except LibraryError as error:
        problems.append(error)
    return problems


def _index(library: Library, entry: LibraryEntry, settings: Settings) -> None:
    """Put a new result into the local index, unless the item is not in it by choice."""
    now = library.find(entry.item.id)
    if now is None or now.transcript_path is None:
        return
    if "local" in now.published or "local" in settings.sink_names:
        stages.publish(library, settings, now, stages.read_transcript(library, now), "local")


def _read_notes(documents: Mapping[str, Mapping[str, Any]], transcript: Transcript) -> Notes:
    """Return notes, and whether they are of the words as they are now.

    A translation is of those words itself, or it is not shown.
    """
    found = read_notes(documents)
    if transcript.engine == TRANSLATED:
        return found
    now = text_digest(transcript)
    bases = [each.get(BASIS) for each in documents.values()]
    made_of = {str(each.get("words") or now) for each in bases if isinstance(each, dict)}
    return replace(found, of_earlier_words=bool(made_of - {now}))


def _is_of(document: Mapping[str, Any], transcript: Transcript) -> bool:
    basis = document.get(BASIS)
    sha256 = basis.get("sha256") if isinstance(basis, dict) else None
    return not transcript.media.sha256 or sha256 == transcript.media.sha256


def _own(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a request that are this step's: a request is for several."""
    return {key: value for key, value in options.items() if key in get_step(name).options}


def _options_of(document: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Return the options that a result was made with."""
    basis = (document or {}).get(BASIS)
    known = get_step(name).options
    return {key: basis[key] for key in known if key in basis} if isinstance(basis, dict) else {}


def _input(
    library: Library,
    entry: LibraryEntry,
    name: str,
    options: Mapping[str, Any],
    settings: Settings,
) -> StepInput:
    transcript = stages.read_transcript(library, entry)
    media = transcript.media
    track = media.tracks[0] if media.tracks else None
    there = entry.media_path if entry.media_path and entry.media_path.exists() else None
    text = None
    step, sha256 = get_step(name), media.sha256 or entry.sha256
    if step.needs_text or step.compares:
        names = Vocabulary(library).words(entry.item.channel)
        text = ItemText(entry.item, transcript, settings, names)
    channel = _channel(library, entry) if step.compares else None
    given = StepInput(there, sha256, track, dict(options), text, channel=channel)
    return replace(given, stored=_stored(library, entry, step.further(given)))


def _stored(
    library: Library, entry: LibraryEntry, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the further documents that are there; a damaged one is made again."""
    found = {}
    for name in names:
        with suppress(LibraryError):
            if (document := Extras(library).read(entry, name)) is not None:
                found[name] = document
    return found


def _channel(library: Library, entry: LibraryEntry) -> Channel:
    """Return the other items of an item's channel that have words, the nearest by date first."""
    folder = Extras(library).folder
    own = entry.item
    among = [
        each
        for each in (library.entries() if own.channel else ())
        if each.item.channel == own.channel and (each.transcript_path or each.item.id == own.id)
    ]
    at = next((n for n, each in enumerate(among) if each.item.id == own.id), 0)
    order = sorted(range(len(among)), key=lambda n: (abs(n - at), n))
    peers = tuple(
        Peer(each.item.id, each.sha256, each.transcript_path, folder / each.stem)
        for each in (among[n] for n in order)
        if each.item.id != own.id and each.transcript_path is not None
    )
    return Channel(library.home, folder / entry.stem, peers)


def _require_medium(entry: LibraryEntry, given: StepInput) -> None:
    if given.medium is None:
        raise MediaUnavailable(
            "step.no_medium",
            "The medium of {title!r} is not in the library: only its transcript is.",
            hint="Fetch it again, then repeat the step: kb ingest {item_id} --again",
            title=entry.item.title,
            item_id=entry.item.url or entry.item.id,
        )
    stages.check_unchanged(given.medium, given.sha256)
