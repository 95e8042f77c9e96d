"""POST /v1/audio/transcriptions, and /v1/audio/translations (into English)."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kb.api import answers
from kb.api.context import ApiContext
from kb.api.errors import CLIENT_GONE, ApiError
from kb.api.fields import (
    PROMPT_BYTES,
    AudioFields,
    ServerVad,
    TranscriptionFields,
    TranslationFields,
    fields_of,
    file_of,
    form_schema,
    read_form,
)
from kb.api.files import rename, write
from kb.api.flights import Flight, OnText
from kb.api.speakers import SpeakerRequest, segments, speaker_request
from kb.errors import MediaUnavailable
from kb.options import RunOptions
from kb.service import uploads
from kb.service.line import Request as Recording
from kb.types import Transcript

COMMENT_EVERY_S = 10.0  # proxies cut a silent connection
FIRST_EVENT_S = 1.0  # an error within this time has a status instead of an event
MOST_UNSPACED = 40  # characters of a prompt in a script without spaces
LOOK_S = 0.5  # between two looks for a caller that left


def router(context: ApiContext) -> APIRouter:
    """Return the routes of recordings."""
    routes = APIRouter(prefix="/v1/audio", tags=["audio"])

    @routes.post(
        "/transcriptions",
        openapi_extra={"requestBody": form_schema(TranscriptionFields)},
        responses={200: {"content": {name: {} for name in ("text/plain", "text/event-stream")}}},
    )
    async def create_transcription(request: Request) -> Response:
        """Transcribe a recording, in the form of OpenAI's service.

        `stream=true` answers with events; `kb` has grade, coverage and doubtful seconds.
        """
        return await _answer(context, request, TranscriptionFields)

    @routes.post(
        "/translations",
        openapi_extra={"requestBody": form_schema(TranslationFields)},
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def create_translation(request: Request) -> Response:
        """Translate the speech of a recording into English, in the form of OpenAI's service."""
        return await _answer(context, request, TranslationFields)

    return routes


async def _answer(
    context: ApiContext,
    request: Request,
    kind: type[TranscriptionFields] | type[TranslationFields],
) -> Response:
    form = await read_form(request)
    try:
        file, fields = file_of(form), fields_of(form, kind)
        if isinstance(fields, TranscriptionFields):
            _check(fields)
        options = await run_in_threadpool(_options, context, fields)
        flight, cached = await _take_off(context, request, file, fields, options)
    finally:
        await form.close()
    if isinstance(fields, TranscriptionFields) and fields.stream:
        return await _streamed(context, fields, flight, cached=cached)
    with context.flights.joined(flight):
        while not flight.ended:
            await flight.next_change(LOOK_S)
            if not flight.ended and await request.is_disconnected():
                raise ApiError(CLIENT_GONE, "client_gone", "The caller has left.")
        transcript = flight.result()
    known = _facts(flight, fields, cached=cached)
    return await run_in_threadpool(answers.response, context.service, transcript, fields, known)


def _check(fields: TranscriptionFields) -> None:
    """Raise ApiError for fields that do not go together."""
    problem, param = "", ""
    if fields.timestamp_granularities and fields.response_format != "verbose_json":
        param = "timestamp_granularities"
        problem = "timestamp_granularities need response_format verbose_json."
    elif fields.include and fields.response_format != "json":
        param, problem = "include", "logprobs need response_format json."
    elif fields.response_format != "diarized_json" and (
        fields.known_speaker_names or fields.known_speaker_references
    ):
        named = bool(fields.known_speaker_names)
        param = "known_speaker_names" if named else "known_speaker_references"
        problem = f"{param} need response_format diarized_json."
    elif fields.language and fields.languages and fields.language not in fields.languages:
        param, problem = "language", f"language {fields.language} is none of languages."
    if problem:
        raise ApiError(400, "unsupported_value", problem, param=param)


def _options(context: ApiContext, fields: AudioFields) -> RunOptions:
    found = context.models.find(fields.model)
    if found is None:
        raise ApiError(
            404,
            "model_not_found",
            f"The model {fields.model} is not served.",
            hint=f"Served: {', '.join(context.models.names())}.",
            param="model",
        )
    if isinstance(fields, TranscriptionFields):
        return replace(found.options, language=fields.language or None)
    if not found.may_translate:
        able = context.models.translating()
        raise ApiError(
            400,
            "unsupported_value",
            f"The model {fields.model} was not trained to translate.",
            hint=f"Models here that translate: {', '.join(able)}."
            if able
            else "Fetch one that translates: kb models pull small",
            param="model",
        )
    return found.options


