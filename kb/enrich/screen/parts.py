"""Parts of the step: the package rapidocr, whose wheel holds its models.

KB_STEP_MODELS names another folder for the models.
"""

from __future__ import annotations

import importlib
import importlib.util
from importlib import metadata
from pathlib import Path

from kb import storage
from kb.enrich.packages import run_installer
from kb.errors import ModelUnavailable
from kb.settings import get_settings

PACKAGE, REQUIREMENT = "rapidocr", "rapidocr==3.10.*"
MODEL = "PP-OCRv6 small"
# The models that find and that read text, with their sizes.
FILES = {"PP-OCRv6_det_small.onnx": 9_929_594, "PP-OCRv6_rec_small.onnx": 21_234_383}
COMMAND = "kb models add screen"
DOWNLOAD_BYTES = 200_000_000  # with the packages that it needs
LICENCE = "Apache-2.0"


def models() -> tuple[Path, Path] | None:
    """Return the paths of the two models, None if the package or one of them is missing."""
    packaged = _packaged()
    if packaged is None:
        return None
    chosen = get_settings().step_models
    first, second = (Path(chosen or packaged) / name for name in FILES)
    return (first, second) if _are_whole(Path(chosen or packaged)) else None


def version() -> str:
    """Return the version of the package."""
    return metadata.version(PACKAGE)


def missing() -> ModelUnavailable:
    """Return the error for a machine without the parts."""
    return ModelUnavailable(
        "screen.no_reader",
        "The reader of text on the screen ({package} with {model}, {licence}, about 200 MB) is "
        "not on this machine.",
        hint="Fetch it: {command}",
        package=REQUIREMENT,
        model=MODEL,
        licence=LICENCE,
        command=COMMAND,
    )


def add() -> Path:
    """Install the package with pip if it is missing; return the folder of its models.

    With KB_STEP_MODELS, its models are copied there. Raises ModelUnavailable.
    """
    cause = ""
    if _packaged() is None:
        cause = run_installer("install", [REQUIREMENT], COMMAND)
        importlib.invalidate_caches()
    packaged = _packaged()
    if packaged is None or not _are_whole(packaged):
        raise ModelUnavailable(
            "screen.not_fetched",
            "{package} could not be installed: {cause}",
            hint="Check the network, or pip's index; then again: {command}",
            package=REQUIREMENT,
            cause=cause or "it has other models",
            command=COMMAND,
        )
    if not (chosen := get_settings().step_models):
        return packaged
    for name in FILES:
        storage.write_bytes(Path(chosen) / name, (packaged / name).read_bytes())
    return Path(chosen)


def _packaged() -> Path | None:
    found = importlib.util.find_spec(PACKAGE)
    return Path(found.origin).parent / "models" if found and found.origin else None


def _are_whole(folder: Path) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in FILES.items())
    except OSError:
        return False
