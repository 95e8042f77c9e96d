"""Speech detection with Silero VAD, as a stream.

The detector is one ONNX file in the faster-whisper package, computed in another order
(`kb.asr.audio.silero`). The file is read by its path, because an import of silero-vad would set
torch to one thread for the whole process, and an import of faster-whisper would load a second
inference engine that is not needed here. The rule for the borders of a span (start above `on`, end
after a short time below `off`) is Silero's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kb.asr import SAMPLE_RATE
from kb.asr.audio.silero import CONTEXT, FRAME, STATE, batched_network
from kb.errors import ModelUnavailable
from kb.types import SpeechLimits, SpeechSpan

Audio = npt.NDArray[np.float32]

FRAME_S = FRAME / SAMPLE_RATE  # 0.032 s

CUT_THRESHOLD = 0.35  # for cutting windows: lower than Silero's 0.5, because missed speech is lost
SURE_THRESHOLD = 0.7  # 0.1 % of spoken words are outside, half of those that are invented on noises
CLEAR_THRESHOLD = 0.95  # nine in ten of the unlikely words at the end of a stretch reach it
LEDGER_THRESHOLD = 0.25  # for the coverage ledger: lower, to find missed speech
TOGETHER = 4  # sounds of one batch; more need longer silences at their ends and gain nothing
HYSTERESIS = 0.15  # speech ends this far below its start threshold (Silero's value)
MIN_SILENCE_S = 0.1  # shorter dips stay inside a span


def model_path() -> Path:
    """Return the path of the detector's ONNX file.

    Raises ModelUnavailable if the package that carries it is missing or has no such file.
    """
    spec = find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        found = sorted(Path(folder, "assets").glob("silero_vad*.onnx"))
        if found:
            return found[-1]
    raise ModelUnavailable(
        "model.no_speech_detector",
        "The speech detector is missing: the faster-whisper package carries no silero_vad*.onnx.",
        hint="Install it again: pip install 'faster-whisper==1.2.*'",
    )


class SpeechDetector:
    """Silero VAD; one instance serves any number of streams, in sequence or in threads."""

    def __init__(self, threads: int = 1) -> None:
        """Load the network. Raises ModelUnavailable if its file is missing or another one."""
        import onnxruntime as ort

        ort.disable_telemetry_events()  # on Windows the variable of `kb/__init__.py` has no effect
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        path = model_path()
        try:
            network = batched_network(path.read_bytes())
        except ValueError as error:
            raise ModelUnavailable(
                "model.other_speech_detector",
                "The speech detector {file} is not Silero VAD version 6: {cause}",
                hint="Install it again: pip install 'faster-whisper==1.2.*'",
                file=path,
                cause=error,
            ) from error
        self._session = ort.InferenceSession(
            network, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> SpeechStream:
        """Return a new stream: push blocks, read probabilities."""
        return SpeechStream(self._session)

    def probabilities(self, audio: Audio) -> Audio:
        """Return the speech probabilities of a whole sound, one a FRAME; the last is padded."""
        return self.probabilities_of([audio])[0]

    def probabilities_of(self, sounds: Sequence[Audio]) -> list[Audio]:
        """Return the speech probabilities of several sounds, computed together by length.

        The recurrent layer goes from frame to frame; several short sounds at once cost it hardly
        more than one.
        """
        found: list[Audio] = [np.zeros(0, np.float32)] * len(sounds)
        order = sorted(range(len(sounds)), key=lambda n: sounds[n].size)
        for first in range(0, len(order), TOGETHER):
            group = order[first : first + TOGETHER]
            for n, each in zip(group, self._together([sounds[n] for n in group]), strict=True):
                found[n] = each
        return found

    def _together(self, sounds: Sequence[Audio]) -> list[Audio]:
        counts = [-(-sound.size // FRAME) for sound in sounds]
        if not max(counts):
            return [np.zeros(0, np.float32) for _ in sounds]
        # An end that is padded changes no probability before it.
        history = np.zeros((len(sounds), CONTEXT + max(counts) * FRAME), np.float32)
        for row, sound in zip(history, sounds, strict=True):
            row[CONTEXT : CONTEXT + sound.size] = sound
        windows = np.lib.stride_tricks.sliding_window_view(history, CONTEXT + FRAME, axis=1)
        frames = windows[:, ::FRAME].swapaxes(0, 1).reshape(-1, CONTEXT + FRAME)
        state = np.zeros((1, len(sounds), STATE), np.float32)
        probabilities, _, _ = self._session.run(None, {"frames": frames, "h": state, "c": state})
        by_sound = np.asarray(probabilities, np.float32).reshape(-1, len(sounds)).T
        return [row[:count].copy() for row, count in zip(by_sound, counts, strict=True)]


class SpeechStream:
    """The detector's state over one medium."""

    def __init__(self, session: object) -> None:
        self._session = session
        self._h = np.zeros((1, 1, STATE), np.float32)
        self._c = np.zeros((1, 1, STATE), np.float32)
        self._tail = np.zeros(CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)

    def push(self, block: Audio) -> Audio:
        """Return speech probabilities (one a FRAME) of all frames now complete; may be empty."""
        audio = np.concatenate([self._rest, block]) if self._rest.size else block
        whole = audio.size // FRAME * FRAME
        self._rest = audio[whole:].copy()
        return self._run(audio[:whole])

    def finish(self) -> Audio:
        """Return the probability of the last, incomplete frame (padded with silence), if any."""
        rest, self._rest = self._rest, np.zeros(0, np.float32)
        return self._run(np.pad(rest, (0, -rest.size % FRAME)))

    def _run(self, audio: Audio) -> Audio:
        if not audio.size:
            return np.zeros(0, np.float32)
        history = np.concatenate([self._tail, audio])
        self._tail = audio[-CONTEXT:].copy()
        frames = np.lib.stride_tricks.sliding_window_view(history, CONTEXT + FRAME)[::FRAME]
        probabilities, self._h, self._c = self._session.run(  # type: ignore[attr-defined]
            None, {"frames": np.ascontiguousarray(frames), "h": self._h, "c": self._c}
        )
        return np.asarray(probabilities, np.float32).reshape(-1)


