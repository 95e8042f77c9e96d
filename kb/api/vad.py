"""POST /v1/audio/vad: the stretches of speech in a recording. No recognizer is used."""

from __future__ import annotations

import asyncio
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from kb.api.context import ApiContext
from kb.api.errors import CLIENT_GONE, ApiError, retry_after
from kb.api.fields import fields_of, file_of, form_schema, read_form
from kb.api.files import rename, write
from kb.errors import MediaUnavailable
from kb.service import uploads
from kb.service.speech_detection import DetectedSpeech, SpeechDetection

THREADS = 2  # detections at once: the cores are the recognizer's
LOOK_S = 0.5  # between two looks for a caller that left


class VadFields(BaseModel):
    """The fields of a detection."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(
        0.5, gt=0, le=1, description="Probability from which sound counts as speech."
    )
    min_silence_duration_ms: float = Field(
        100.0, ge=0, le=60_000, description="Shorter silence does not end a stretch."
    )
    speech_pad_ms: float = Field(
        0.0, ge=0, le=10_000, description="Time added to both ends of a stretch."
    )


def router(context: ApiContext) -> APIRouter:
    """Return the route of the detection."""
    routes = APIRouter(prefix="/v1/audio", tags=["audio"])
    detection = SpeechDetection(context.settings)
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="vad")
    running = 0

    @routes.post("/vad", openapi_extra={"requestBody": form_schema(VadFields)})
    async def detect_speech(request: Request) -> dict[str, Any]:
        """Return the stretches of speech in a recording, in seconds."""
        nonlocal running
        if running >= context.settings.api_waiting:
            raise ApiError(
                429, "rate_limit_exceeded", f"{running} detections run or wait.",
                hint="Try again later.", headers=retry_after(5),
            )  # fmt: skip
        running += 1
        path, stop = context.folder / secrets.token_hex(16), threading.Event()
        form = None
        try:
            form = await read_form(request)
            file, fields = file_of(form), fields_of(form, VadFields)
            await run_in_threadpool(write, file, path)
            shown = uploads.safe_name(file.filename or "recording")

            def detect() -> DetectedSpeech:
                try:
                    return detection.detect(
                        path,
                        threshold=fields.threshold,
                        min_silence_s=fields.min_silence_duration_ms / 1000,
                        cancelled=stop.is_set,
                    )
                except MediaUnavailable as error:
                    rename(error, path, shown)
                    raise

            work = asyncio.get_running_loop().run_in_executor(pool, detect)
            while not (await asyncio.wait([work], timeout=LOOK_S))[0]:
                if await request.is_disconnected():
                    stop.set()
                    raise ApiError(CLIENT_GONE, "client_gone", "The caller has left.")
            return _document(await work, fields)
        finally:
            running -= 1
            stop.set()
            path.unlink(missing_ok=True)
            if form is not None:
                await form.close()

    return routes


def _document(found: DetectedSpeech, fields: VadFields) -> dict[str, Any]:
    """Return the body of the answer; stretches that touch are one."""
    pad_s = fields.speech_pad_ms / 1000
    stretches: list[list[float]] = []
    for span in found.spans:
        start_s = max(0.0, span.start_s - pad_s)
        end_s = min(found.duration_s, span.end_s + pad_s)
        if stretches and start_s <= stretches[-1][1]:
            stretches[-1][1] = end_s
        else:
            stretches.append([start_s, end_s])
    return {
        "duration": round(found.duration_s, 3),
        "speech_s": round(sum(end - start for start, end in stretches), 3),
        "segments": [{"start": round(start, 3), "end": round(end, 3)} for start, end in stretches],
    }
