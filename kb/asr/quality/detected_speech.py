"""The detected speech of a window in its context, and the level of its spoken words."""

from __future__ import annotations

from dataclasses import replace

from kb.asr.audio.speech_evidence import SpeechEvidence, SpokenLevel
from kb.asr.audio.vad import (
    CLEAR_THRESHOLD,
    LEDGER_THRESHOLD,
    SURE_THRESHOLD,
    Audio,
    SpeechRule,
    spans,
)
from kb.asr.quality.window_context import WindowContext
from kb.asr.quality.word_checks import sure_words


def with_detection(
    context: WindowContext,
    near: tuple[Audio, float],
    evidence: SpeechEvidence,
    level: SpokenLevel,
) -> WindowContext:
    """Return the context with the detected speech, and with the evidence for single words.

    `near`: the probabilities of the frames around the window, and the time of the first. Words are
    added to the `level` only where the window has a word that needs evidence. A window without
    words has the level of those before: second readings may find words there.
    """
    speech, sure, clear = (
        tuple(spans(near[0], SpeechRule(threshold), offset_s=near[1]))
        for threshold in (LEDGER_THRESHOLD, SURE_THRESHOLD, CLEAR_THRESHOLD)
    )
    context = replace(context, speech=speech, sure=sure, clear=clear, evidence=evidence)
    spoken = level.of(sure_words(context), evidence, len(context.words))
    return replace(context, spoken_sound=spoken)
