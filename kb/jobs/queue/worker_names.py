"""Names of workers and of the machines that they run on.

A name alone is not unique: copies of a machine have the same host name, and a share may not carry
locks. So a process is known by its name, its host, the boot of the machine, and a random word.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from kb import storage
from kb.settings import Settings
from kb.storage.machine_boot import boot_id


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A worker process of this machine, as its file in the library folder says.

    It is read where the database does not answer.
    """

    executor_id: str
    host: str
    boot: str
    pid: int
    process_started: float


def executor_id(settings: Settings) -> str:
    """Return the name of this machine's worker, safe in file names."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", settings.executor_id or socket.gethostname()) or "worker"


def other_name(name: str) -> str:
    """Return a name for a machine whose host name is used by another machine."""
    return f"{name}-{secrets.token_hex(2)}"


def ignores_case(file: Path) -> bool:
    """Return True if upper and lower case are one in the folder of a file that exists."""
    try:
        return file.with_name(file.name.swapcase()).samefile(file)
    except OSError:
        return False


def is_here(host: str, boot: str) -> bool:
    """Return True if a process with this host and boot ran on this machine since its start.

    `boot` is empty for a worker of an older version, of which only the host is known.
    """
    return host == socket.gethostname() and boot in ("", boot_id())


def workers_folder(settings: Settings) -> Path:
    """Return the folder with the locks of the workers and the requests to them."""
    return settings.home / ".workers"


def stop_file(settings: Settings, executor: str) -> Path:
    """Return the path of the file that requests a worker to stop (Windows has no SIGTERM)."""
    return workers_folder(settings) / f"{executor}.stop"


def write_local(settings: Settings, executor: str) -> None:
    """Record this process as the worker of a name. Raises LibraryError."""
    worker = LocalWorker(
        executor, socket.gethostname(), boot_id(), os.getpid(), psutil.Process().create_time()
    )
    storage.write_bytes(_file(settings, executor), json.dumps(asdict(worker)).encode())


def remove_local(settings: Settings, executor: str) -> None:
    """Remove the record of `write_local`."""
    with suppress(OSError):
        _file(settings, executor).unlink(missing_ok=True)


def local_workers(settings: Settings) -> list[LocalWorker]:
    """Return the workers of this library on this machine whose process lives."""
    found = []
    with suppress(OSError):
        for path in sorted(workers_folder(settings).glob("*.json")):
            with suppress(OSError, ValueError, TypeError):
                worker = LocalWorker(**json.loads(path.read_bytes()))
                if is_here(worker.host, worker.boot) and process_of(worker) is not None:
                    found.append(worker)
    return found


def process_of(worker: LocalWorker) -> psutil.Process | None:
    """Return the process of a worker of this machine, None if it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(worker.pid)
        same = abs(process.create_time() - worker.process_started) < 2.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    return None


def _file(settings: Settings, executor: str) -> Path:
    return workers_folder(settings) / f"{executor}.json"
