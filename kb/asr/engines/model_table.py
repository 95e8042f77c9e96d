"""The table of models: the rows of `models.yaml`, and those of the user's own file before them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gpu.preset_figures import RANGES
from kb.asr.engines import ENGINES
from kb.errors import SettingsError
from kb.settings import Settings
from kb.settings.choices import LANGUAGES
from kb.storage import UnreadableText, read_user_text, unreadable_reason
from kb.storage.bundled import BUNDLED
from kb.storage.validation import first_mistake

MODELS_FILE = BUNDLED / "models.yaml"
DEFAULT = "default"  # the row of the names that stand for the default model

_BATCH = RANGES["batch_size"]
Name = Annotated[str, StringConstraints(pattern=r"^[^\s,:][^\s,]*$", max_length=200)]
MachineKind = Literal["gpu", "cpu"]
KINDS: tuple[MachineKind, ...] = get_args(MachineKind)


class ModelRow(BaseModel):
    """One row; `models.yaml` explains its fields. `model` is empty in the row `default` alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = ""
    model: str = Field("", max_length=1000)
    engine: str = ""
    aliases: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    default_on: MachineKind | None = None
    device: Literal["any", "gpu", "cpu"] = "any"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch: int | None = Field(None, ge=int(_BATCH.low), le=int(_BATCH.high))
    languages: Annotated[tuple[str, ...], Field(strict=False)] = ()
    translate: bool = False
    preload: bool = False
    idle_s: float | None = Field(None, gt=0, le=1e9)
    is_own: bool = Field(False, exclude=True)  # of KB_MODELS_FILE; no field of the file


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The rows in order, each with names that no other row has."""

    rows: tuple[ModelRow, ...]

    def __iter__(self) -> Iterator[ModelRow]:
        return iter(self.rows)

    def find(self, name: str) -> ModelRow | None:
        """Return the row with this id or alias, else the first of this model; None without.

        Case does not matter.
        """
        wanted = name.casefold()
        for row in self.rows:
            if wanted in (row.id.casefold(), *(alias.casefold() for alias in row.aliases)):
                return row
        return next((row for row in self.rows if row.model and row.model == name), None)

    def default(self, kind: MachineKind) -> ModelRow:
        """Return the row of the default model of a kind of machine. Raises SettingsError."""
        for row in self.rows:
            if row.default_on == kind:
                return row
        raise SettingsError(
            "models.no_default",
            "The table of models names no default for a machine of the kind {kind}.",
            hint="Give one row default_on: {kind}, or set KB_MODEL.",
            kind=kind,
        )

    @property
    def preload(self) -> ModelRow | None:
        """The row that a worker loads when it starts."""
        return next((row for row in self.rows if row.preload), None)

    @property
    def default_aliases(self) -> tuple[str, ...]:
        """The names that stand for the default model."""
        return next((row.aliases for row in self.rows if row.id == DEFAULT), ())


def load_models(settings: Settings) -> ModelTable:
    """Return the table with the rows of KB_MODELS_FILE first.

    Raises SettingsError naming file, row and field.
    """
    own = Path(settings.models_file).expanduser() if settings.models_file else None
    return _joined(_text(own) if own else "", own, _text(MODELS_FILE))


@lru_cache(maxsize=8)
def _joined(own: str, own_path: Path | None, shipped: str) -> ModelTable:
    # Cached: each request asks for it.
    first = [
        row.model_copy(update={"is_own": True})
        for row in (_rows(own, own_path) if own_path else ())
    ]
    taken = {name.casefold() for row in first for name in (row.id, *row.aliases)}
    later = [
        _without_aliases(row, taken)
        for row in _rows(shipped, MODELS_FILE)
        if row.id.casefold() not in taken
    ]
    return ModelTable((*first, *later))


def _without_aliases(row: ModelRow, taken: set[str]) -> ModelRow:
    """Return a row without the aliases that other rows have taken."""
    kept = tuple(alias for alias in row.aliases if alias.casefold() not in taken)
    return row.model_copy(update={"aliases": kept})


def _text(path: Path) -> str:
    try:
        return read_user_text(path)
    except (OSError, UnreadableText) as error:
        raise SettingsError(
            "models.not_readable",
            "The table of models {path} cannot be read: {reason}.",
            hint="Correct KB_MODELS_FILE, or restore models.yaml.",
            path=path,
            reason=unreadable_reason(error),
        ) from error


def _rows(text: str, path: Path) -> tuple[ModelRow, ...]:
    names: dict[str, str] = {}
    rows: list[ModelRow] = []
    preloaded = ""
    for key, block in _document(text, path).items():
        row = _row(path, key, block)
        for name in (row.id, *row.aliases):
            other = names.setdefault(name.casefold(), row.id)
            if other != row.id:
                raise _mistake(path, row.id, "aliases", f"{name} is a name of the row {other} too")
        if row.preload and preloaded:
            raise _mistake(path, row.id, "preload", f"the row {preloaded} is loaded first already")
        preloaded = row.id if row.preload else preloaded
        rows.append(row)
    return tuple(rows)


def _row(path: Path, key: object, block: object) -> ModelRow:
    if not isinstance(key, str) or not key.strip() or len(key) > 200 or key != key.strip():
        raise _mistake(path, str(key)[:80], "id", "a name is expected")
    if not isinstance(block, dict):
        raise _mistake(path, key, "model", "the row has no fields")
    values = {str(name): value for name, value in block.items()}
    if "id" in values:
        raise _mistake(path, key, "id", "the id is the row's own key")
    if "is_own" in values:
        raise _mistake(path, key, "is_own", "no such field")
    try:
        row = ModelRow.model_validate({**values, "id": key})
    except ValidationError as error:
        field, problem = first_mistake(error)
        field = field.partition(".")[0]
        known = [name for name in ModelRow.model_fields if name not in ("id", "is_own")]
        if field not in known:
            close = difflib.get_close_matches(field, known, n=1)
            problem = f"no such field; did you mean {close[0]}" if close else "no such field"
        raise _mistake(path, key, field, problem) from None
    for code in row.languages:
        if code not in LANGUAGES:
            raise _mistake(path, key, "languages", f"{code!r} is no language code")
    if row.engine and row.engine not in ENGINES:
        raise _mistake(path, key, "engine", f"{row.engine!r} is none of {', '.join(ENGINES)}")
    if key == DEFAULT:
        for name in values:
            if name != "aliases":
                raise _mistake(path, key, name, "this row has aliases alone")
        return row
    if ":" in key:
        raise _mistake(path, key, "id", "a name has no colon")
    return row if row.model else row.model_copy(update={"model": key})


def _document(text: str, path: Path) -> dict[object, object]:
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None) if isinstance(error, MarkedYAMLError) else None
        cause = getattr(error, "problem", None) or type(error).__name__
        raise SettingsError(
            "models.yaml",
            "{path}, line {line}: {cause}.",
            hint="See models.yaml of the project.",
            path=path,
            line=mark.line + 1 if mark else 1,
            cause=str(cause).split(" with value")[0],
        ) from error
    if not isinstance(document, dict) or not document:
        raise SettingsError(
            "models.no_rows",
            "{path}: rows of models are expected.",
            hint="See models.yaml of the project.",
            path=path,
        )
    return dict(document)


def _mistake(path: Path, row: str, field: str, problem: str) -> SettingsError:
    return SettingsError(
        "models.row",
        "{path}, row {row}, field {field}: {problem}.",
        hint="models.yaml of the project explains the fields.",
        path=path,
        row=row,
        field=field,
        problem=problem,
    )