@dataclass(frozen=True, slots=True)
class SpeechRule:
    """The parameters of the rule that turns probabilities into spans."""

    threshold: float = CUT_THRESHOLD
    hysteresis: float = HYSTERESIS
    min_silence_s: float = MIN_SILENCE_S

    @property
    def low(self) -> float:
        """The probability below which speech ends."""
        return max(self.threshold - self.hysteresis, 0.01)

    @classmethod
    def of(cls, limits: SpeechLimits | None, threshold: float) -> SpeechRule:
        """Return the rule of a caller's limits; `threshold` counts where they have none."""
        limits = limits or SpeechLimits()
        given, silence_s = limits.threshold, limits.silence_s
        return cls(
            threshold if given is None else given,
            min_silence_s=MIN_SILENCE_S if silence_s is None else max(silence_s, FRAME_S),
        )


def spans(
    probabilities: Audio, rule: SpeechRule | None = None, *, offset_s: float = 0.0
) -> list[SpeechSpan]:
    """Return the spans of speech in a sequence of probabilities, in seconds plus `offset_s`.

    A span starts at a frame that reaches the threshold and ends when the probability has been
    below threshold minus hysteresis for `min_silence_s`. There is no minimum length: one loud
    syllable is speech.
    """
    rule = rule or SpeechRule()
    low = rule.low
    patience = max(1, round(rule.min_silence_s / FRAME_S))
    found: list[SpeechSpan] = []
    start: int | None = None
    quiet_from: int | None = None
    for index, probability in enumerate(probabilities.tolist()):
        if start is None:
            if probability >= rule.threshold:
                start = index
            continue
        if probability >= low:
            quiet_from = None
            continue
        if quiet_from is None:
            quiet_from = index
        if index - quiet_from + 1 >= patience:
            found.append(_span(start, quiet_from, offset_s))
            start = quiet_from = None
    if start is not None:
        found.append(_span(start, quiet_from or len(probabilities), offset_s))
    return found


def _span(first: int, end: int, offset_s: float) -> SpeechSpan:
    return SpeechSpan(offset_s + first * FRAME_S, offset_s + end * FRAME_S)
