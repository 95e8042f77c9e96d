"""Uploading files as they are: their bytes untouched, read while they are sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kb.errors import CredentialsRefused, KnowledgeBaseError, UsageError
from kb.sinks.odin import CONFLICT, OdinSink
from kb.sinks.odin_client import FAILED, FILE_LIMIT_BYTES, MISSING, SYNCED, RemoteDocument
from kb.sinks.odin_documents import HASH_LENGTH, PRODUCER, ascii_name
from kb.sinks.odin_http import OdinRefused, Unanswered, pause
from kb.storage import library_error

FILE_TYPES = (".txt", ".pdf", ".mp4", ".docx", ".html", ".json", ".xml", ".csv", ".mp3", ".md")
NAME_LENGTH = 100
OWN_KEYS = frozenset(("producer", "file_name", "sha256", "bytes"))


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file: `synced`, `syncing` or `failed` with the reason."""

    path: Path
    name: str
    status: str
    error: str = ""
    hint: str = ""


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and its subfolders that ODIN takes, in order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in FILE_TYPES and path.is_file() and not path.name.startswith(".")
    )


def check_file(path: Path) -> int:
    """The file's size in bytes.

    Raises UsageError for a type or size that ODIN does not take, and for no file.
    """
    if path.suffix.lower() not in FILE_TYPES:
        raise UsageError(
            f"ODIN does not take {path.suffix or 'files without extension'}: {path.name}.",
            hint="It takes " + " ".join(kind[1:].upper() for kind in FILE_TYPES) + ".",
        )
    try:
        if not path.is_file():
            raise UsageError(f"There is no file {path}.", hint="Check the path.")
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(library_error(error, path, "read").message) from None
    if size > FILE_LIMIT_BYTES:
        raise UsageError(
            f"{path.name} has {size / 1e6:.0f} MB; ODIN takes {FILE_LIMIT_BYTES / 1e6:.0f} MB.",
            hint="Split the file.",
        )
    return size


def remote_name(path: Path, sha256: str) -> str:
    """The file's name in the project: ASCII, and told apart from its namesakes by content."""
    stem = ascii_name(path.stem)[:NAME_LENGTH].strip("-._") or "file"
    return f"{stem}_{sha256[:HASH_LENGTH]}{path.suffix.lower()}"


def upload_files(
    sink: OdinSink,
    paths: Iterable[Path],
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[FileResult], None] | None = None,
) -> list[FileResult]:
    """Bring files into the project, each once; one that fails does not stop the others.

    A file whose content is there already is not sent again. Raises CredentialsRefused at
    once, and UsageError for own metadata with a name of ours.
    """
    own = dict(metadata or {})
    if taken := sorted(OWN_KEYS & own.keys()):
        raise UsageError(f"The metadata field {taken[0]!r} is set by KB Ingest itself.")
    held = sink.client.documents()
    results = []
    for path in paths:
        try:
            result = _upload(sink, path, own, held)
        except CredentialsRefused:
            raise
        except (KnowledgeBaseError, UsageError) as error:
            result = FileResult(path, "", "failed", error.message, error.hint)
        results.append(result)
        if progress:
            progress(result)
    return results


def _upload(
    sink: OdinSink, path: Path, own: Mapping[str, str], held: dict[str, RemoteDocument]
) -> FileResult:
    size = check_file(path)
    sha256 = _hash(path)
    name = remote_name(path, sha256)
    there = held.get(name)
    if there is not None and there.status in FAILED:
        sink.remove([name])
        there = None
    if there is not None:
        status = there.status
    else:
        about = {"producer": PRODUCER, "file_name": path.name, "sha256": sha256, "bytes": size}
        status = _send(sink, path, name, {**about, **own})
    held[name] = RemoteDocument(name, status)
    return _wait(sink, path, name, status)


def _send(sink: OdinSink, path: Path, name: str, metadata: Mapping[str, object]) -> str:
    settings = sink.settings
    for attempt in range(settings.odin_retries + 1):
        try:
            return sink.client.add_file(name, path, metadata).status
        except (Unanswered, OdinRefused) as error:
            if isinstance(error, OdinRefused) and error.status != CONFLICT:
                raise
            pause(settings.odin_settle_s, sink.stop)
            found = sink.client.status(name)
            if found.status != MISSING:
                return found.status
            if attempt == settings.odin_retries:
                raise
            pause(settings.odin_backoff_s * 2 ** min(attempt, 6), sink.stop)
    raise AssertionError("the last attempt returns or raises")


def _wait(sink: OdinSink, path: Path, name: str, status: str) -> FileResult:
    poll_s, waited_s, message = sink.settings.odin_poll_s, 0.0, ""
    while status != SYNCED and status not in FAILED:
        if waited_s >= sink.settings.odin_poll_wait_s:
            return FileResult(path, name, "syncing")
        pause(poll_s, sink.stop)
        waited_s += poll_s
        answer = sink.client.status(name)
        status, message = answer.status, answer.message
    if status == SYNCED:
        return FileResult(path, name, SYNCED)
    problem = f"ODIN could not index {name} ({status}){': ' + message if message else ''}"
    return FileResult(path, name, "failed", problem, "Upload it again: the failed copy goes.")


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problem = library_error(error, path, "read")
        raise KnowledgeBaseError(problem.message, hint="Check the file.") from None
