"""The fields of a transcription's form: read as the official client sends them, and checked.

The client sends lists as `name[]`, objects as `name[key]`, and all values as text.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from kb.api.errors import ApiError, field_error
from kb.service.notation import language_code
from kb.types import SpeechLimits

MOST_FIELDS = 160
FIELD_BYTES = 3 << 20  # of one value: ten seconds of stereo sound in base64
PROMPT_BYTES = 600  # more than half of Whisper's text context
MOST_KEYWORDS, LONGEST_KEYWORD = 100, 80
MOST_LANGUAGES = 30

MOST_SPEAKERS, LONGEST_NAME = 4, 80

Format = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
TranslationFormat = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["word", "segment"]
Language = Annotated[str, Field(max_length=40)]


class AudioFields(BaseModel):
    """The fields of both kinds of requests about a recording."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=200, description="A name of GET /v1/models.")
    prompt: str = Field(
        "", description="Names and style for the recognizer; the last 600 bytes count."
    )
    response_format: Format = "json"
    temperature: float = Field(
        0.0, ge=0, le=1, description="Of the first reading; doubtful places are read again."
    )


def _nothing() -> None:
    """Return the default of a field whose description has none."""


class ServerVad(BaseModel):
    """Limits of the caller for the detection of speech; without one, that of this server."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] | SkipJsonSchema[None] = Field(
        default_factory=_nothing, description="Probability from which sound counts as speech."
    )
    silence_duration_ms: Annotated[float, Field(ge=0, le=60_000)] | SkipJsonSchema[None] = Field(
        default_factory=_nothing, description="Shorter silence does not end a stretch of speech."
    )
    prefix_padding_ms: Annotated[float, Field(ge=0, le=5_000)] | SkipJsonSchema[None] = Field(
        default_factory=_nothing, description="Sound that is read before a stretch of speech."
    )

    def limits(self) -> SpeechLimits | None:
        """Return the limits that are given; None without any."""
        silence_ms, padding_ms = self.silence_duration_ms, self.prefix_padding_ms
        found = SpeechLimits(
            self.threshold,
            None if silence_ms is None else silence_ms / 1000,
            None if padding_ms is None else padding_ms / 1000,
        )
        return found if found != SpeechLimits() else None


class TranscriptionFields(AudioFields):
    """The fields of a transcription."""

    language: Language = Field("", description="Code of the speech, such as en; empty: detected.")
    keywords: list[Annotated[str, Field(max_length=LONGEST_KEYWORD)]] = Field(
        default_factory=list, max_length=MOST_KEYWORDS, alias="keywords[]"
    )
    timestamp_granularities: list[Granularity] = Field(
        default_factory=list, alias="timestamp_granularities[]"
    )
    languages: list[Language] = Field(
        default_factory=list,
        max_length=MOST_LANGUAGES,
        alias="languages[]",
        description="Codes of the languages that may be spoken; the detected one is among them.",
    )
    include: list[Literal["logprobs"]] = Field(
        default_factory=list, alias="include[]", description="With response_format json only."
    )
    known_speaker_names: list[
        Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f]+$")]
    ] = Field(
        default_factory=list, max_length=MOST_SPEAKERS, alias="known_speaker_names[]",
        description="With response_format diarized_json.",
    )  # fmt: skip
    known_speaker_references: list[str] = Field(
        default_factory=list, max_length=MOST_SPEAKERS, alias="known_speaker_references[]",
        description="Data URLs of 2 to 10 s of each known speaker, in the order of the names.",
    )  # fmt: skip
    stream: bool = False
    chunking_strategy: Annotated[
        Annotated[Literal["auto"], Tag("auto")] | Annotated[ServerVad, Tag("server_vad")],
        Discriminator(lambda given: "server_vad" if isinstance(given, dict) else "auto"),
    ] = Field("auto", description="The sound is cut at detected speech in any case.")

    @field_validator("language", "languages")
    @classmethod
    def _known(cls, value: str | list[str]) -> str | list[str]:
        return [_code(each) for each in value] if isinstance(value, list) else _code(value)


class TranslationFields(AudioFields):
    """The fields of a translation into English."""

    response_format: TranslationFormat = "json"


def _code(name: str) -> str:
    code = language_code(name) if name else ""
    if name and not code:
        raise ValueError("a language code such as en is expected")
    return code


_Fields = TypeVar("_Fields", bound=BaseModel)

_LISTS = (
    "keywords",
    "timestamp_granularities",
    "languages",
    "include",
    "known_speaker_names",
    "known_speaker_references",
)


async def read_form(request: Request) -> FormData:
    """Return the form of a request; its file is in a temporary file on the disk.

    Raises ApiError for a body of another kind and for one that is broken off.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise ApiError(
            400,
            "unsupported_content_type",
            f"multipart/form-data is expected, not {kind or 'a body without a type'}.",
        )
    return await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES)


