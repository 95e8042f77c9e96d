"""Diarization with Nemotron-3-Diarization (`Nemotron3DiarizationForAudioFrameClassification`).

The network says for each 10 ms which of up to eight speakers talk; several may at once. It reads
the sound in blocks and carries what it knows of the voices from one to the next, so that memory
does not grow with the length. Blocks, look-ahead and the memory of voices have the sizes that the
model's configuration gives for a whole recording: the result is that of the model over all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kb.enrich.speakers.diarization import Diarization, Progress, Turn
from kb.errors import ModelUnavailable
from kb.media import SAMPLE_RATE_HZ
from kb.media.decode import decode

if TYPE_CHECKING:
    import torch

FRAME_S = 0.01
LEAST_CHANCE = 0.5  # from which a speaker talks in a frame
LONGEST_GAP = 25  # frames between two turns of one speaker that are one
SHORTEST_TURN = 10  # frames

Samples = npt.NDArray[np.float32]
Chances = npt.NDArray[np.float32]


def diarize(
    path: Path, folder: Path, *, track: int | None = None, progress: Progress = lambda _: None
) -> Diarization:
    """Return the turns of a medium's speakers, without their voices.

    `folder` has the model. Raises the errors of `decode`, and ModelUnavailable.
    """
    model, turns = Model(folder), _Turns()
    with decode(path, track=track) as stream:
        length_s = stream.probe.duration_s or 0.0
        for chances in model.chances(iter(stream)):
            turns.add(chances)
            progress(min(1.0, turns.seconds / length_s) if length_s else 0.0)
    return turns.diarization()


class Model:
    """The network on the CPU, in one thread."""

    def __init__(self, folder: Path) -> None:
        """Load the network. Raises ModelUnavailable for a folder that is not this model."""
        import torch
        from transformers import (
            Nemotron3DiarizationForAudioFrameClassification,
            NemotronAsrStreamingFeatureExtractor,
        )

        torch.set_num_threads(1)
        try:
            self._features = NemotronAsrStreamingFeatureExtractor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            self._network, about = Nemotron3DiarizationForAudioFrameClassification.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # transformers has no common class for what a bad file raises
            raise bad_model(folder, str(error) or type(error).__name__) from error
        lacking = [*about["missing_keys"], *about["mismatched_keys"]]
        if lacking:  # they would have random values
            raise bad_model(folder, f"no weights for {lacking[0]}")
        bins = self._network.config.audio_config.num_mel_bins
        if self._features.feature_size != bins:
            raise bad_model(folder, f"{self._features.feature_size} bands of sound, not {bins}")
        self._network.eval()

    def chances(self, blocks: Iterator[Samples]) -> Iterator[Chances]:
        """Yield how sure it is that each speaker talks, [frames, speakers], in order of time."""
        import torch
        from transformers.models.nemotron3_diarization.modeling_nemotron3_diarization import (
            Nemotron3DiarizationSpeakerCache,
        )

        config = self._network.config
        factor = config.audio_config.subsampling_factor
        block, ahead = config.chunk_length, config.chunk_right_context
        before = config.chunk_left_context
        known = Nemotron3DiarizationSpeakerCache(
            config.streaming_config, config.fifo_length, config.speaker_cache_update_period
        )
        held: torch.Tensor | None = None  # from the first frame of the look-back on
        back = 0  # frames of the network at the start of `held` that are look-back

        def read(length: int, look_ahead: int) -> Chances:
            """Return the chances of the next `length` frames of the network."""
            nonlocal held, back
            assert held is not None
            given = held[:, : (back + length + look_ahead) * factor]
            with torch.inference_mode():
                found = self._network(
                    given,
                    speaker_cache=known,
                    num_lookahead_frames=look_ahead,
                    num_lookback_frames=back,
                )
            kept = min(before, back + length)
            held = held[:, (back + length - kept) * factor :]
            back = kept
            return np.asarray(found.logits[0].sigmoid().float().numpy(), np.float32)

        for features in self._mel(blocks):
            held = features if held is None else torch.cat([held, features], dim=1)
            while held.shape[1] >= (back + block + ahead) * factor:
                yield read(block, ahead)
        if held is None:
            return
        while (left := -(-held.shape[1] // factor) - back) > 0:
            length = min(block, left)
            yield read(length, min(ahead, left - length))

    def _mel(self, blocks: Iterator[Samples]) -> Iterator[torch.Tensor]:
        """Yield the bands of the sound, [1, frames, bands], as those of the whole sound are."""
        half, hop = self._features.n_fft // 2, self._features.hop_length
        held, is_first = np.zeros(0, np.float32), True
        for each in blocks:
            held = np.concatenate([held, each])
            if held.size < 2 * SAMPLE_RATE_HZ:
                continue
            made = self._extract(held, center=is_first)
            if is_first:  # the last windows reach past this block
                made = made[:, : (held.size - half) // hop + 1]
            yield made
            # A later block begins half a window before its first frame.
            held = held[made.shape[1] * hop - (half if is_first else 0) :]
            is_first = False
        if held.size and (is_first or held.size > half):
            made = self._extract(held, center=is_first, is_last_audio_chunk=not is_first)
            if made.shape[1]:
                yield made

    def _extract(self, sound: Samples, **how: bool) -> torch.Tensor:
        made: Any = self._features(sound, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", **how)
        frames: torch.Tensor = made["input_features"]
        return frames[:, : int(made["attention_mask"].sum())]


class _Turns:
    """Turns of speakers, added to block by block."""

    def __init__(self) -> None:
        self._at = 0
        self._found: list[tuple[int, int, int]] = []  # first frame, frame behind the last, speaker
        self._last: dict[int, int] = {}  # the place in `_found` of a speaker's last turn

    @property
    def seconds(self) -> float:
        return self._at * FRAME_S

    def add(self, chances: Chances) -> None:
        active = np.pad(chances > LEAST_CHANCE, ((1, 1), (0, 0))).astype(np.int8)
        for speaker in range(active.shape[1]):
            changes = np.diff(active[:, speaker])
            starts, ends = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
            for start, end in zip((starts + self._at).tolist(), (ends + self._at).tolist(),
                                  strict=True):  # fmt: skip
                self._add(start, end, speaker)
        self._at += len(chances)

    def _add(self, start: int, end: int, speaker: int) -> None:
        place = self._last.get(speaker)
        if place is not None and start - self._found[place][1] <= LONGEST_GAP:
            self._found[place] = (self._found[place][0], end, speaker)
            return
        self._last[speaker] = len(self._found)
        self._found.append((start, end, speaker))

    def diarization(self) -> Diarization:
        """Return the turns; speakers are numbered by their speaking time."""
        turns = sorted(turn for turn in self._found if turn[1] - turn[0] >= SHORTEST_TURN)
        spoken: dict[int, int] = {}
        for start, end, speaker in turns:
            spoken[speaker] = spoken.get(speaker, 0) + end - start
        order = sorted(spoken, key=lambda speaker: -spoken[speaker])
        place = {speaker: number for number, speaker in enumerate(order)}
        return Diarization(
            tuple(Turn(a * FRAME_S, b * FRAME_S, place[speaker]) for a, b, speaker in turns),
            len(order),
        )


def bad_model(folder: Path, cause: str) -> ModelUnavailable:
    """Return the error of a folder that is not this model."""
    return ModelUnavailable(
        "speakers.bad_model",
        "{path} has no Nemotron-3-Diarization model: {cause}",
        hint="Put its files there again (config.json, preprocessor_config.json, "
        "model.safetensors), or leave KB_SPEAKER_MODEL empty.",
        path=folder,
        cause=cause.splitlines()[0],
    )
