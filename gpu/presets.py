"""Performance presets: read from `presets.yaml`, checked by key, found by name or label."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gpu.preset_figures import FIGURE_OPTIONS, Preset, figure_problem, quote
from kb.errors import SettingsError
from kb.storage import UnreadableText, read_user_text, unreadable_reason
from kb.storage.bundled import BUNDLED

PRESETS_FILE = BUNDLED / "presets.yaml"


def load_presets(path: str | Path | None = None) -> dict[str, Preset]:
    """Return all presets by name, in the file's order.

    Without a path they come from the program's own file. Raises SettingsError with file,
    line, preset and key, the cause and the accepted values.
    """
    path = presets_path(path)
    return check_presets(read_preset_file(path), path)


def presets_path(path: str | Path | None = None) -> Path:
    """Return the preset file at `path`, or the program's own if `path` is empty."""
    return Path(path).expanduser() if path else PRESETS_FILE


def check_presets(text: str, path: Path) -> dict[str, Preset]:
    """Return all presets in the text of a preset file; errors name the file `path`.

    Raises SettingsError as `load_presets` does.
    """
    return dict(_parse_presets(text, path))


@lru_cache(maxsize=8)
def _parse_presets(text: str, path: Path) -> Mapping[str, Preset]:
    # Cached: a page requests the same presets about ten times each time it is drawn.
    document = _parse(text, path)
    presets: dict[str, Preset] = {}
    names_taken: dict[str, str] = {}
    for name, block in document.items():
        line = _line(document, name)
        if not isinstance(name, str) or not _plain(name):
            raise SettingsError(
                "presets.no_name",
                "{path}, line {line}: {name} is no preset name.",
                hint="Use a word.",
                path=path,
                line=line,
                name=quote(name),
            )
        presets[name] = preset = _preset(path, line, name, block)
        for answer in {_plain(name), _plain(preset.label)}:
            if names_taken.setdefault(answer, name) != name:
                raise SettingsError(
                    "presets.same_name",
                    "{path}, line {line}: preset {name} answers to the same name as preset "
                    "{other}.",
                    hint="Give one of them another name or label; case and signs make no "
                    "difference.",
                    path=path,
                    line=line,
                    name=name,
                    other=names_taken[answer],
                )
    return presets


def find_preset(name: str, presets: Mapping[str, Preset] | None = None) -> Preset:
    """Return the preset with this name or label, in any case, with or without the label's symbols.

    Without `presets` the project's `presets.yaml` is searched. Raises SettingsError with the
    known names.
    """
    if presets is None:
        presets = load_presets()
    normalized = _plain(name)
    for preset in presets.values():
        if normalized and normalized in (_plain(preset.name), _plain(preset.label)):
            return preset
    close = difflib.get_close_matches(name.casefold(), presets, n=1)
    if close:
        raise SettingsError(
            "preset.unknown_close",
            "Unknown preset {name}. Known presets: {known}.",
            hint="Did you mean {close}?",
            name=quote(name),
            known=", ".join(presets),
            close=close[0],
        )
    raise SettingsError(
        "preset.unknown",
        "Unknown preset {name}. Known presets: {known}.",
        hint="kb presets shows what each one does.",
        name=quote(name),
        known=", ".join(presets),
    )


def read_preset_file(path: Path) -> str:
    """Return the text of a preset file, line ends unchanged. Raises SettingsError."""
    try:
        return read_user_text(path)
    except (OSError, UnreadableText) as error:
        raise SettingsError(
            "presets.not_readable",
            "The preset file {path} cannot be read: {reason}.",
            hint="Correct KB_PRESETS_FILE, or restore presets.yaml.",
            path=path,
            reason=unreadable_reason(error),
        ) from error


