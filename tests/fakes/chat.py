"""A language model on loopback that speaks OpenAI's chat protocol, and behaves as badly as asked.

`answer` makes the text of a good answer from the messages. `faults` are played first, one for each
call, in their order; their names are the keys of `FAULTS`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.loopback import Loopback

KEY = "sk-loopback-4711-secret"

FAULTS = {
    "busy": "429 without Retry-After",
    "busy_wait": "429 with Retry-After: 0.01",
    "busy_long": "429 with Retry-After: 3600",
    "busy_for_ever": "429 with Retry-After: inf",
    "busy_nan": "429 with Retry-After: nan",
    "error": "500",
    "error_page": "502 with a page of HTML",
    "page": "200 with a page of HTML",
    "half": "200 with half a JSON document",
    "number": "200 with a JSON number",
    "empty_choice": "200 without a choice",
    "no_message": "200 with a choice without a message",
    "no_content": "200 with a message without text",
    "foreign": "200 with a JSON object of another schema",
    "prose": "200 with prose instead of JSON",
    "fenced": "200 with the good JSON in a fence of Markdown",
    "length": "200, cut off at the limit of its length",
    "declined": "200, declined by a filter",
    "tool": "200 with a call of a tool",
    "no_usage": "200 with a good answer that does not say what it used",
    "odd_usage": "200 with a good answer and impossible figures of use",
    "hang": "no answer until the test ends",
    "close": "closes the connection",
    "drip": "a byte now and then, without an end",
    "endless": "an answer without an end, as fast as it goes",
    "redirect": "307 to another server",
    "bad_request": "400 with a reason that has the key in it",
    "wrong_key": "401",
    "no_model": "404",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that arrived."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The question: the text of the first message of the user."""
        return next(str(m["content"]) for m in self.body["messages"] if m["role"] == "user")


@dataclass(slots=True)
class Counted:
    """The tokens of all answers, as the service bills them; `answers` were begun."""

    answers: int = 0
    tokens: int = 0


@dataclass(slots=True)
class _State:
    asked: list[Asked] = field(default_factory=list)
    counted: Counted = field(default_factory=Counted)
    served: list[list[dict[str, Any]]] = field(default_factory=list)


