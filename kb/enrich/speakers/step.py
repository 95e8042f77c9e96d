"""The step that finds out who speaks when.

Its result has the turns of numbered speakers, which belong to the sound and not to the words: they
hold for a later transcript of the same medium too. Segments get their speaker when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.enrich.base import PRIVATE, Progress, Step, StepInput
from kb.enrich.speakers import weights
from kb.enrich.speakers.labels import turns_of, with_labels
from kb.errors import KBError
from kb.library.extras import VOICES
from kb.transcript.speaker_names import longest_spans
from kb.transcript.spoken_spans import LabelledSpan, SpokenSpans
from kb.types import Transcript

if TYPE_CHECKING:
    from kb.enrich.speakers.diarization import Diarization


class Speakers(Step):
    """Speaker diarization with Resemblyzer's network; the number of speakers is an option.

    For a file outside the library `references` are pairs of a name and a recording of that voice.
    """

    name = "speakers"
    options = ("speakers",)
    private = (VOICES,)

    @property
    def model(self) -> str:
        return f"{weights.PACKAGE} {weights.VERSION}"

    def missing(self) -> KBError | None:
        return None if weights.find() else weights.missing()

    def add(self) -> str:
        return str(weights.add())

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        from kb.enrich.speakers.diarization import diarize
        from kb.enrich.speakers.references import names_of

        path = weights.find()
        if path is None:
            raise weights.missing()
        assert given.medium is not None
        number = given.options.get("speakers")
        found = diarize(
            given.medium,
            path,
            track=given.track,
            speakers=number if isinstance(number, int) else None,
            progress=progress,
        )
        references = [(name, Path(file)) for name, file in given.options.get("references", ())]
        names = names_of(found.voices, references, path) if references else {}
        labels = [names.get(number) or label(number) for number in range(found.speakers)]
        turns = [(turn.start_s, turn.end_s, label(turn.speaker)) for turn in found.turns]
        private = {VOICES: self._voices(found, turns)} if given.options.get(VOICES) else {}
        return {
            **({PRIVATE: private} if private else {}),
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
        return with_labels(transcript, turns_of(document))


def label(number: int) -> str:
    """Return the label of a speaker, numbered from 0."""
    return f"Speaker {number + 1}"
