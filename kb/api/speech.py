"""POST /v1/audio/speech: a text read aloud, sent while it is spoken; and the list of voices."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from kb.api.context import ApiContext
from kb.api.errors import ApiError, retry_after
from kb.api.guard import require_paid
from kb.service.speech import Speech, Stream
from kb.service.spoken_response import SpokenResponse

MOST_CHARS = 100_000  # of one text; OpenAI takes 4,096
AT_ONCE = 4  # texts that are spoken: the cores are the recognizer's

Kind = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

# The models and voices of OpenAI, so that its clients need no change.
MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse",
    "marin", "cedar",
)  # fmt: skip


class NamedVoice(BaseModel):
    """A voice as an object."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=200)


class SpeechRequest(BaseModel):
    """A text to be read aloud."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        min_length=1,
        max_length=200,
        description="One of OpenAI's names, or an engine of GET /v1/voices.",
    )
    input: str = Field(min_length=1, max_length=MOST_CHARS, description="The text.")
    voice: Annotated[str, Field(min_length=1, max_length=200)] | NamedVoice = Field(
        description="A name of GET /v1/voices, or one of OpenAI's: a voice of this machine then."
    )
    response_format: Kind = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0, description="1 is the voice's own speed.")
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str = Field(
        "", max_length=4096, description="Accepted for OpenAI's clients; no engine here uses it."
    )
    language: str = Field("", max_length=40, description="Of the text; empty: detected.")


def router(context: ApiContext) -> APIRouter:
    """Return the routes of speech."""
    routes = APIRouter(prefix="/v1", tags=["audio"])
    speech = context.service.speech
    places = threading.Semaphore(AT_ONCE)

    @routes.post(
        "/audio/speech",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/octet-stream": {}, "text/event-stream": {}}}},
    )
    async def read_aloud(request: SpeechRequest, received: Request) -> StreamingResponse:
        """Return a text as sound, while it is spoken.

        A voice of a service elsewhere needs a key with the scope `paid`, unless `KB_PAID_REQUESTS`
        is on.
        """
        if speech.may_cost(_engine(request)):
            require_paid(context, received, ", which voices of a service need")
        if not places.acquire(blocking=False):
            raise ApiError(
                429, "rate_limit_exceeded", f"{AT_ONCE} texts are being spoken.",
                hint="Try again later.", headers=retry_after(5),
            )  # fmt: skip
        try:
            return await run_in_threadpool(_response, speech, request, places.release)
        except BaseException:
            places.release()
            raise

    @routes.get("/voices")
    def list_voices() -> dict[str, Any]:
        """List the voices of this machine and of configured services."""
        found = speech.voices()
        rows = [
            {
                "id": each.id, "object": "voice", "name": each.name, "engine": each.engine,
                "languages": list(each.languages), "note": each.note,
            }
            for each in found
        ]  # fmt: skip
        return {"object": "list", "data": rows}

    @routes.get("/audio/voices")
    def voice_names() -> dict[str, list[str]]:
        """List the names of the voices, as other servers of speech do."""
        return {"voices": [each.id for each in speech.voices()]}

    return routes


def _engine(request: SpeechRequest) -> str:
    """Return the engine that a request names, empty for the usual one."""
    voice = request.voice.id if isinstance(request.voice, NamedVoice) else request.voice
    return voice.partition(":")[0] if ":" in voice else request.model


def _response(speech: Speech, request: SpeechRequest, ended: Callable[[], None]) -> SpokenResponse:
    stream = _stream(speech, request)
    is_events = request.stream_format == "sse"
    return SpokenResponse(
        stream, ended, _events if is_events else None,
        media_type="text/event-stream" if is_events else stream.media_type,
        headers={"kb-voice": quote(stream.voice, safe=":+#"), "kb-language": stream.language},
    )  # fmt: skip


def _stream(speech: Speech, request: SpeechRequest) -> Stream:
    voice = request.voice.id if isinstance(request.voice, NamedVoice) else request.voice
    engines = speech.engine_names
    if request.model not in (*MODELS, *engines):
        message = f"The model {request.model} does not speak here."
        raise ApiError(404, "model_not_found", message, param="model")
    if voice in VOICES:
        named = request.model if request.model in engines else ""
        choices = speech.distinct_voices(speech.language_of(request.input, request.language), named)
        voice = choices[VOICES.index(voice) % len(choices)]
    elif ":" not in voice and request.model in engines:
        voice = f"{request.model}:{voice}"
    return speech.stream(
        request.input, request.response_format, voice=voice, language=request.language,
        speed=request.speed,
    )  # fmt: skip


def _events(parts: Iterator[bytes]) -> Iterator[str]:
    for part in parts:
        audio = base64.b64encode(part).decode()
        yield _event({"type": "speech.audio.delta", "audio": audio})
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document)}\n\n"
