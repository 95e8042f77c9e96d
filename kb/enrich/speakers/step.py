"""The step that finds out who speaks when.

Its result has the turns of numbered speakers, which belong to the sound and not to the words: they
hold for a later transcript of the same medium too. Segments get their speaker when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.enrich.base import PRIVATE, Progress, Step, StepInput, StepPart
from kb.enrich.speakers import engines, nemotron_files, weights
from kb.enrich.speakers.labels import turns_of, with_labels
from kb.errors import KBError, ModelUnavailable
from kb.library.extras import VOICES
from kb.media.probe import probe
from kb.settings import get_settings
from kb.transcript.speaker_names import longest_spans
from kb.transcript.spoken_spans import LabelledSpan, SpokenSpans
from kb.types import Transcript

if TYPE_CHECKING:
    from kb.enrich.speakers.diarization import Diarization


WARNING = "warning"  # of a result: another engine than the wanted one was used


class Speakers(Step):
    """Speaker diarization with one of the engines; the number of speakers is an option.

    For a file outside the library `references` are pairs of a name and a recording of that voice.
    """

    name = "speakers"
    options = ("speakers",)
    private = (VOICES,)

    @property
    def model(self) -> str:
        """Of the voices that are kept; `basis` names the engine that found the turns."""
        return engines.RESEMBLYZER

    def missing(self) -> KBError | None:
        return engines.missing()

    def basis(self, given: StepInput) -> dict[str, Any]:
        found = super().basis(given)
        with suppress(KBError):  # named when the step runs
            engine, place = engines.engine_for(given.options)
            found["model"] = engine.model(place)
        return found

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(engine.name for engine in engines.ENGINES if engine is not engines.EMBEDDED)

    def about(self) -> KBError | str:
        """Return the engine that is used, and what another one lacks."""
        try:
            engine, place = engines.engine_for({})
        except KBError:
            return self.model
        found = engine.model(place)
        if (problem := engines.incomplete()) is not None:
            return KBError(
                "clause.engine_lacks",
                "{engine}. {cause} {cause.hint}",
                engine=found,
                cause=problem,
            )
        if engine is engines.EMBEDDED:
            return KBError(
                "clause.engine_more",
                "{engine}; for up to eight speakers, two at once: kb models add {part}",
                engine=found,
                part=nemotron_files.NAME,
            )
        return found

    def part_states(self) -> tuple[StepPart, ...]:
        return engines.part_states(self.name)

    def remove(self, part: str) -> int:
        return nemotron_files.remove() if part == nemotron_files.NAME else weights.remove()

    def add(self, part: str = "") -> str:
        return str(engines.add(part) if part else weights.add())

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        from kb.enrich.speakers.references import names_of

        engine, path = engines.engine_for(given.options)
        if given.medium is not None and not probe(given.medium).has_audio:
            return {"engine": engine.model(path), "speakers": [], "turns": []}
        problem = None if engine is not engines.EMBEDDED else _passed_over(given)
        try:
            found = engine.diarize(given, path, progress)
        except ModelUnavailable as error:  # its files are there, and cannot be loaded
            other = engines.fallback(given.options)
            if engine is engines.EMBEDDED or other is None:
                raise
            problem, (engine, path) = error, other
            found = engine.diarize(given, path, progress)
        references = [(name, Path(file)) for name, file in given.options.get("references", ())]
        names = names_of(found.voices, references, path) if references else {}
        labels = [names.get(number) or label(number) for number in range(found.speakers)]
        turns = [(turn.start_s, turn.end_s, label(turn.speaker)) for turn in found.turns]
        private = {VOICES: self._voices(found, turns)} if _keeps(given, engine) else {}
        return {
            **({PRIVATE: private} if private else {}),
            "engine": engine.model(path),
            **({WARNING: _warning(problem, engine)} if problem else {}),
            "speakers": labels,
            "turns": [
                {
                    "start": round(turn.start_s, 2),
                    "end": round(turn.end_s, 2),
                    "speaker": labels[turn.speaker],
                }
                for turn in found.turns
            ],
        }

    def _voices(self, found: Diarization, turns: Sequence[LabelledSpan]) -> dict[str, Any]:
        """Return the mean embedding of each speaker, with the longest spans that it is from."""
        spoken = SpokenSpans(turns)
        return {
            "model": self.model,
            "voices": [
                {
                    "spans": [list(span) for span in longest_spans(spoken, [label(number)])],
                    "vector": [round(float(value), 4) for value in vector],
                }
                for number, vector in enumerate(found.voices)
            ],
        }

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        labelled = with_labels(transcript, turns_of(document))
        warning = document.get(WARNING)
        if not isinstance(warning, str):
            return labelled
        return replace(labelled, warnings=(*labelled.warnings, warning))


def _passed_over(given: StepInput) -> KBError | None:
    """Return the error of an engine that would have been used if its files were complete."""
    if given.options.get("speakers") is not None or given.options.get("references"):
        return None
    return None if get_settings().voice_profiles else engines.incomplete()


def _warning(problem: KBError, engine: engines.SpeakerEngine) -> str:
    return f"{problem.message} Who speaks was found by {engine.name}. {problem.hint}"


def _keeps(given: StepInput, engine: engines.SpeakerEngine) -> bool:
    return bool(given.options.get(VOICES)) and engine.gives_voices


def label(number: int) -> str:
    """Return the label of a speaker, numbered from 0."""
    return f"Speaker {number + 1}"