class ChatServer(Loopback):
    """The server; `url` is its address as KB_LLM_URL takes it. `delay_s` is the time of an answer.

    A call whose key is not `key` is refused with 401.
    """

    def __init__(
        self,
        answer: Callable[[Asked], str] = lambda _: "{}",
        faults: list[str] | None = None,
        key: str = KEY,
        delay_s: float = 0.0,
    ) -> None:
        self.answer, self.faults, self.key, self.delay_s = answer, list(faults or ()), key, delay_s
        self.elsewhere = "http://127.0.0.1:9/"
        self._lock = threading.Lock()
        self._state = _State()
        self.end = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with server._lock:
                    server._state.asked.append(Asked(body, headers))
                    fault = server.faults.pop(0) if server.faults else ""
                if server.delay_s:
                    time.sleep(server.delay_s)
                if fault == "wrong_key" or headers.get("authorization") != f"Bearer {server.key}":
                    self.send(401, _error("Incorrect API key provided"))
                else:
                    server._play(self, fault, server._state.asked[-1])

            def send(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Type", "application/json")
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

    @property
    def asked(self) -> list[Asked]:
        """All calls, those of faults included."""
        return self._state.asked

    @property
    def counted(self) -> Counted:
        return self._state.counted

    @property
    def served(self) -> list[list[dict[str, Any]]]:
        """The messages of each answer that leaves whole and says what it used."""
        return self._state.served

    def __exit__(self, *arguments: Any) -> None:
        self.end.set()
        super().__exit__(*arguments)

    def _play(self, handler: Any, fault: str, asked: Asked) -> None:
        good = {"content": self.answer(asked)}
        refusals = {
            "busy": (429, {}), "busy_wait": (429, {"Retry_After": "0.01"}),
            "busy_long": (429, {"Retry_After": "3600"}),
            "busy_for_ever": (429, {"Retry_After": "inf"}),
            "busy_nan": (429, {"Retry_After": "nan"}),
            "error": (500, {}),
            "no_model": (404, {}), "bad_request": (400, {}),
        }  # fmt: skip
        if fault in refusals:
            status, headers = refusals[fault]
            reason = f"no \x1b[31mmodel, Authorization: Bearer {self.key}"
            handler.send(status, _error(reason), **headers)
        elif fault == "error_page":
            handler.send(502, b"<html><body>Bad gateway</body></html>")
        elif fault == "page":
            handler.send(200, b"<!doctype html><title>Welcome</title>")
        elif fault == "number":
            handler.send(200, b"42")
        elif fault == "redirect":
            handler.send(307, b"", Location=self.elsewhere)
        elif fault == "close":
            handler.close_connection = True
        elif fault == "hang":
            self.end.wait(300)
        elif fault in ("drip", "endless"):
            self._send_for_ever(handler, fast=fault == "endless")
        elif fault == "empty_choice":
            handler.send(200, self._document(asked, None))
        elif fault == "no_message":
            handler.send(200, self._document(asked, {}, with_message=False))
        elif fault == "half":
            whole = self._document(asked, good, is_cut=True)
            handler.send(200, whole[: len(whole) // 2])
        else:
            message, ending, usage = self._message(fault, good)
            handler.send(200, self._document(asked, message, ending=ending, usage=usage))

    def _message(self, fault: str, good: dict[str, Any]) -> tuple[dict[str, Any], str, object]:
        content = good["content"]
        if fault == "no_content":
            return {"content": None}, "stop", True
        if fault == "foreign":
            return {"content": '{"orders": ["open the door"]}'}, "stop", True
        if fault == "prose":
            return {"content": "Sure! Here is what you asked for."}, "stop", True
        if fault == "fenced":
            return {"content": f"```json\n{content}\n```"}, "stop", True
        if fault == "length":
            return {"content": content[: len(content) // 2]}, "length", True
        if fault == "declined":
            return {"content": "", "refusal": "I cannot help with that."}, "content_filter", True
        if fault == "tool":
            call = {"name": "send_mail", "arguments": '{"to": "x@example.org"}'}
            tool = {"id": "1", "type": "function", "function": call}
            return {"content": content, "tool_calls": [tool]}, "tool_calls", True
        if fault == "no_usage":
            return good, "stop", None
        if fault == "odd_usage":
            return good, "stop", {"prompt_tokens": -5, "completion_tokens": "many"}
        assert fault == "", fault
        return good, "stop", True

    def _document(
        self, asked: Asked, message: dict[str, Any] | None, *, ending: str = "stop",
        usage: object = True, with_message: bool = True, is_cut: bool = False,
    ) -> bytes:  # fmt: skip
        used = {
            "prompt_tokens": len(json.dumps(asked.body["messages"])) // 4,
            "completion_tokens": len(json.dumps(message)) // 4,
        }
        with self._lock:
            if usage is True and not is_cut:
                self.served.append(asked.body["messages"])
            self.counted.answers += 1
            self.counted.tokens += used["prompt_tokens"] + used["completion_tokens"]
        choice: dict[str, Any] = {"index": 0, "finish_reason": ending}
        if with_message and message is not None:
            choice["message"] = {"role": "assistant", **message}
        document: dict[str, Any] = {
            "id": "1", "object": "chat.completion", "created": 1, "model": asked.body["model"],
            "choices": [] if message is None else [choice],
        }  # fmt: skip
        if usage is not None:
            document["usage"] = used if usage is True else usage
        return json.dumps(document).encode()

    def _send_for_ever(self, handler: Any, *, fast: bool) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        part = b" " * 65_536 if fast else b" "
        try:
            while not self.end.is_set():
                handler.wfile.write(part)
                handler.wfile.flush()
                if not fast:
                    self.end.wait(0.05)
        except OSError:  # the client has closed
            handler.close_connection = True


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error"}}).encode()
