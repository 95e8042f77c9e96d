"""Reads one medium with a queue of windows: in the model's process, or in a reader."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kb.asr.audio.vad import SpeechDetector
from kb.asr.batching.window_queue import OtherEngine, WindowQueue
from kb.asr.quality.repair_budget import RepairBudget
from kb.asr.recognizer import Recognizer, Slots
from kb.inference.track_choice import transcribe_tracks
from kb.inference.transcription_options import TranscriptionOptions
from kb.media.decode import AudioStream, decode
from kb.settings import Settings
from kb.types import MediaRef, Transcript

if TYPE_CHECKING:
    from kb.asr.first_readings import OnText


def check_medium(path: Path, options: TranscriptionOptions, settings: Settings) -> None:
    """Raise MediaUnavailable for a file that cannot be read, before a model is loaded."""
    track = int(options.track) if options.track.isdecimal() else None
    decode(path, track=track, longest_s=(options.settings or settings).longest_s)


def read_medium(
    path: Path,
    options: TranscriptionOptions,
    settings: Settings,
    queue: WindowQueue,
    *,
    began: float,
    detector: SpeechDetector,
    slots: Slots | None,
    other: OtherEngine | None,
    budget: RepairBudget,
    sha256: str,
    shown_as: str,
    cpu_reason: str,
    device: str,
    progress: Callable[[float], None] | None,
    cancelled: Callable[[], bool] | None,
    on_text: OnText | None,
) -> Transcript:
    """Return the transcript of a medium; see `kb.inference.session.InferenceSession.transcribe`.

    `slots` limits how many media are decoded and cut at once; `began` is the time of the request by
    `time.perf_counter`.
    """
    queue_s = round(time.perf_counter() - began, 3)
    recognizer = Recognizer(
        queue,
        options.preset,
        language=options.language,
        detect_speech=options.detect_speech,
        detector=detector,
        preparations=slots,
        settings=options.settings or settings,
        fallback=other,
        hotwords=options.hotwords,
        temperature=options.temperature,
        languages=options.languages,
        task=options.task,
        repair_budget=budget,
        urgent=options.urgent,
        speech_limits=options.speech_limits,
    )
    known = options.known_words

    def read(stream: AudioStream) -> Transcript:
        # They are of the sound of one track, whichever others are read.
        is_known = known is not None and known.track in (None, stream.track.number)
        return recognizer.transcribe(
            stream,
            MediaRef(shown_as or str(path), sha256, 0.0),
            expected_s=stream.probe.duration_s,
            progress=progress,
            cancelled=cancelled,
            on_text=on_text,
            known_words=known if is_known else None,
        )

    transcript = transcribe_tracks(
        path,
        options.track,
        read,
        normalize=options.normalize,
        filters=options.filters,
        longest_s=(options.settings or settings).longest_s,
    )
    elapsed_s = round(time.perf_counter() - began, 3)
    return replace(
        transcript,
        timing=replace(transcript.timing, total_s=elapsed_s),
        serving=replace(transcript.serving, device=device, queue_s=queue_s),
        cpu_reason=cpu_reason,
    )
