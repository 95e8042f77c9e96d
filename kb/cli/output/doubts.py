"""Output about the doubts of a transcript: expected errors and uncertain spans."""

from __future__ import annotations

from kb.cli.output.console import print_note
from kb.cli.output.items import expected_share
from kb.service.notation import format_timestamp
from kb.types import Transcript
from kb.types.quality import flag_words, likely_wrong
from kb.types.sentences import counted

_CAUSES = {
    "narrow_band": "Likely cause: only low frequencies were recorded, as on a telephone.",
    "clipped": "Likely cause: it was recorded too loud and is clipped.",
    "very_quiet": "Likely cause: it was recorded very quietly.",
    "reverberant": "Likely cause: the room echoes, or the microphone was far away.",
    "fast": "Likely cause: it is spoken fast.",
}


def print_expected_errors(transcript: Transcript, limit: int = 10) -> None:
    """Print the share of words that are likely wrong, where they are, and what helps."""
    errors = transcript.expected_errors
    if errors is None:
        if transcript.coverage_known:  # else a remark says that nothing was checked
            print_note("Expected errors: not measured for this recognizer.")
        return
    print_note(f"Expected errors: {expected_share(errors.share)}: {likely_wrong(errors.share)}")
    if errors.grade == "A":
        return
    causes = transcript.sound.causes if transcript.sound else ()
    for cause in causes:
        print_note(f"  {_CAUSES[cause]}")
    if "very_quiet" in causes:
        print_note("  KB_NORMALIZE_LOUDNESS=1 makes it louder: kb ingest FILE --again")
    print_note("  A larger model may read it better: kb review ID --retry --model NAME")
    for each in errors.passages[:limit]:
        print_note(
            f"  {format_timestamp(each.start_s)} - {format_timestamp(each.end_s)}  "
            f"{likely_wrong(each.share)}"
        )
    if len(errors.passages) > limit:
        print_note(f"  … and {len(errors.passages) - limit} more (see --json)")


def print_uncertain_spans(transcript: Transcript, limit: int = 10) -> None:
    """Print the uncertain spans with their reasons; nothing if there are none."""
    spans = transcript.doubtful_spans
    if not spans:
        return
    flags = [sign for window in transcript.windows for sign in window.flags]
    total_s = sum(span.duration_s for span in spans)
    print_note(f"Doubtful: {total_s:.1f} s in {counted(len(spans), 'place')}")
    for span in spans[:limit]:
        names = {s.name for s in flags if s.start_s < span.end_s and s.end_s > span.start_s}
        reasons = ", ".join(map(flag_words, sorted(names))) or "no words"
        print_note(
            f"  {format_timestamp(span.start_s)} - {format_timestamp(span.end_s)}  {reasons}"
        )
    if len(spans) > limit:
        print_note(f"  … and {len(spans) - limit} more (see --json)")
