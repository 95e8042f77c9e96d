"""Styles of captions: YAML files of this package, or of the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kb import storage
from kb.errors import UsageError
from kb.storage.validation import first_mistake

STYLE_FOLDER = Path(__file__).parent / "styles"
PLAIN, KARAOKE = "plain", "karaoke"

Colour = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]


class CaptionStyle(BaseModel):
    """The looks of captions; `styles/plain.yaml` explains the fields.

    `size`, `outline_width`, `shadow` and `margin` are in percent of the shorter side of the
    picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    font: Annotated[str, Field(min_length=1, max_length=80, pattern="^[^,{}\\\\\\n]+$")] = (
        "Noto Sans"
    )
    bold: bool = False
    size: Annotated[float, Field(ge=1, le=40)] = 7
    colour: Colour = "#FFFFFF"
    sung: Colour = "#FFD23F"
    outline: Colour = "#000000"
    outline_width: Annotated[float, Field(ge=0, le=5)] = 0.35
    shadow: Annotated[float, Field(ge=0, le=5)] = 0.15
    box: Colour | Literal[""] = ""
    box_opacity: Annotated[float, Field(ge=0, le=1)] = 0.6
    place: Literal["bottom", "middle", "top"] = "bottom"
    margin: Annotated[float, Field(ge=0, le=45)] = 6
    animation: Literal["none", "fade", "pop", "slide"] = "none"
    animation_s: Annotated[float, Field(ge=0, le=2)] = 0.15
    lines: Annotated[int, Field(ge=1, le=6)] = 2
    words_per_line: Annotated[int, Field(ge=0, le=30)] = 0


def style_names() -> tuple[str, ...]:
    """Return the names of the styles that come with the program."""
    return tuple(sorted(path.stem for path in STYLE_FOLDER.glob("*.yaml")))


def load_style(name: str) -> CaptionStyle:
    """Return the style of a name, or of a YAML file. Raises UsageError, naming the mistake."""
    if name in style_names():
        return _read(STYLE_FOLDER / f"{name}.yaml")
    path = Path(name).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read(path)
    raise UsageError(
        "video.unknown_style",
        "Unknown style {name!r}.",
        hint="Known: {known}; or name a file of your own that ends in .yaml.",
        name=name,
        known=", ".join(style_names()),
    )


def _read(path: Path) -> CaptionStyle:
    try:
        values: Any = YAML(typ="safe", pure=True).load(storage.read_user_text(path)) or {}
        if not isinstance(values, Mapping):
            raise _mistake(path, "it is no list of names and values")
        return CaptionStyle.model_validate(dict(values))
    except OSError as error:
        raise storage.input_error(error, path) from error
    except ValidationError as error:
        field, reason = first_mistake(error)
        raise _mistake(path, f"{field}: {reason}" if field else reason) from error
    except (YAMLError, ValueError, RecursionError, storage.UnreadableText) as error:
        raise _mistake(path, _syntax(error)) from error


def _syntax(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return next(iter(str(error).splitlines()), type(error).__name__)


def _mistake(path: Path, reason: str) -> UsageError:
    return UsageError(
        "video.style_mistake",
        "{path} is no style: {reason}.",
        hint="Copy one that comes with the program and change it: {example}",
        path=path,
        reason=reason.rstrip("."),
        example=STYLE_FOLDER / "plain.yaml",
    )
