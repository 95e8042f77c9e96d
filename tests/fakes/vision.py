"""Google Vision on loopback: `POST /v1/images:annotate`, and `/token` of a service account.

`script` has the answers to come, of which the last one stays: a document, or a status with headers
and a body. Without any, each picture has the lines of `lines`.
"""

from __future__ import annotations

import base64
import io
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from tests.fakes.loopback import Loopback

TOKEN = "a-token-of-the-service"


@dataclass(frozen=True)
class Raw:
    """An answer of another form."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request: its path, headers, and the size and kind of its picture."""

    path: str
    headers: dict[str, str]
    size: tuple[int, int]
    form: str
    feature: str


class FakeVision(Loopback):
    """The server."""

    def __init__(self, lines: tuple[str, ...] = ()) -> None:
        self.lines = lines
        self.script: list[Raw | dict[str, Any]] = []
        self.requests: list[Asked] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    answer = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
                    self._send(Raw(200, json.dumps(answer).encode()))
                    return
                request = json.loads(body)["requests"][0]
                image = Image.open(io.BytesIO(base64.b64decode(request["image"]["content"])))
                feature = request["features"][0]["type"]
                headers = {name.lower(): value for name, value in self.headers.items()}
                with fake._lock:
                    fake.requests.append(
                        Asked(self.path, headers, image.size, str(image.format), feature)
                    )
                    script = fake.script
                    found = (script.pop(0) if len(script) > 1 else script[0]) if script else None
                if found is None:
                    found = {"responses": [annotation(fake.lines)]}
                if isinstance(found, dict):
                    found = Raw(200, json.dumps(found).encode())
                self._send(found)

            def _send(self, answer: Raw) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler


def annotation(lines: tuple[str, ...], confidence: float = 0.9) -> dict[str, Any]:
    """Return a result with these lines, 40 pixels high and 100 apart, in Google's form."""
    words = []
    for row, line in enumerate(lines):
        parts = line.split()
        for place, part in enumerate(parts):
            symbols: list[dict[str, Any]] = [{"text": sign} for sign in part]
            ends = "LINE_BREAK" if place == len(parts) - 1 else "SPACE"
            symbols[-1]["property"] = {"detectedBreak": {"type": ends}}
            left, top = 100 + 200 * place, 100 * row
            vertices = [
                {"x": left, "y": top}, {"x": left + 150, "y": top},
                {"x": left + 150, "y": top + 40}, {"x": left, "y": top + 40},
            ]  # fmt: skip
            words.append({
                "symbols": symbols, "confidence": confidence, "boundingBox": {"vertices": vertices}
            })  # fmt: skip
    page = {"blocks": [{"paragraphs": [{"words": words}]}]}
    return {"fullTextAnnotation": {"pages": [page], "text": "\n".join(lines)}} if lines else {}
