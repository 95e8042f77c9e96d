"""Uploading files as they are: their bytes untouched, read while they are sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kb.errors import CredentialsRefused, KnowledgeBaseError, UsageError
from kb.sinks.odin.client import FAILED, FILE_LIMIT_BYTES, MISSING, SYNCED, RemoteDocument
from kb.sinks.odin.documents import HASH_LENGTH, PRODUCER, ascii_name
from kb.sinks.odin.sink import CONFLICT, LONGEST_POLL, OdinSink
from kb.sinks.odin.transport import OdinRefused, OutcomeUnknown, pause
from kb.storage import library_error

FILE_TYPES = (".txt", ".pdf", ".mp4", ".docx", ".html", ".json", ".xml", ".csv", ".mp3", ".md")
NAME_LENGTH = 100
RESERVED_KEYS = frozenset(("producer", "file_name", "sha256", "bytes"))


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

    All are sent first, then their indexing is awaited, by the setting's bound counted anew
    whenever one is ready. A file whose content is there already is not sent again. Raises
    CredentialsRefused at once, and UsageError for own metadata with a name of ours.
    """
    own = dict(metadata or {})
    if reserved := sorted(RESERVED_KEYS & own.keys()):
        raise UsageError(f"The metadata field {reserved[0]!r} is set by KB Ingest itself.")
    remote_documents = sink.client.documents()
    results: list[FileResult] = []
    for path in paths:
        results.append(_catch_errors(path, partial(_upload, sink, path, own, remote_documents)))
        if progress and results[-1].status == "failed":
            progress(results[-1])
    give_up_at = time.monotonic() + sink.settings.odin_poll_wait_s
    for number, result in enumerate(results):
        if result.status == "failed":
            continue
        results[number] = _catch_errors(result.path, partial(_wait, sink, result, give_up_at))
        if results[number].status == SYNCED:
            give_up_at = time.monotonic() + sink.settings.odin_poll_wait_s
        if progress:
            progress(results[number])
    return results


def _catch_errors(path: Path, action: Callable[[], FileResult]) -> FileResult:
    try:
        return action()
    except CredentialsRefused:
        raise
    except (KnowledgeBaseError, UsageError) as error:
        return FileResult(path, "", "failed", error.message, error.hint)


def _upload(
    sink: OdinSink, path: Path, own: Mapping[str, str], remote_documents: dict[str, RemoteDocument]
) -> FileResult:
    """Sends a file unless it is there; the result's status is ODIN's own."""
    size = check_file(path)
    sha256 = _hash(path)
    name = remote_name(path, sha256)
    existing = remote_documents.get(name)
    if existing is not None and existing.status in FAILED:
        sink.remove([name])
        existing = None
    if existing is not None:
        status = existing.status
    else:
        about = {"producer": PRODUCER, "file_name": path.name, "sha256": sha256, "bytes": size}
        status = _send(sink, path, name, {**about, **own})
    remote_documents[name] = RemoteDocument(name, status)
    # One that ODIN refuses to index is told as that when its turn to be awaited comes.
    return FileResult(path, name, "syncing" if status in FAILED else status)


def _send(sink: OdinSink, path: Path, name: str, metadata: Mapping[str, object]) -> str:
    settings = sink.settings
    for attempt in range(settings.odin_retries + 1):
        try:
            return sink.client.add_file(name, path, metadata).status
        except (OutcomeUnknown, OdinRefused) as error:
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


def _wait(sink: OdinSink, result: FileResult, give_up_at: float) -> FileResult:
    """How indexing ends; `syncing` when it has not by then (time.monotonic)."""
    poll_s, status, message = sink.settings.odin_poll_s, result.status, ""
    while status != SYNCED:
        answer = sink.client.status(result.name)
        status, message = answer.status, answer.message
        if status in FAILED:
            words = f": {message}" if message else ""
            problem = f"ODIN could not index {result.name} ({status}){words}"
            hint = "Upload it again: the failed copy goes."
            return FileResult(result.path, result.name, "failed", problem, hint)
        if status == SYNCED:
            break
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            return FileResult(result.path, result.name, "syncing")
        pause(min(poll_s, left_s), sink.stop)
        poll_s = min(poll_s * 1.5, sink.settings.odin_poll_s * LONGEST_POLL)
    return FileResult(result.path, result.name, SYNCED)


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problem = library_error(error, path, "read")
        raise KnowledgeBaseError(problem.message, hint="Check the file.") from None
