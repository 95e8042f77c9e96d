"""Changes the preset file; comments, order and spelling of all other entries are kept.

Functions take and return text; a text is parsed and checked before it is written.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from gpu.preset_figures import Preset
from gpu.presets import check_presets, read_preset_file
from kb import storage
from kb.errors import LibraryError, SettingsError, UsageError

FIGURES = (*("batch_size", "chunk_s", "overlap_s", "workers", "timestamps", "vram_budget_gb"),)
_LONGEST_NAME = 40


def with_preset(text: str, name: str, values: Mapping[str, object], path: Path) -> str:
    """Return the text with a preset's values (by the file's keys) changed, or the preset added.

    Raises SettingsError with `path`, line, preset and key for a value that is not accepted.
    """
    check_presets(text, path)  # a mistake already in the file is reported with its own line
    if not name.isidentifier() or len(name) > _LONGEST_NAME:
        raise SettingsError(
            "presets.name",
            "“{name}” is no name for a preset.",
            hint="Use letters, digits and _, no spaces.",
            name=name,
        )
    yaml, document = _parse(text)
    new = name not in document
    block = document.setdefault(name, CommentedMap())
    for key, value in values.items():
        block[key] = _scalar(value)
    if new:
        document.yaml_set_comment_before_after_key(name, before="\n")
    changed = _dump(yaml, document)
    check_presets(changed, path)
    return changed


def without_preset(text: str, name: str, path: Path) -> str:
    """Return the text without a preset. Raises SettingsError if it is unknown or the last one."""
    presets = check_presets(text, path)
    if name not in presets:
        raise SettingsError(
            "presets.missing",
            "There is no preset {name} in {path}.",
            hint="See: kb presets",
            name=name,
            path=path,
        )
    if len(presets) == 1:
        raise SettingsError(
            "presets.last", "{name} is the only preset.", hint="Add another one first.", name=name
        )
    yaml, document = _parse(text)
    del document[name]
    changed = _dump(yaml, document).rstrip("\n") + "\n"
    check_presets(changed, path)
    return changed


def write_text(
    path: Path, text: str, *, expected: str, target: Path | None = None
) -> dict[str, Preset]:
    """Write a checked text in place of the `expected` one; return its presets.

    With `target` the text is written there, and `path` stays as it is.

    Raises SettingsError for a text with a mistake, UsageError if the file no longer has the
    `expected` text, and LibraryError if it cannot be written.
    """
    presets = check_presets(text, path)
    if read_preset_file(path) != expected:
        raise UsageError(
            "presets.changed",
            "{path} was changed meanwhile.",
            hint="Look at it again, then make your change.",
            path=path,
        )
    try:
        with storage.user_path(target or path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    except LibraryError as error:
        raise LibraryError(
            "presets.not_writable",
            "{cause}",
            hint="Make the file writable, or set KB_PRESETS_FILE to a copy of it.",
            cause=error,
        ) from error
    return presets


def _parse(text: str) -> tuple[YAML, CommentedMap]:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is folded
    document: CommentedMap = yaml.load(text)
    return yaml, document


def _dump(yaml: YAML, document: CommentedMap) -> str:
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _scalar(value: object) -> object:
    """Return a value in the usual notation: labels in quotes, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and not value.isascii():
        return DoubleQuotedScalarString(value)
    return value
