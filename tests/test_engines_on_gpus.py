"""What engines do differently on a GPU, asked without one.

Torch's `meta` device has no data and stands apart from the CPU as a GPU does: what is left
behind on the host, and what reads a number back from the device, fails there as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpu.manager import GPUManager
from kb.asr.engines.parakeet import ParakeetEngine
from kb.asr.windows import Window
from tests.engines import write_parakeet

CPU = GPUManager("cpu", cpu_threads=1)


class Elsewhere(GPUManager):
    """A device that is not the CPU."""

    device = "meta"
    dtype = torch.float16


def noise(seconds: float) -> Window:
    rng = np.random.default_rng(3)
    return Window(0, 0.0, rng.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32))


def test_parakeet_s_sound_gets_to_the_device(tmp_path: Path) -> None:
    engine: Any = ParakeetEngine.load(str(write_parakeet(tmp_path, "ctc")), CPU)
    windows = [noise(2.0), noise(1.0)]
    here, heard = engine._features(windows)
    assert heard.sum(-1).tolist() == [200, 100] and here[0, :200].abs().min() > 0
    engine._manager = Elsewhere("cpu")
    features, mask = engine._features(windows)
    assert features.device.type == mask.device.type == "meta"
    assert features.shape == here.shape and features.dtype == torch.float16
    assert mask.shape == heard.shape