def _parse(text: str, path: Path) -> CommentedMap:
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        cause = (error.problem or error.context or "broken YAML").strip()
        if "duplicate key" in cause:
            # The library's sentence continues with the values and the earlier entry.
            cause = cause.split(" with value")[0].replace("found ", "")
        raise SettingsError(
            "presets.yaml_mark",
            "{path}, line {line}: {cause}.",
            hint="A key may stand once; indent with spaces.",
            path=path,
            line=line,
            cause=cause,
        ) from error
    except RecursionError as error:
        raise SettingsError(
            "presets.nested",
            "{path}: its values are nested too deeply.",
            hint="See presets.yaml.",
            path=path,
        ) from error
    except YAMLError as error:
        raise SettingsError(
            "presets.yaml",
            "{path}, line 1: {cause}.",
            hint="See presets.yaml.",
            path=path,
            cause=str(error).splitlines()[0],
        ) from error
    if not isinstance(document, CommentedMap) or not document:
        raise SettingsError(
            "presets.no_presets",
            "{path}, line 1: presets are expected here, not {value}.",
            hint="See presets.yaml.",
            path=path,
            value="nothing" if not document else quote(document),
        )
    return document


def _preset(path: Path, line: int, name: str, block: object) -> Preset:
    if not isinstance(block, CommentedMap):
        raise SettingsError(
            "presets.no_figures",
            "{path}, line {line}: preset {name} has no figures.",
            hint="It needs: {keys}.",
            path=path,
            line=line,
            name=name,
            keys=_keys(),
        )
    known = [field.name for field in fields(Preset) if field.name != "name"]
    for key in block:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            if close:
                raise SettingsError(
                    "presets.unknown_key_close",
                    "{path}, line {line}: preset {name}: unknown key {key}.",
                    hint="Did you mean {close}? Known keys: {keys}, label.",
                    path=path,
                    line=_line(block, key),
                    name=name,
                    key=quote(key),
                    close=close[0],
                    keys=_keys(),
                )
            raise SettingsError(
                "presets.unknown_key",
                "{path}, line {line}: preset {name}: unknown key {key}.",
                hint="Known keys: {keys}, label.",
                path=path,
                line=_line(block, key),
                name=name,
                key=quote(key),
                keys=_keys(),
            )
    missing = [key for key in FIGURE_OPTIONS if key not in block]
    if missing:
        raise SettingsError(
            "presets.key_missing",
            "{path}, line {line}: preset {name}: {key} is missing.",
            hint="Needed: {keys}.",
            path=path,
            line=line,
            name=name,
            key=missing[0],
            keys=_keys(),
        )
    label = block.get("label", name.upper())
    if not isinstance(label, str) or not _plain(label):
        raise SettingsError(
            "presets.label",
            "{path}, line {line}: preset {name}: label must be a text with letters, not {value}.",
            hint="Put it between quotes.",
            path=path,
            line=_line(block, "label"),
            name=name,
            value=quote(label),
        )
    for key in FIGURE_OPTIONS:
        problem = figure_problem(key, block[key], block["chunk_s"])
        if problem:
            raise SettingsError(
                "presets.value",
                "{path}, line {line}: preset {name}: {key} {problem}.",
                hint="Correct the value in that line.",
                path=path,
                line=_line(block, key),
                name=name,
                key=key,
                problem=problem,
            )
    return Preset(
        name=str(name),
        label=str(label),
        batch_size=int(block["batch_size"]),
        chunk_s=float(block["chunk_s"]),
        overlap_s=float(block["overlap_s"]),
        workers=int(block["workers"]),
        timestamps="word" if block["timestamps"] == "word" else "segment",
        vram_budget_gb=float(block["vram_budget_gb"]),
    )


def _plain(name: str) -> str:
    """Return the letters and digits in lower case: `maxschnell` for `🔥 MAX. SCHNELL`."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name))).casefold()


def _keys() -> str:
    return ", ".join(FIGURE_OPTIONS)


def _line(block: CommentedMap, key: object) -> int:
    """Return the line of a key, counted from 1; for a key from a YAML merge the block's line."""
    try:
        return int(block.lc.key(key)[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return int(block.lc.line or 0) + 1