async def _take_off(
    context: ApiContext,
    request: Request,
    file: UploadFile,
    fields: TranscriptionFields | TranslationFields,
    options: RunOptions,
) -> tuple[Flight, bool]:
    """Return the transcription of a file, and True if its answer was there already."""
    transcriber = context.transcriber()
    path = context.folder / secrets.token_hex(16)
    asked: SpeakerRequest | None = None

    def done() -> None:
        path.unlink(missing_ok=True)
        if asked:
            asked.close()

    try:
        digest = await run_in_threadpool(write, file, path)
        keywords: tuple[str, ...] = ()
        languages: tuple[str, ...] = ()
        task, limits = "translate", None
        if isinstance(fields, TranscriptionFields):
            keywords, languages, task = tuple(fields.keywords), _languages(fields), "transcribe"
            strategy = fields.chunking_strategy
            limits = strategy.limits() if isinstance(strategy, ServerVad) else None
            if fields.response_format == "diarized_json":
                asked = speaker_request(
                    context.service, context.folder, fields.known_speaker_names,
                    fields.known_speaker_references,
                )  # fmt: skip
        names = tuple(name.strip() for name in keywords if name.strip())
        prompt = _prompt(fields.prompt)
        hotwords = (prompt, *names) if prompt else names
        chosen = json.dumps(options.as_dict())
        key = (
            *(request.state.key, digest, chosen, hotwords, fields.temperature, languages, task),
            *(limits, asked.key if asked else None),
        )
        known = context.flights.find(key)
        if known is not None:
            path.unlink(missing_ok=True)
            return known, known.ended
        shown = uploads.safe_name(file.filename or "recording")
        recording = Recording(
            path, options, shown_as=shown, sha256=digest, hotwords=hotwords, may_swap=False,
            temperature=fields.temperature, languages=languages, task=task,
            speech_limits=limits,
        )  # fmt: skip

        if asked:
            await run_in_threadpool(asked.write)
        access, caller = context.service.access, request.state.key
        most = await run_in_threadpool(access.most_at_once, caller)
        try:
            charge = await run_in_threadpool(access.take_file, caller, path)
        except MediaUnavailable as error:
            rename(error, path, shown)
            raise
        known = context.flights.find(key)  # an equal request may run by now
        if known is not None:
            done()
            await run_in_threadpool(access.settle, charge, 0.0)
            return known, known.ended

        def work(on_text: OnText, cancelled: Any) -> Transcript:
            read_s = 0.0
            try:
                found = transcriber.transcribe(recording, on_text=on_text, cancelled=cancelled)
                read_s = found.media.duration_s
                return asked.label(path, found, cancelled) if asked else found
            except MediaUnavailable as error:
                rename(error, path, shown)
                raise
            finally:
                access.settle(charge, read_s)

        try:
            started = context.flights.start(
                key, work, done,
                caller=caller, most_of_caller=most,
            )  # fmt: skip
        except ApiError:
            await run_in_threadpool(access.settle, charge, 0.0)
            raise
        return started, False
    except BaseException:
        done()
        raise


def _languages(fields: TranscriptionFields) -> tuple[str, ...]:
    """Return the languages among which the spoken one is detected."""
    return () if fields.language else tuple(sorted(set(fields.languages)))


def _prompt(text: str) -> str:
    """Return the end of a prompt: what is nearest to the speech has the most influence."""
    data = " ".join(text.split()).encode("utf-8", "replace")
    found = data[-PROMPT_BYTES:].decode("utf-8", "ignore").strip()
    # The recognizer keeps the end of a text with spaces, and drops another one that is too long.
    return found if " " in found else found[-MOST_UNSPACED:]


def _facts(
    flight: Flight, fields: TranscriptionFields | TranslationFields, *, cached: bool
) -> dict[str, Any]:
    found = answers.facts(flight.result(), flight.took_s, cached=cached)
    if len(" ".join(fields.prompt.split()).encode("utf-8", "replace")) > PROMPT_BYTES:
        found["warnings"].append(f"The last {PROMPT_BYTES} bytes of the prompt were used.")
    keywords = isinstance(fields, TranscriptionFields) and fields.keywords
    if fields.temperature > 0 and (fields.prompt or keywords):
        found["warnings"].append("At a temperature above 0 prompt and keywords are not used.")
    return found


async def _streamed(
    context: ApiContext, fields: TranscriptionFields, flight: Flight, *, cached: bool
) -> Response:
    """Return a stream of events; an error that comes at once has a status of its own."""
    flight.callers += 1  # until the stream is its caller
    try:
        if not flight.ended and not flight.texts:
            await flight.next_change(FIRST_EVENT_S)
        if flight.error is not None:
            raise flight.error
        stream = _events(context, fields, flight, cached=cached)
        first = await anext(stream)
    finally:
        flight.callers -= 1

    async def whole() -> AsyncIterator[str]:
        try:
            yield first
            async for each in stream:
                yield each
        finally:
            await stream.aclose()

    return StreamingResponse(whole(), media_type="text/event-stream")


async def _events(
    context: ApiContext, fields: TranscriptionFields, flight: Flight, *, cached: bool
) -> Any:
    with context.flights.joined(flight):
        yield ": the words follow\n\n"
        sent = 0
        while True:
            while sent < len(flight.texts):
                text = flight.texts[sent]
                delta = f" {text}" if sent else text
                sent += 1
                yield _event({"type": "transcript.text.delta", "delta": delta})
            if flight.ended:
                break
            before = asyncio.get_running_loop().time()
            await flight.next_change(COMMENT_EVERY_S)
            if asyncio.get_running_loop().time() - before >= COMMENT_EVERY_S:
                yield ": still at work\n\n"
        if flight.error is not None:
            yield _event(flight.error.document())
            return
        known = _facts(flight, fields, cached=cached)
        if fields.response_format == "diarized_json":
            for segment in segments(flight.result()):
                yield _event(segment)
        done = await run_in_threadpool(
            answers.done_event, context.service, flight.result(), fields, known
        )
        yield _event(done)


def _event(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n"
