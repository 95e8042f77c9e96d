"""GET /health: the server, its process, and the recognizer, which must decode something."""

from __future__ import annotations

import asyncio
import math
import struct
import time
import wave
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from kb import __version__
from kb.api.context import ApiContext
from kb.api.errors import ApiError, retry_after
from kb.api.flights import OnText
from kb.errors import KBError
from kb.options import RunOptions
from kb.service.line import Request
from kb.types import Transcript

FRESH_S = 60.0  # a transcription within this time shows that the recognizer works
PATIENCE_S = 20.0
_RATE_HZ, _SECONDS = 16_000, 0.5


def router(context: ApiContext) -> APIRouter:
    """Return the routes of health."""
    routes = APIRouter(prefix="/health", tags=["health"])

    @routes.get("")
    async def health() -> dict[str, Any]:
        """Return the state of the server."""
        counts = await run_in_threadpool(_counts, context)
        names = await run_in_threadpool(context.models.names)
        return {"status": "ok", "version": __version__, "model": names[0], "queue": counts}

    @routes.get("/live")
    async def live() -> dict[str, str]:
        """Return ok: the process answers."""
        return {"status": "ok"}

    @routes.get("/ready")
    async def ready() -> JSONResponse:
        """Return ok if the database answers and the recognizer decoded a sound just now."""
        problem = await run_in_threadpool(_database_problem, context)
        if not problem and time.monotonic() - context.flights.last_success > FRESH_S:
            problem = await _recognizer_problem(context)
        if problem:
            document = {"status": "unavailable", "reason": problem}
            return JSONResponse(document, 503, headers=retry_after(5))
        return JSONResponse({"status": "ok"})

    return routes


def _counts(context: ApiContext) -> dict[str, int] | None:
    try:
        return context.service.queue.counts()
    except KBError:
        return None


def _database_problem(context: ApiContext) -> str:
    try:
        context.service.queue.counts()
    except KBError as error:
        return error.message
    return ""


async def _recognizer_problem(context: ApiContext) -> str:
    """Have a short sound decoded; return the reason if that fails, else an empty text."""
    flights, key = context.flights, "ready"
    try:
        transcriber = context.transcriber()
        flight = flights.find(key)
        if flight is None or flight.ended:
            path = context.folder / "ready.wav"
            await run_in_threadpool(_write_tone, path)
            # All of it is read, because a tone is no speech.
            request = Request(path, RunOptions(detect_speech=False), may_swap=False)

            def work(on_text: OnText, cancelled: Any) -> Transcript:
                return transcriber.transcribe(request, cancelled=cancelled)

            flight = flights.start(key, work, lambda: None)
        with flights.joined(flight):
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while not flight.ended:
                left_s = deadline - asyncio.get_running_loop().time()
                if left_s <= 0:
                    return f"The recognizer has not answered for {PATIENCE_S:g} s."
                await flight.next_change(left_s)
            flight.result()
    except KBError as error:
        return f"{error.message} {error.hint}".strip()
    except ApiError as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def _write_tone(path: Path) -> None:
    samples = (
        int(8_000 * math.sin(2 * math.pi * 220 * n / _RATE_HZ))
        for n in range(int(_RATE_HZ * _SECONDS))
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
