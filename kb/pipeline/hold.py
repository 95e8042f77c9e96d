"""Decides whether a transcript is published or held for review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kb.errors import KBError
from kb.library import LibraryEntry
from kb.types import Transcript
from kb.types.quality import ERRORS_C, flag_words, one_word_in

_BRING_WHOLE_FILE = (
    "Bring the whole file and ingest it again; a download is made again after: kb remove ID. The "
    "words that are there are searchable."
)
_READ_BETTER = (
    "Read it again with a larger model: kb review ID --retry --model NAME; or accept it as it is: "
    "kb review ID --accept"
)
_LISTEN = "Listen to the doubtful seconds: kb review ID; or: kb ingest --again --model ..."


ASKED = "version.asked"  # code of the reason of an item that is held for a person's answer
HOLD_LOST_SHARE = 0.01  # share of a medium's length; from this on lost sound holds the item
HOLD_LOST_S = 1.0  # less, a damaged packet or two, lowers the grade and is remarked


@dataclass(frozen=True, slots=True)
class HoldDecision:
    """Decision about an item: `state` is `done` or `held`; `cause` is the reason for a hold."""

    state: str
    cause: KBError | None = None

    @property
    def reason(self) -> str:
        """The cause in English; empty if the item is not held."""
        return self.cause.message if self.cause else ""

    def row_values(self) -> dict[str, Any]:
        """Return `error`, `hint` and `problem` for the item's row."""
        return self.cause.record() if self.cause else {"error": "", "hint": "", "problem": None}

    def metadata(self) -> dict[str, Any]:
        """Return `state`, `error`, `hint` and `problem` for the metadata; None removes a key."""
        return {"state": self.state, **{k: v or None for k, v in self.row_values().items()}}


def decide(
    transcript: Transcript,
    hold_below: float,
    entry: LibraryEntry | None = None,
    *,
    hold_errors: float = ERRORS_C,
) -> HoldDecision:
    """Decide whether a transcript is published or held for review.

    It is held if less than `hold_below` of its speech is covered and free of doubt, and if
    `hold_errors` of its words or more are likely wrong (1 for never; `hold_below` 0 turns both
    off). `entry`: the item in the library; a transcript that was accepted there is not held.
    """
    if entry is not None and entry.accepted:
        return HoldDecision("done")
    if transcript.truncated:
        return HoldDecision("held", _truncated(transcript))
    lost_s = transcript.coverage.lost_s
    if lost_s >= max(HOLD_LOST_S, HOLD_LOST_SHARE * _whole_s(transcript)):
        return HoldDecision("held", _lost(transcript))
    if transcript.coverage.trusted < hold_below:
        return HoldDecision("held", _doubtful(transcript))
    errors = transcript.expected_errors
    if errors is not None and hold_below > 0 and hold_errors <= errors.share and hold_errors < 1:
        return HoldDecision("held", _misheard(transcript, errors.share))
    return HoldDecision("done")


def _whole_s(transcript: Transcript) -> float:
    """Return the length of the medium with the lost sound behind its end."""
    end_s = transcript.media.duration_s
    return max([end_s, *(span.end_s for span in transcript.coverage.lost)])


def _lost(transcript: Transcript) -> KBError:
    lost = transcript.coverage.lost
    return KBError(
        "hold.lost",
        "The medium lost {lost_s:.0f} s of its {whole_s:.0f} s of sound, the first at "
        "{start_s:.0f} s.",
        hint=_BRING_WHOLE_FILE,
        lost_s=transcript.coverage.lost_s,
        whole_s=_whole_s(transcript),
        start_s=lost[0].start_s,
    )


def _truncated(transcript: Transcript) -> KBError:
    if not transcript.warnings:
        return KBError(
            "hold.truncated",
            "The file looks truncated.",
            hint=_BRING_WHOLE_FILE,
        )
    return KBError(
        "hold.truncated_because",
        "{warning}",
        hint=_BRING_WHOLE_FILE,
        warning=transcript.warnings[0],
    )


def _misheard(transcript: Transcript, share: float) -> KBError:
    one_in = one_word_in(share)
    grade = transcript.grade or "C"
    if one_in == 1:
        return KBError(
            "hold.most_words",
            "Grade {grade}: most words may be wrong ({share:.0%} are expected to be).",
            hint=_READ_BETTER,
            grade=grade,
            share=share,
        )
    return KBError(
        "hold.wrong_words",
        "Grade {grade}: about 1 word in {one_in} may be wrong ({share:.0%} are expected to be).",
        hint=_READ_BETTER,
        grade=grade,
        one_in=one_in,
        share=share,
    )


def _doubtful(transcript: Transcript) -> KBError:
    found = transcript.coverage
    missing_s = found.speech_s - found.covered_s
    names = sorted({s.name for window in transcript.windows for s in window.flags})
    values: dict[str, Any] = {
        "grade": transcript.grade or found.grade,
        "missing_s": missing_s,
        "ratio": found.ratio,
        "suspect_s": found.suspect_s,
        "why": f" ({', '.join(map(flag_words, names))})" if names else "",
        "signs": ",".join(names),  # for the page, in its own language
    }
    if found.suspect_s <= 0:
        return KBError(
            "hold.missing",
            "Grade {grade}: {missing_s:.1f} s of detected speech carry no words ({ratio:.0%} "
            "covered).",
            hint=_LISTEN,
            **values,
        )
    if missing_s <= 0:
        return KBError(
            "hold.doubtful",
            "Grade {grade}: {suspect_s:.1f} s of the text are doubtful{why}.",
            hint=_LISTEN,
            **values,
        )
    return KBError(
        "hold.missing_and_doubtful",
        "Grade {grade}: {missing_s:.1f} s of detected speech carry no words ({ratio:.0%} "
        "covered); {suspect_s:.1f} s of the text are doubtful{why}.",
        hint=_LISTEN,
        **values,
    )


def is_asked(entry: LibraryEntry) -> bool:
    """Return True if an item is held with the question about a new version of its medium."""
    problem = entry.problem
    return entry.state == "held" and problem is not None and problem["code"] == ASKED


def waits_for_review(entry: LibraryEntry) -> bool:
    """Return True for a transcript that is held or doubtful and that no person has accepted."""
    if is_asked(entry):
        return entry.transcript_path is not None
    return (
        entry.transcript_path is not None
        and not entry.accepted
        and (entry.state == "held" or uncertain_s(entry) > 0 or is_misheard(entry))
    )


def is_misheard(entry: LibraryEntry) -> bool:
    """Return whether so many words are likely wrong that the grade is C for it."""
    return entry.expected_errors is not None and entry.expected_errors >= ERRORS_C


def uncertain_s(entry: LibraryEntry) -> float:
    """Return the approximate uncertain seconds of an item.

    Only the metadata are read, because a library may be large.
    """
    coverage = entry.transcribed.get("coverage")
    if not isinstance(coverage, dict):
        return 0.0
    speech_s, covered_s, suspect_s = (
        float(value) if isinstance(value := coverage.get(name), int | float) else 0.0
        for name in ("speech_s", "covered_s", "suspect_s")
    )
    return max(0.0, speech_s - covered_s) + suspect_s
