"""Processes that compute beside others do so with one thread of numpy's library."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from gpu.threads import one_thread
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.enrich.process import call_apart
from kb.errors import MediaUnavailable
from kb.inference.crash import InferenceProcessCrashed
from kb.inference.process import InferenceProcess
from kb.inference.readers.pool import ReaderPool
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from tests.support.raising import raises

OPENBLAS = "OPENBLAS_NUM_THREADS"
_PRODUCT = np.ones((600, 600), np.float32)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the maps of Linux")


def blas_threads(_progress: Any = None) -> int:
    """Return the number of threads of this process's numpy library; 0 if it is not OpenBLAS."""
    _PRODUCT @ _PRODUCT
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    found = re.search(r"\S*/numpy\S*openblas\S*\.so\S*", maps)
    if found is None:
        return 0
    return int(ctypes.CDLL(found.group()).scipy_openblas_get_num_threads64_())


def model_process(out: Path, *_given: object, **_named: object) -> None:
    """Stand for the model's process, and note its number of threads."""
    out.write_text(str(blas_threads()))


def of_step(_out: Path) -> int:
    return call_apart("count", blas_threads)


def of_model(out: Path) -> int:
    process = InferenceProcess(get_settings(), 1, main=partial(model_process, out))
    recipe = InferenceSession(get_settings()).transcription_options(RunOptions(model="demo"))
    try:
        with raises(InferenceProcessCrashed, "recognizer.crashed"):
            process.transcribe(Path("none.wav"), recipe)
    finally:
        process.close()
    return int(out.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("count", [of_step, of_model])
def test_numpy_has_one_thread_beside_other_libraries(
    count: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(OPENBLAS, raising=False)
    if not blas_threads():
        pytest.skip("numpy is built with another library")
    assert count(tmp_path / "threads") == 1
    monkeypatch.delenv(OPENBLAS)  # it was set, for all that is started later


def own_number(_progress: Any) -> str:
    return os.environ[OPENBLAS]


def test_a_number_of_the_user_stays_in_processes_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPENBLAS, "2")
    assert call_apart("count", own_number) == "2"


@pytest.mark.slow
def test_a_reader_has_one_thread_whatever_the_user_gives_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's number is the one for the recognition on a CPU, in the model's process."""
    for name in one_thread():
        monkeypatch.setenv(name, "7")
    settings = get_settings().model_copy(update={"readers": "1"})
    pool = ReaderPool(settings)
    with InferenceSession(settings, AdjustableSemaphore(1), readers=pool) as session:
        recipe = session.transcription_options(RunOptions(model="demo", batch_size=1))
        with pytest.raises(MediaUnavailable):  # so that no model is loaded
            session.transcribe(tmp_path / "missing.wav", recipe)
        (pid,) = pool.pids
        given = psutil.Process(pid).environ()
        assert one_thread().items() <= given.items()
        script = f"import {__name__} as own; print(own.blas_threads())"
        environment = {**given, "PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, check=True
        )
    pool.close()
    assert int(ended.stdout) in (0, 1)
