"""A client of ODIN's API with typed calls, without further logic.

Every call raises CredentialsRefused (key, secret or project), OdinRefused (with ODIN's own
message), OutcomeUnknown (an upload or message that may or may not have been accepted),
KnowledgeBaseError (ODIN cannot be reached) or Cancelled (the stop was set).
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from kb.errors import CredentialsRefused, KnowledgeBaseError
from kb.settings import Settings
from kb.sinks.odin.answers import (
    DocumentPage,
    RemoteDocument,
    read_document,
    read_page,
    read_rows,
    read_text,
    unknown_answer,
)
from kb.sinks.odin.errors import OdinRefused, OutcomeUnknown
from kb.sinks.odin.multipart import FormStream
from kb.sinks.odin.paging import read_all
from kb.sinks.odin.transport import Connection, error_message

FILE_LIMIT_BYTES = 200_000_000
PAGE_SIZE = 100
DELETE_AT_ONCE = 50

SYNCED = "synced"
DELETING = "deleting"
FAILED = ("failed", "timeout")
MISSING = "missing"


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The answer to an accepted upload, whose document may not be indexed yet."""

    name: str
    status: str


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """The state of a document: ODIN's own value (or `missing`) and ODIN's message."""

    status: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Project:
    """A project to which the credentials give access."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ChatReply:
    """An assistant's answer; `raw` is the whole document."""

    message: str
    chat_id: str
    message_id: str
    raw: Mapping[str, Any]


def file_size_error(path: Path, size: int) -> KnowledgeBaseError:
    """Return the error for a file of `size` bytes, which is larger than ODIN's limit."""
    return KnowledgeBaseError(
        "odin.file_size",
        "{name} has {size:.0f} MB; ODIN takes {limit:.0f} MB at most.",
        hint="Split the file.",
        name=path.name,
        size=size / 1e6,
        limit=FILE_LIMIT_BYTES / 1e6,
    )