def file_of(form: FormData) -> UploadFile:
    """Return the file of a form. Raises ApiError."""
    found = form.get("file")
    if not isinstance(found, UploadFile):
        raise ApiError(400, "missing_required_parameter", "file is missing.", param="file")
    if not found.size:
        raise ApiError(400, "invalid_audio", "The file is empty.", param="file")
    return found


def fields_of(form: FormData, kind: type[_Fields]) -> _Fields:
    """Return the checked fields of a form. Raises ApiError naming the first bad one."""
    values: dict[str, Any] = {}
    strategy: dict[str, list[Any]] = {}
    for key in dict.fromkeys(form.keys()):
        given = form.getlist(key)
        name, bracket, _ = key.partition("[")
        if name == "file":
            continue
        if any(isinstance(each, UploadFile) for each in given):
            raise ApiError(400, "invalid_value", f"{name} is a file; text is expected.", param=name)
        if name == "chunking_strategy" and kind is TranscriptionFields:
            strategy[key] = given
        elif name in _LISTS and name in kind.model_fields and key in (name, f"{name}[]"):
            values.setdefault(f"{name}[]", []).extend(given)
        elif bracket or key not in kind.model_fields:
            raise ApiError(400, "unknown_parameter", f"{key} is no parameter.", param=name)
        elif len(given) > 1:
            raise ApiError(400, "invalid_value", f"{name} is given twice.", param=name)
        else:
            values[key] = given[0]
    if strategy:
        values["chunking_strategy"] = _strategy(strategy)
    if values.get("response_format") == "diarized_json" and kind is not TranscriptionFields:
        raise ApiError(
            400,
            "unsupported_value",
            "response_format diarized_json is for transcriptions.",
            hint="verbose_json has the same segments, without speakers.",
            param="response_format",
        )
    try:
        return kind.model_validate({k: v for k, v in values.items() if v != "" or k == "model"})
    except ValidationError as error:
        found = field_error(error)
        found.param = found.param.removesuffix("[]") if found.param else None
        raise found from None


def _strategy(given: dict[str, list[Any]]) -> Any:
    """Return the value of chunking_strategy: a word, or an object. Raises ApiError.

    The official client sends an object as `chunking_strategy[key]`; others as JSON.
    """
    if any(len(values) != 1 for values in given.values()):
        raise _bad_strategy("it is given twice")
    word = given.pop("chunking_strategy", [None])[0]
    if word is not None:
        if given:
            raise _bad_strategy("auto or an object is expected, not both")
        try:
            return json.loads(word) if word.startswith("{") else word
        except (ValueError, RecursionError):
            raise _bad_strategy("auto or an object is expected") from None
    return {key.partition("[")[2].removesuffix("]"): values[0] for key, values in given.items()}


def _bad_strategy(problem: str) -> ApiError:
    message = f"chunking_strategy: {problem}."
    return ApiError(400, "invalid_value", message, param="chunking_strategy")


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its definitions in the places that refer to them.

    Within the description of the API a reference would be one to the whole document.
    """
    definitions = schema.pop("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(each) for each in value]
        if not isinstance(value, dict):
            return value
        if (name := str(value.get("$ref", "")).removeprefix("#/$defs/")) in definitions:
            return resolved(definitions[name])
        return {key: resolved(each) for key, each in value.items()}

    found: dict[str, Any] = resolved(schema)
    return found


def form_schema(fields: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a form with a file."""
    schema = inlined(fields.model_json_schema(by_alias=True))
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = [*schema.get("required", []), "file"]
    schema["description"] = "A form with the recording; the file may be any audio or video."
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
