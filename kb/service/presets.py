"""Performance presets: the figures in force, read from `presets.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpu.presets import Preset, load_presets
from kb.settings import Settings


@dataclass
class Presets:
    """The presets of one set of settings."""

    settings: Settings

    def all(self) -> dict[str, Preset]:
        """Return all presets by name. Raises SettingsError naming file and line."""
        file = self.settings.presets_file
        return load_presets(Path(file) if file else None)
