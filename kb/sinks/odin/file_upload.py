"""Upload of files without conversion; their bytes are read while they are sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kb.errors import CredentialsRefused, KBError, KnowledgeBaseError, StoredProblem, UsageError
from kb.sinks.odin.answers import RemoteDocument
from kb.sinks.odin.client import (
    FAILED,
    FILE_LIMIT_BYTES,
    MISSING,
    SYNCED,
    file_size_error,
)
from kb.sinks.odin.documents import HASH_LENGTH, PRODUCER, ascii_name, check_own_metadata
from kb.sinks.odin.errors import OdinRefused, OutcomeUnknown
from kb.sinks.odin.sink import CONFLICT, LONGEST_POLL, OdinSink
from kb.sinks.odin.transport import pause
from kb.storage import library_error

FILE_TYPES = (".txt", ".pdf", ".mp4", ".docx", ".html", ".json", ".xml", ".csv", ".mp3", ".md")
_TYPES = " ".join(kind[1:].upper() for kind in FILE_TYPES)
NAME_LENGTH = 100
RESERVED_KEYS = frozenset(("producer", "file_name", "sha256", "bytes"))


@dataclass(frozen=True, slots=True)
class FileResult:
    """The result for one file: `synced`, `syncing` or `failed` with the error."""

    path: Path
    name: str
    status: str
    error: str = ""
    hint: str = ""
    problem: StoredProblem | None = None


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders that ODIN accepts, in order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in FILE_TYPES and path.is_file() and not path.name.startswith(".")
    )


def check_file(path: Path) -> int:
    """Return the file's size in bytes.

    Raises UsageError for a type or size that ODIN does not accept, and for a missing file.
    """
    if path.suffix.lower() not in FILE_TYPES:
        if not path.suffix:
            raise UsageError(
                "upload.no_extension",
                "ODIN does not take files without extension: {name}.",
                hint="It takes {types}.",
                name=path.name,
                types=_TYPES,
            )
        raise UsageError(
            "upload.type",
            "ODIN does not take {extension}: {name}.",
            hint="It takes {types}.",
            extension=path.suffix,
            name=path.name,
            types=_TYPES,
        )
    try:
        if not path.is_file():
            raise UsageError(
                "upload.missing", "There is no file {path}.", hint="Check the path.", path=path
            )
        size = path.stat().st_size
    except OSError as error:
        raise _read_error(error, path).recast(UsageError) from None
    if size > FILE_LIMIT_BYTES:
        raise file_size_error(path, size).recast(UsageError)
    return size


def remote_name(path: Path, sha256: str) -> str:
    """Return the file's name in the project: ASCII, with a hash of the content."""
    stem = ascii_name(path.stem)[:NAME_LENGTH].strip("-._") or "file"
    return f"{stem}_{sha256[:HASH_LENGTH]}{path.suffix.lower()}"


def upload_files(
    sink: OdinSink,
    paths: Iterable[Path],
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[FileResult], None] | None = None,
) -> list[FileResult]:
    """Upload files into the project, each once; a failed file does not stop the others.

    All files are sent first, then their indexing is awaited; the time limit of the settings starts
    again whenever one is ready. A file whose content is in the project already is not sent
    again. Raises CredentialsRefused at once, and UsageError for a reserved metadata field.
    """
    own = dict(metadata or {})
    check_own_metadata(own, RESERVED_KEYS)
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
        return _failed(path, "", error)


def _failed(path: Path, name: str, error: KBError) -> FileResult:
    return FileResult(path, name, "failed", error.message, error.hint, error.problem)


def _upload(
    sink: OdinSink, path: Path, own: Mapping[str, str], remote_documents: dict[str, RemoteDocument]
) -> FileResult:
    """Send a file unless the project has it; the status of the result is ODIN's own value."""
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
    # A document that ODIN fails to index is reported by `_wait`.
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
    """Wait for the indexing; return `syncing` if it has not ended at `give_up_at`.

    `give_up_at` is a time of `time.monotonic` in seconds.
    """
    poll_s, status, message = sink.settings.odin_poll_s, result.status, ""
    while status != SYNCED:
        answer = sink.client.status(result.name)
        status, message = answer.status, answer.message
        if status in FAILED:
            return _failed(result.path, result.name, _index_error(result.name, status, message))
        if status == SYNCED:
            break
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            return FileResult(result.path, result.name, "syncing")
        pause(min(poll_s, left_s), sink.stop)
        poll_s = min(poll_s * 1.5, sink.settings.odin_poll_s * LONGEST_POLL)
    return FileResult(result.path, result.name, SYNCED)


def _index_error(name: str, status: str, message: str) -> KnowledgeBaseError:
    if not message:
        return KnowledgeBaseError(
            "upload.not_indexed",
            "ODIN could not index {name} ({status})",
            hint="Upload it again: the failed copy is removed.",
            name=name,
            status=status,
        )
    return KnowledgeBaseError(
        "upload.index_error",
        "ODIN could not index {name} ({status}): {reason}",
        hint="Upload it again: the failed copy is removed.",
        name=name,
        status=status,
        reason=message,
    )


def _read_error(error: OSError, path: Path) -> KnowledgeBaseError:
    return KnowledgeBaseError(
        "upload.unreadable",
        "{cause}",
        hint="Check the file.",
        cause=library_error(error, path, "read"),
    )


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _read_error(error, path) from None
