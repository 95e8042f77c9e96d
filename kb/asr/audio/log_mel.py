"""Log-mel spectrograms in torch, on the device of the recognizer.

The values equal those of `WhisperFeatureExtractor` (a test compares them). This class computes
a whole batch at once and leaves the result on the device; the extractor copies it back to the
host even with `device=`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kb.asr.audio.vad import Audio

if TYPE_CHECKING:
    import torch

_LEAST = 1e-10  # lower bound of the power: log10(0) is not finite


class LogMel:
    """Whisper's log-mel spectrogram: 25 ms windows, 10 ms hop, log10 clamped to maximum - 8."""

    def __init__(self, extractor: Any, device: str, *, whole: bool = False) -> None:
        """`whole`: always compute the whole window, in tensors of one length."""
        import torch

        self._whole = whole
        self._staging: torch.Tensor | None = None
        self._copied: torch.cuda.Event | None = None
        self._samples = int(extractor.n_samples)
        self._n_fft = int(extractor.n_fft)
        self._hop = int(extractor.hop_length)
        self._filters = torch.tensor(
            np.asarray(extractor.mel_filters), dtype=torch.float32, device=device
        )
        self._window = torch.hann_window(self._n_fft, device=device)
        self._device = device

    def __call__(self, audio: Sequence[Audio], rows: int = 0) -> torch.Tensor:
        """Return [batch, mels, frames] float32 of [batch][samples] at 16 kHz, padded with 0.

        With `rows` above the number of inputs, silent ones follow them.
        """
        import torch

        frames = self._samples // self._hop
        longest = max((min(piece.size, self._samples) for piece in audio), default=0)
        if self._whole:
            longest = self._samples
        # Frames after the longest input are silence with a known value: they are not computed.
        used_frames = min(frames, -(-(longest + self._n_fft) // self._hop))
        size = min(self._samples, used_frames * self._hop + self._n_fft)
        signal = self._on_device(audio, max(rows, len(audio)), size)
        # On a CPU one by one, so that all steps of an input stay in the processor's cache.
        parts = torch.split(signal, 1) if self._device == "cpu" and not self._whole else [signal]
        mel = torch.cat([self._log_mel(part, used_frames) for part in parts])
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        mel = torch.nn.functional.pad(mel, (0, frames - used_frames), value=math.log10(_LEAST))
        return (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0

    def _log_mel(self, signal: torch.Tensor, frames: int) -> torch.Tensor:
        """Return the logarithm of the mel bands, [batch, mels, frames], of [batch, samples]."""
        import torch

        spectrum = torch.stft(
            signal, self._n_fft, self._hop, window=self._window, return_complex=True
        )[..., :frames]
        # (`abs` takes a square root, which is most of the time on a CPU.)
        power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)
        return torch.clamp(self._filters.T @ power, min=_LEAST).log10()

    def _on_device(self, audio: Sequence[Audio], rows: int, size: int) -> torch.Tensor:
        """Return the inputs on the device, [rows, size], padded with 0."""
        import torch

        batch = self._host_memory(rows, size)
        numbers = batch.numpy()
        for number, row in enumerate(numbers):
            used = min(audio[number].size, size) if number < len(audio) else 0
            if used:
                row[:used] = audio[number][:used]
            row[used:] = 0.0
        if not self._device.startswith("cuda"):
            return batch.to(self._device)
        signal = batch.to(self._device, non_blocking=True)
        self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._copied.record()
        return signal

    def _host_memory(self, rows: int, size: int) -> torch.Tensor:
        """Return memory for the inputs, [rows, size], of any content.

        For an NVIDIA card it is page-locked and kept: the copy of 56 windows takes 4 ms instead of
        11, and the host does not wait for it.
        """
        import torch

        if not self._device.startswith("cuda"):
            return torch.empty(rows, size)
        if self._copied is not None:
            self._copied.synchronize()  # the last batch has been read
        if self._staging is None or self._staging.numel() < rows * size:
            self._staging = torch.empty(rows * size, pin_memory=True)
        return self._staging[: rows * size].view(rows, size)
