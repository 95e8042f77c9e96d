"""How fast this machine reads sound, as far as that has been measured."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

from kb.service import Service
from kb.settings import Settings

RECENT = 50  # items that count


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds of sound a second (None where nothing was measured), and what it is taken from:
    `preset` (this very preset), `model` (another preset with this model) or nothing."""

    rtfx: float | None = None
    basis: str = ""


def expected(service: Service, preset: str, model: str | None) -> Expected:
    """What a preset will do with a model, by what this machine has done before.

    Raises LibraryError.
    """
    if model is None:
        return Expected()
    me = service.jobs.own_name
    done = [
        speed
        for speed in service.hardware.speeds(limit=500)
        if speed.executor_id == me and speed.model == model and speed.asr_s > 0
    ]
    same = [speed for speed in done if speed.preset == preset][:RECENT]
    found = same or done[:RECENT]
    if not found:
        return Expected()
    rtfx = sum(speed.media_s for speed in found) / sum(speed.asr_s for speed in found)
    return Expected(rtfx, "preset" if same else "model")


def model_in_use(settings: Settings, asked: str | None) -> str | None:
    """The model of a run; None while this machine's own choice is still being found out."""
    return asked or settings.model or _Choice.of(settings).name


class _Choice:
    """The model that suits this machine: to know it, PyTorch has to be loaded."""

    def __init__(self, settings: Settings) -> None:
        self.name: str | None = None
        self._settings = settings
        threading.Thread(target=self._find, name="model-choice", daemon=True).start()

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, settings: Settings) -> _Choice:
        return cls(settings)

    def _find(self) -> None:
        self.name = Service(self._settings).recognition.model_name()
