"""The engines that find out who speaks, in a table: the first that can do what is asked is used.

Nemotron-3-Diarization is used where its weights are: in the folder of KB_SPEAKER_MODEL, or in
`nemotron-3-diarization` in the folder of the steps' models. It is given no number of speakers and
returns no voices: with such a hint, with references and with voice profiles Resemblyzer is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.enrich.base import Progress, StepInput
from kb.enrich.speakers import weights
from kb.errors import KBError, ModelUnavailable
from kb.settings import get_settings

if TYPE_CHECKING:
    from kb.enrich.speakers.diarization import Diarization

FOLDER = "nemotron-3-diarization"
_TYPE = "nemotron3_diarization"


@dataclass(frozen=True, slots=True)
class SpeakerEngine:
    """One engine. `find` returns the place of its weights, None if they are not here."""

    name: str
    find: Callable[[], Path | None]
    model: Callable[[Path], str]
    diarize: Callable[[StepInput, Path, Progress], Diarization]
    takes_count: bool
    gives_voices: bool


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
        if (place := engine.find()) is not None:
            return engine, place
    raise weights.missing()


def missing() -> KBError | None:
    """Return the error if no engine is here, or the chosen folder is not one; else None."""
    if (problem := _chosen_problem()) is not None:
        return problem
    return None if any(engine.find() for engine in ENGINES) else weights.missing()


def _chosen_problem() -> ModelUnavailable | None:
    chosen = get_settings().speaker_model
    if not chosen or _is_nemotron(Path(chosen)):
        return None
    return ModelUnavailable(
        "speakers.no_model",
        "KB_SPEAKER_MODEL: {path} has no weights of Nemotron-3-Diarization.",
        hint="Put config.json, preprocessor_config.json and model.safetensors there, or leave it "
        "empty.",
        path=chosen,
    )


def _find_nemotron() -> Path | None:
    chosen = get_settings().speaker_model
    places = [Path(chosen)] if chosen else [folder / FOLDER for folder in weights.folders()]
    return next(filter(_is_nemotron, places), None)


def _is_nemotron(folder: Path) -> bool:
    """Return whether a folder has the files of the model, by their names and its own word."""
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    is_ours = isinstance(about, dict) and about.get("model_type") == _TYPE
    return is_ours and any(folder.glob("*.safetensors"))


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
ENGINES: tuple[SpeakerEngine, ...] = (
    SpeakerEngine(
        "nemotron", lambda: _find_nemotron(), _nemotron_model, _run_nemotron,
        takes_count=False, gives_voices=False,
    ),
    SpeakerEngine(
        "resemblyzer", lambda: weights.find(), lambda _: RESEMBLYZER, _run_resemblyzer,
        takes_count=True, gives_voices=True,
    ),
)  # fmt: skip
