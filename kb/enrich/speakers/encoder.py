"""Voice embeddings with Resemblyzer's network: windows of 1.6 s to unit vectors of 256 values.

The network is an LSTM of three layers (Wan et al., "Generalized end-to-end loss for speaker
verification", 2018) over 40 mel bands of 25 ms windows every 10 ms, power and not its logarithm,
at a level of -30 dBFS.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kb.errors import ModelUnavailable
from kb.media import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import torch

WINDOW_S = 1.6
_BANDS, _SIZE, _LAYERS = 40, 256, 3
_FFT, _HOP = SAMPLE_RATE_HZ // 40, SAMPLE_RATE_HZ // 100
_FRAMES = 160  # of a window
_LEVEL = 10 ** (-30 / 20)  # of the sound that the network was trained with
_AT_ONCE = 16  # windows: more are no faster, and each takes 4 MB

Samples = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]


class VoiceEncoder:
    """The network on the CPU, in one thread."""

    def __init__(self, weights: Path) -> None:
        """Load the network. Raises ModelUnavailable for a file that is not its weights."""
        import torch

        torch.set_num_threads(1)
        self._lstm = torch.nn.LSTM(_BANDS, _SIZE, _LAYERS, batch_first=True)
        self._linear = torch.nn.Linear(_SIZE, _SIZE)
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
            for name, module in (("lstm.", self._lstm), ("linear.", self._linear)):
                own = {key[len(name) :]: v for key, v in state.items() if key.startswith(name)}
                module.load_state_dict(own)
        except Exception as error:  # torch has no common class for what a bad file raises
            raise ModelUnavailable(
                "speakers.bad_weights",
                "{path} is not the speaker model: {cause}",
                hint="Fetch it again: kb models add speakers",
                path=weights,
                cause=str(error).splitlines()[0] if str(error) else type(error).__name__,
            ) from error
        self._filters = torch.from_numpy(mel_filters())
        self._window = torch.hann_window(_FFT)

    def embed(self, sound: Samples, starts: npt.NDArray[np.int64]) -> Vectors:
        """Return a unit vector for the window at each of these samples, [windows, 256].

        The sound is padded with silence. A window's level is made that of the training.
        """
        import torch

        found: list[Vectors] = []
        length = round(WINDOW_S * SAMPLE_RATE_HZ)
        padded = np.pad(sound, (0, length))
        windows = np.lib.stride_tricks.sliding_window_view(padded, length)
        with torch.inference_mode():
            for begin in range(0, len(starts), _AT_ONCE):
                chosen = torch.from_numpy(windows[starts[begin : begin + _AT_ONCE]].copy())
                _, (hidden, _) = self._lstm(self._mels(chosen))
                raw = torch.relu(self._linear(hidden[-1]))
                norm = raw.norm(dim=1, keepdim=True).clamp(min=1e-9)
                found.append((raw / norm).numpy())
        return np.concatenate(found) if found else np.zeros((0, _SIZE), np.float32)

    def _mels(self, windows: torch.Tensor) -> torch.Tensor:
        """Return [windows, frames, bands]."""
        import torch

        level = windows.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
        spectrum = torch.stft(
            windows * (_LEVEL / level), _FFT, _HOP, window=self._window, center=True,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        power = spectrum[..., :_FRAMES].abs().square()
        return (self._filters @ power).transpose(1, 2)


def mel_filters() -> npt.NDArray[np.float32]:
    """Return Slaney's mel filters of equal area, [bands, frequencies]."""
    edges = _hertz(np.linspace(0.0, _mel(SAMPLE_RATE_HZ / 2), _BANDS + 2))
    bins = np.linspace(0.0, SAMPLE_RATE_HZ / 2, _FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None], np.float32)


_BREAK_HZ, _PER_MEL = 1000.0, 200.0 / 3  # linear below a kilohertz, logarithmic above
_LOG_STEP = np.log(6.4) / 27


def _mel(hertz: float) -> float:
    if hertz < _BREAK_HZ:
        return hertz / _PER_MEL
    return float(_BREAK_HZ / _PER_MEL + np.log(hertz / _BREAK_HZ) / _LOG_STEP)


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    knee = _BREAK_HZ / _PER_MEL
    return np.where(mels < knee, mels * _PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mels - knee)))
