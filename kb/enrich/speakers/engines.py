"""The engines that find out who speaks, in a table: the first that can do what is asked is used.

Nemotron-3-Diarization is used where its weights are: in the folder of KB_SPEAKER_MODEL, in
`nemotron-3-diarization` in the folder of the steps' models, or fetched from the hub. It is given no
number of speakers and returns no voices: with such a hint, with references and with voice profiles
Resemblyzer is used, and where its files are incomplete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.enrich.base import Progress, StepInput, StepPart
from kb.enrich.speakers import nemotron_files, weights
from kb.errors import KBError, ModelUnavailable
from kb.settings import get_settings

if TYPE_CHECKING:
    from kb.enrich.speakers.diarization import Diarization

FOLDER = nemotron_files.FOLDER


@dataclass(frozen=True, slots=True)
class SpeakerEngine:
    """One engine.

    `find` returns the place of its weights, None if they are not here; `lacking` returns the files
    that are missing there; `add` fetches them and returns their place.
    """

    name: str
    find: Callable[[], Path | None]
    model: Callable[[Path], str]
    diarize: Callable[[StepInput, Path, Progress], Diarization]
    takes_count: bool
    gives_voices: bool
    add: Callable[[], Path]
    lacking: Callable[[Path], list[str]] = lambda _: []

    def place(self) -> Path | None:
        """Return the place of its complete weights, None if they are not here."""
        found = self.find()
        return found if found is not None and not self.lacking(found) else None


def engine_for(options: Mapping[str, Any]) -> tuple[SpeakerEngine, Path]:
    """Return the engine for these options of a request, and the place of its weights.

    Raises ModelUnavailable if none that can do it is here.
    """
    if (problem := _chosen_problem()) is not None:
        raise problem
    needs_voices = get_settings().voice_profiles or bool(options.get("references"))
    for engine in ENGINES:
        if options.get("speakers") is not None and not engine.takes_count:
            continue
        if needs_voices and not engine.gives_voices:
            continue
        if (place := engine.place()) is not None:
            return engine, place
    raise incomplete() or weights.missing()


def fallback(options: Mapping[str, Any]) -> tuple[SpeakerEngine, Path] | None:
    """Return the embedded engine, for a request whose engine cannot load its weights."""
    place = EMBEDDED.place()
    return (EMBEDDED, place) if place is not None else None


def incomplete() -> ModelUnavailable | None:
    """Return the error of an engine whose weights are here in part, None without one."""
    for engine in ENGINES:
        found = engine.find()
        if found is not None and (lacking := engine.lacking(found)):
            return ModelUnavailable(
                "speakers.incomplete",
                "The model {engine} in {path} lacks {files}.",
                hint="Put its files there again; or leave KB_SPEAKER_MODEL empty, remove the "
                "folder and fetch it: {command}",
                engine=engine.name,
                path=found,
                files=", ".join(lacking),
                command=nemotron_files.COMMAND,
            )
    return None


def add(name: str) -> Path:
    """Fetch the weights of an engine. Raises ModelUnavailable, and KeyError for an unknown name."""
    return {engine.name: engine for engine in ENGINES}[name].add()


def part_states(step: str) -> tuple[StepPart, ...]:
    """Return the engines' weights as parts of the step `step`, the preferred one first."""
    nemotron, own = nemotron_files.find(), weights.find()
    return (
        StepPart(
            nemotron_files.NAME,
            step,
            nemotron_files.REPOSITORY,
            path=nemotron,
            disk_bytes=_size(nemotron) if nemotron is not None else 0,
            removable=nemotron_files.was_fetched(),
            problem=_chosen_problem() or incomplete(),
        ),
        StepPart(
            step,
            step,
            RESEMBLYZER,
            weights.SIZE,
            own,
            weights.SIZE if own is not None else 0,
            removable=own is not None,
        ),
    )


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder, of those that can be read."""
    size = 0
    with contextlib.suppress(OSError):  # removed meanwhile, or another account's
        for path in folder.iterdir():
            size += path.stat().st_size if path.is_file() else 0
    return size


def missing() -> KBError | None:
    """Return the error if no engine is here, or the chosen folder is not one; else None."""
    if (problem := _chosen_problem()) is not None:
        return problem
    if any(engine.place() for engine in ENGINES):
        return None
    return incomplete() or weights.missing()


def _chosen_problem() -> ModelUnavailable | None:
    chosen = get_settings().speaker_model
    if not chosen or nemotron_files.describes_it(Path(chosen)):
        return None
    return ModelUnavailable(
        "speakers.no_model",
        "KB_SPEAKER_MODEL: {path} has no weights of Nemotron-3-Diarization.",
        hint="Put config.json, preprocessor_config.json and model.safetensors there, or leave it "
        "empty.",
        path=chosen,
    )


def _nemotron_model(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return f"{FOLDER} {size}"


def _run_nemotron(given: StepInput, place: Path, progress: Progress) -> Diarization:
    from kb.enrich.speakers.nemotron import diarize

    assert given.medium is not None
    return diarize(given.medium, place, track=given.track, progress=progress)


def _run_resemblyzer(given: StepInput, place: Path, progress: Progress) -> Diarization:
    from kb.enrich.speakers.diarization import diarize

    assert given.medium is not None
    number = given.options.get("speakers")
    count = number if isinstance(number, int) else None
    return diarize(given.medium, place, track=given.track, speakers=count, progress=progress)


RESEMBLYZER = f"{weights.PACKAGE} {weights.VERSION}"
EMBEDDED = SpeakerEngine(
    "resemblyzer", lambda: weights.find(), lambda _: RESEMBLYZER, _run_resemblyzer,
    takes_count=True, gives_voices=True, add=lambda: weights.add(),
)  # fmt: skip
ENGINES: tuple[SpeakerEngine, ...] = (
    SpeakerEngine(
        nemotron_files.NAME, lambda: nemotron_files.find(), _nemotron_model, _run_nemotron,
        takes_count=False, gives_voices=False, add=lambda: nemotron_files.add(),
        lacking=lambda folder: nemotron_files.missing_files(folder),
    ),
    EMBEDDED,
)  # fmt: skip
