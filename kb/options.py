"""What a run may choose: a preset with its knobs, a recognizer, a language, sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gpu.presets import Preset, find_preset, load_presets, override
from kb.settings import Settings
from kb.types import Timestamps


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The choices of one run; None takes the setting, or the preset's figure.

    Times in seconds. `keep`: audio, mp3 or mp4, what a download
    leaves. `again` transcribes what is already there once more; `detect_speech`
    off tiles the sound instead of cutting at pauses. `metadata` are the user's own fields for
    knowledge bases; None keeps those that an item has there. `captions_first` makes captions
    searchable until the transcript is there.
    """

    preset: str | None = None
    batch_size: int | None = None
    chunk_s: float | None = None
    overlap_s: float | None = None
    workers: int | None = None
    timestamps: Timestamps | None = None
    model: str | None = None
    engine: str | None = None
    language: str | None = None
    sinks: tuple[str, ...] | None = None
    keep: str | None = None
    again: bool = False
    detect_speech: bool = True
    metadata: Mapping[str, str] | None = None
    captions_first: bool | None = None

    def resolve_preset(self, settings: Settings) -> Preset:
        """The preset with this run's knobs put in.

        Raises SettingsError for an unknown preset or a figure out of range.
        """
        presets = load_presets(settings.presets_file)
        return override(
            find_preset(self.preset or settings.preset, presets),
            batch_size=self.batch_size,
            chunk_s=self.chunk_s,
            overlap_s=self.overlap_s,
            workers=self.workers,
            timestamps=self.timestamps,
        )

    def preparation_workers(self, settings: Settings) -> int:
        """How many items are prepared at once: this run's number, KB_WORKERS, or the preset's.

        Raises what `resolve_preset` raises.
        """
        return self.workers or settings.workers or self.resolve_preset(settings).workers

    def wants_captions(self, settings: Settings) -> bool:
        """Whether captions come first in this run."""
        return settings.captions_first if self.captions_first is None else self.captions_first

    def as_dict(self) -> dict[str, Any]:
        """The choices as plain JSON values."""
        return {**asdict(self), "sinks": list(self.sinks) if self.sinks is not None else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunOptions:
        """The choices that `as_dict` wrote; unknown ones (of a newer version) are left out."""
        known = {f.name for f in fields(cls)}
        chosen = {name: value for name, value in values.items() if name in known}
        if chosen.get("sinks") is not None:
            chosen["sinks"] = tuple(chosen["sinks"])
        return cls(**chosen)
