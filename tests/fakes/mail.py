"""A mail server on loopback that keeps what it gets, and an address that takes JSON."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.loopback import Loopback


class FakeMail(Loopback):
    """An SMTP server without encryption; `refuse` has the answer to a command, such as `RCPT`."""

    def __init__(self, refuse: dict[str, str] | None = None) -> None:
        self.refuse = dict(refuse or {})
        self.messages: list[EmailMessage] = []
        self.commands: list[str] = []
        fake = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 fake")
                while line := self.rfile.readline().decode().rstrip("\r\n"):
                    command = line.split(" ")[0].upper()
                    fake.commands.append(line)
                    if command in fake.refuse:
                        self._say(fake.refuse[command])
                    elif command == "EHLO":
                        self._say("250-fake\r\n250 AUTH PLAIN")
                    elif command == "AUTH":
                        self._say("235 welcome")
                    elif command == "DATA":
                        self._say("354 go on")
                        fake.messages.append(self._message())
                        self._say("250 kept")
                    elif command == "QUIT":
                        self._say("221 bye")
                        return
                    else:
                        self._say("250 fine")

            def _say(self, answer: str) -> None:
                self.wfile.write(f"{answer}\r\n".encode())

            def _message(self) -> EmailMessage:
                data = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    data += line
                found = email.message_from_bytes(data, policy=email.policy.default)
                assert isinstance(found, EmailMessage)
                return found

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True


class FakeWebhook(Loopback):
    """An address that takes JSON; `statuses` are its answers in order, the last one stays."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses or (204,))
        self.documents: list[dict[str, Any]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = fake.statuses.pop(0) if len(fake.statuses) > 1 else fake.statuses[0]
                if status < 300:
                    fake.documents.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"{self.origin}/hook?key=s3cret"