class OdinClient:
    """A client of one project of ODIN, safe to use from threads; `stop` ends every wait at once."""

    def __init__(self, settings: Settings, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()
        self.project = settings.odin_project_id
        self._version = settings.odin_api_version
        self._paged = settings.odin_listing == "paged"
        self._connection = Connection(settings, self.stop)

    def add_bytes(self, name: str, content: bytes, metadata: Mapping[str, Any]) -> UploadResult:
        """Upload a document; a second upload of the same name creates a second document."""
        return self._add(name, metadata, len(content), lambda: io.BytesIO(content))

    def add_file(self, name: str, path: Path, metadata: Mapping[str, Any]) -> UploadResult:
        """Upload a file unchanged; the file is read while it is sent.

        Raises KnowledgeBaseError when it cannot be read or is larger than ODIN's limit.
        """
        try:
            size = path.stat().st_size
            if size > FILE_LIMIT_BYTES:
                raise file_size_error(path, size)
            with path.open("rb") as file:

                def reopen() -> io.BufferedReader:
                    file.seek(0)
                    return file

                return self._add(name, metadata, size, reopen)
        except OSError as error:
            raise KnowledgeBaseError(
                "upload.cannot_read",
                "{path} cannot be read: {reason}.",
                hint="Check the file.",
                path=path,
                reason=error.strerror or error,
            ) from None

    def add_text(
        self, name: str, content: str, extension: str, metadata: Mapping[str, Any]
    ) -> UploadResult:
        """Create a document from text in the project."""
        answer = self._connection.call(
            "POST",
            "/v2/project/knowledge/create/file",
            idempotent=False,
            data={
                "project_id": self.project,
                "file_name": name,
                "content": content,
                "file_extension": extension,
                "metadata": json.dumps(metadata),
            },
        )
        return _upload_result(answer, name)

    def status(self, name: str) -> RemoteStatus:
        """Return the state of a document; `missing` when there is none of that name."""
        try:
            answer = self._connection.call(
                "GET",
                "/project/knowledge/status",
                idempotent=True,
                params={"project_id": self.project, "file_name": name},
            )
        except OdinRefused as error:
            if error.status != 404:
                raise
            return RemoteStatus(MISSING)
        status = read_text(answer, "status", "status of a document")
        details = {key: value for key, value in answer.items() if key != "status"}
        return RemoteStatus(status, self._connection.redact(error_message(details)))

    def documents(self) -> dict[str, RemoteDocument]:
        """Return all documents of the project, by name."""
        with self._require_project():
            found = read_all(self._page, PAGE_SIZE) if self._paged else self._list_all()
            return {document.name: document for document in found}

    def page(self, number: int, search: str = "", size: int = PAGE_SIZE) -> list[RemoteDocument]:
        """Return one page of the project's documents, counted from 1; empty after the last."""
        return list(self._page(number, search, size).documents)

    def _page(self, number: int, search: str = "", size: int = PAGE_SIZE) -> DocumentPage:
        answer = self._connection.call(
            "POST",
            f"/v3/project/{quote(self.project)}/knowledgebase",
            idempotent=True,
            json={
                "page": number,
                "items_per_page": size,
                "name_search": search,
                "path": "",
                "recursive": True,
            },
        )
        return read_page(answer)

    def delete(self, names: Iterable[str]) -> None:
        """Remove documents; missing ones are no error."""
        unique_names = sorted(set(names))
        for start in range(0, len(unique_names), DELETE_AT_ONCE):
            some = unique_names[start : start + DELETE_AT_ONCE]
            try:
                self._connection.call(
                    "DELETE",
                    "/project/knowledge/delete",
                    idempotent=True,
                    json={
                        "project_id": self.project,
                        "resources": [{"name": name, "key": name} for name in some],
                    },
                )
            except OdinRefused as error:
                if error.status != 404:
                    raise

    def projects(self) -> list[Project]:
        """Return the projects to which the credentials give access."""
        call = "list of projects"
        answer = self._connection.call("GET", "/projects", idempotent=True)
        return [
            Project(read_text(row, "id", call, f"projects[{number}]."), str(row.get("name") or ""))
            for number, row in enumerate(read_rows(answer, "projects", call))
        ]

    def project_data(self) -> Mapping[str, Any]:
        """Return ODIN's data of the project; raise an error if the credentials do not fit it."""
        answer = self._connection.call("GET", f"/project/{quote(self.project)}", idempotent=True)
        data = answer.get("project_data")
        return data if isinstance(data, dict) else answer

    def search(self, query: str, limit: int = 10) -> list[Mapping[str, Any]]:
        """Search the project; return the results in ODIN's form."""
        answer = self._connection.call(
            "POST",
            "/v2/project/search",
            idempotent=True,
            json={"project_id": self.project, "query": query, "max_results": limit},
        )
        return read_rows(answer, "results", "search")

    def chat(self, message: str, chat_id: str = "") -> ChatReply:
        """Send a message to the project's assistant, in the conversation `chat_id` or a new one."""
        if not chat_id:
            created = self._connection.call(
                "POST", "/chat/create", idempotent=True, json={"project_id": self.project}
            )
            chat_id = str(created.get("chat_id") or created.get("id") or "")
        answer = self._connection.call(
            "POST",
            "/v3/chat/message",
            idempotent=False,
            json={
                "message": message,
                "project_id": self.project,
                "chat_id": chat_id,
                "use_knowledgebase": True,
                "skip_stream": True,
            },
        )
        content = answer.get("message")
        if isinstance(content, dict):
            content = content.get("content") or content.get("message") or content.get("text")
        return ChatReply(
            str(content or ""),
            str(answer.get("chat_id") or chat_id),
            str(answer.get("message_id") or ""),
            answer,
        )

    def _add(
        self, name: str, metadata: Mapping[str, Any], size: int, opened: Callable[[], IO[bytes]]
    ) -> UploadResult:
        fields = {"project_id": self.project, "metadata": json.dumps(metadata)}
        with self._require_project():
            answer = self._connection.call(
                "POST",
                f"/{self._version}/project/knowledge/add/file",
                idempotent=False,
                body=lambda: FormStream(fields, name, opened(), size),
            )
        return _upload_result(answer, name)

    @contextmanager
    def _require_project(self) -> Iterator[None]:
        """Raise CredentialsRefused for a missing project, because no item can be published then."""
        try:
            yield
        except OdinRefused as error:
            if error.status != 404:
                raise
            raise CredentialsRefused(
                "odin.project_missing",
                "ODIN has no project {project} for these credentials, or not under {version}: "
                "{cause}",
                hint="Check ODIN_PROJECT_ID and ODIN_API_VERSION (older projects need v2).",
                project=self.project,
                version=self._version,
                cause=error,
            ) from None

    def _list_all(self) -> Iterator[RemoteDocument]:
        answer = self._connection.call(
            "GET", f"/project/{quote(self.project)}/knowledge", idempotent=True
        )
        rows = answer.get("knowledge_base")
        if not isinstance(rows, dict):
            # An answer of unknown form must not count as an empty project, because every document
            # would then be sent a second time.
            raise OdinRefused(
                "odin.listing_unknown",
                "ODIN's list of documents has a form that is not known.",
                hint="Try ODIN_LISTING=paged.",
            )
        for name, row in rows.items():
            yield read_document(name, row, f"knowledge_base[{name!r}].")


def _upload_result(answer: Mapping[str, Any], name: str) -> UploadResult:
    key, status = answer.get("document_key"), answer.get("status")
    if not isinstance(key, str) and not isinstance(status, str):
        # Such an answer may be a refusal: the project's list shows if the document is there.
        raise unknown_answer("upload", "document_key").recast(OutcomeUnknown)
    return UploadResult(str(key or name), str(status or "queued"))
