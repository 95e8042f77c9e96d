"""Performance presets: their current values, and changes of the preset file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gpu import preset_file
from gpu.preset_figures import Preset
from gpu.presets import check_presets, find_preset, load_presets, read_preset_file
from kb.errors import KBError
from kb.settings import Settings


@dataclass
class Presets:
    """The presets of one set of settings. Methods raise SettingsError naming file and line."""

    settings: Settings

    def all(self) -> dict[str, Preset]:
        """Return all presets by name."""
        return load_presets(self.file)

    def readable(self) -> list[Preset]:
        """Return all presets; an empty list if the file has an error, which `kb doctor` reports."""
        with suppress(KBError):
            return list(self.all().values())
        return []

    def current(self) -> Preset:
        """Return the preset that the settings name."""
        return self.find(self.settings.preset)

    def find(self, name: str, presets: Mapping[str, Preset] | None = None) -> Preset:
        """Return the preset of this name or label, of all presets or of those given."""
        return find_preset(name, self.all() if presets is None else presets)

    # The file

    @property
    def file(self) -> Path:
        """The preset file that holds: KB_PRESETS_FILE, the library's, or the program's."""
        return self.settings.presets_path

    @property
    def target(self) -> Path:
        """The preset file that changes are written to, which may not be there yet."""
        return self.settings.own_presets

    def read_text(self) -> str:
        """Return the file's text."""
        return read_preset_file(self.file)

    def check(self, text: str) -> dict[str, Preset]:
        """Return the presets in the text of a preset file by name."""
        return check_presets(text, self.file)

    def save(self, name: str, values: Mapping[str, object], *, expected: str) -> None:
        """Change or add a preset in a file whose text is `expected`.

        Raises UsageError if the file has been changed since, and LibraryError.
        """
        changed = preset_file.with_preset(expected, name, values, self.file)
        self.write_text(changed, expected=expected)

    def remove(self, name: str, *, expected: str) -> None:
        """Remove a preset from a file whose text is `expected`; raises as `save` does."""
        changed = preset_file.without_preset(expected, name, self.file)
        self.write_text(changed, expected=expected)

    def write_text(self, text: str, *, expected: str) -> None:
        """Write `target`; the text that holds is `expected`. Raises as `save` does."""
        preset_file.write_text(self.file, text, expected=expected, target=self.target)
