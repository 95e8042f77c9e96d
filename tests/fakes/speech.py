"""A service of voices on loopback, with OpenAI's protocol, that behaves as badly as asked."""

from __future__ import annotations

import io
import json
import threading
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from tests.fakes.loopback import Loopback

KEY = "sk-voices-0815-secret"
RATE_HZ = 24_000
FAULTS = ("wrong_key", "busy", "refused", "garbage", "half", "hang", "redirect")


def tone_wav(seconds: float) -> bytes:
    """Return a tone as a WAV."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    samples = (8000 * np.sin(2 * np.pi * 220 * times)).astype("<i2")
    data = io.BytesIO()
    with wave.open(data, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE_HZ)
        target.writeframes(samples.tobytes())
    return data.getvalue()


class SpeechService(Loopback):
    """The server; `url` is its address as KB_SPEECH_URL takes it."""

    def __init__(self, fault: str = "", voices: tuple[str, ...] = ("alloy", "df_anna")) -> None:
        self.fault, self.voices = fault, voices
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.end = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200, json.dumps({"voices": list(server.voices)}).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server.asked.append(json.loads(body))
                server.keys.append(self.headers.get("authorization", ""))
                if server.fault == "wrong_key":
                    self.error(401, "Incorrect API key provided")
                elif server.fault == "busy":
                    self.error(503, "no room")
                elif server.fault == "refused":
                    self.error(400, f"the key {KEY} may not do this")
                elif server.fault == "detail":
                    self.answer(400, json.dumps({"detail": "no such voice"}).encode())
                elif server.fault == "list":
                    self.answer(400, b'["no document"]')
                elif server.fault == "garbage":
                    self.answer(200, b"<html>no sound</html>")
                elif server.fault == "half":
                    self.answer(200, tone_wav(0.5)[:30])
                elif server.fault == "redirect":
                    self.send_response(307)
                    self.send_header("Location", "http://127.0.0.1:9/")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif server.fault == "hang":
                    server.end.wait()
                else:
                    self.answer(200, tone_wav(0.5))

            def error(self, status: int, message: str) -> None:
                self.answer(status, json.dumps({"error": {"message": message}}).encode())

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def __exit__(self, *reason: Any) -> None:
        self.end.set()
        super().__exit__(*reason)
