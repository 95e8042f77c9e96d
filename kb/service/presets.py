"""Performance presets: the figures in force, read from `presets.yaml`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpu.presets import Preset, load_presets, presets_path
from kb.errors import KBError
from kb.settings import Settings


@dataclass
class Presets:
    """The presets of one set of settings."""

    settings: Settings

    def all(self) -> dict[str, Preset]:
        """Return all presets by name. Raises SettingsError naming file and line."""
        return load_presets(self.path)

    def readable(self) -> list[Preset]:
        """Return all presets; none where the file has a mistake, which another place reports."""
        with suppress(KBError):
            return list(self.all().values())
        return []

    @property
    def path(self) -> Path:
        """The preset file: the setting KB_PRESETS_FILE, or the project's."""
        return presets_path(self.settings.presets_file)
