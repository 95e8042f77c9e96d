"""The table of language models: prices and limits, the user's rows before those of the program."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kb.errors import SettingsError
from kb.storage import UnreadableText, read_user_text, unreadable_reason
from kb.storage.validation import first_mistake

SHIPPED = Path(__file__).with_name("models.yaml")
MILLION = 1_000_000

_Price = Annotated[float, Field(ge=0, le=1e6)]


def _unset(value: object) -> object:
    return None if value == "none" else value


class Row(BaseModel):
    """One row; `models.yaml` explains its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    model: str
    input: _Price | None = None
    output: _Price | None = None
    context: int = Field(32_000, ge=1_000, le=100_000_000)
    answer: int = Field(4_096, ge=256, le=1_000_000)
    format: Literal["schema", "json", "text"] = "schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: Annotated[float | None, BeforeValidator(_unset)] = Field(0.0, ge=0, le=2)

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        """Return the price of a call, None if it is not known."""
        if self.input is None or self.output is None:
            return None
        return (tokens_in * self.input + tokens_out * self.output) / MILLION


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    date: date
    models: list[Row]


@dataclass(frozen=True, slots=True)
class Found:
    """A row, and the date of the table that it is in."""

    row: Row
    at: date


def find_row(host: str, model: str, own: Path | None) -> Found:
    """Return the first row for a model of a host. Raises SettingsError for a table with a mistake.

    Case does not matter.
    """
    for table in (*([_read(own)] if own else []), _shipped()):
        for row in table.models:
            names = row.model.lower().split("|")
            if fnmatchcase(host.lower(), row.host.lower()) and any(
                fnmatchcase(model.lower(), name.strip()) for name in names
            ):
                return Found(row, table.date)
    raise AssertionError("the last row of the program's table is for every model")


@cache
def _shipped() -> _Document:
    # It is read once: an endpoint is found for each request, and YAML takes a tenth of a second.
    return _read(SHIPPED)


def _read(path: Path) -> _Document:
    try:
        document: Any = YAML(typ="safe", pure=True).load(read_user_text(path))
        return _Document.model_validate(document)
    except (OSError, UnreadableText) as error:
        reason = str(unreadable_reason(error))
    except (YAMLError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    except ValidationError as error:
        field, problem = first_mistake(error)
        reason = f"{field}: {problem}"
    raise SettingsError(
        "llm.table",
        "The table of language models {path} cannot be used: {reason}.",
        hint="Correct it or KB_LLM_TABLE; kb/enrich/llm/models.yaml explains the form.",
        path=path,
        reason=reason,
    )
