"""Runs generated cases of `hostile.py`: time limit, leaks, and the judgement of what a case did."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from kb.errors import KBError

LIMIT_S = 30.0  # a case that takes longer hangs
GRACE_S = 2.0  # within this time threads, files and processes of a case must have ended
PASSED, REFUSED, FAILED = "ok", "refused", "failed"
SECRET = "s3cret-Zq81-never-shown"  # in the values of the text files; no error may contain it


class Fault(Exception):
    """A fault that a case's own check found: silent loss, a wrong answer, a secret shown."""


@dataclass
class Outcome:
    """The result of one case; `facts` are added up by area."""

    result: str
    what: str  # the mutation
    detail: str = ""  # an error's code, or the fault
    seconds: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)


@dataclass
class Case:
    """One case while it runs: its random numbers, an empty folder, and notes for the outcome."""

    number: int
    rng: random.Random
    folder: Path
    what: str = ""
    facts: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float = 1) -> None:
        self.facts[name] = self.facts.get(name, 0) + value


class Area:
    """A kind of input. `run` raises KBError for a refusal and Fault for a fault."""

    name = ""
    cases = 0
    warm_up = 40  # cases before memory is measured: they load libraries and fill caches

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def run(self, case: Case) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Resources:
    """Threads, open files, child processes and temporary files of this process."""

    threads: frozenset[int]
    files: frozenset[tuple[str, str]]
    children: frozenset[int]
    temporary: frozenset[str]

    @classmethod
    def now(cls) -> Resources:
        return cls(
            frozenset(each.ident or 0 for each in threading.enumerate()),
            frozenset(_open_files()),
            frozenset(each.pid for each in psutil.Process().children(recursive=True)),
            frozenset(each.name for each in Path(tempfile.gettempdir()).iterdir()),
        )

    def grown(self, before: Resources) -> list[str]:
        """Return what is there that was not there before."""
        found = []
        for name in ("threads", "files", "children", "temporary"):
            now, earlier = getattr(self, name), getattr(before, name)
            extra = now - earlier
            if name == "files" and len(now) <= len(earlier):
                continue  # a pool replaced a connection
            if extra:
                found.append(f"{name}: {sorted(map(str, extra))[:3]}")
        return found


def _open_files() -> list[tuple[str, str]]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return [(str(each.fd), each.path) for each in psutil.Process().open_files()]
    found = []
    for link in folder.iterdir():
        with contextlib.suppress(OSError):
            found.append((link.name, str(link.readlink())))
    return found


class Runner:
    """Runs the cases of areas one after another in a folder of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed

    def case(self, area: Area, number: int) -> Case:
        """Return a case; the same seed, area and number give the same case."""
        folder = self._folder / f"{area.name}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return Case(number, random.Random(f"{self._seed}/{area.name}/{number}"), folder)

    def run(self, area: Area, number: int) -> Outcome:
        """Run one case with all checks."""
        before = _settled(Resources.now, lambda _: True)
        outcome = self._run_once(area, number)
        grown = _growth(before)
        if grown and outcome.result != FAILED:
            # What is made once at first use (a pool, a cache) does not grow a second time.
            before = Resources.now()
            self._run_once(area, number)
            if grown := _growth(before):
                outcome.result, outcome.detail = FAILED, f"leak: {'; '.join(grown)}"
        return outcome

    def _run_once(self, area: Area, number: int) -> Outcome:
        case = self.case(area, number)
        found: list[BaseException] = []

        def body() -> None:
            try:
                area.run(case)
            except BaseException as error:
                found.append(error)

        began = time.perf_counter()
        thread = threading.Thread(target=body, daemon=True, name="case")
        thread.start()
        thread.join(LIMIT_S)
        seconds = time.perf_counter() - began
        if thread.is_alive():
            result, detail = FAILED, f"hang: {_place_of(thread)}"
            _release(case.folder)
        else:
            result, detail = judge(found[0] if found else None)
        shutil.rmtree(case.folder, ignore_errors=True)
        return Outcome(result, case.what, detail, seconds, case.facts)


def judge(error: BaseException | None) -> tuple[str, str]:
    """Return the result of a case and its detail for the error that it raised."""
    if error is None:
        return PASSED, ""
    if isinstance(error, Fault):
        return FAILED, str(error)
    if not isinstance(error, KBError):
        frames = traceback.extract_tb(error.__traceback__)
        own = [each for each in frames if "/kb/" in each.filename or "/gpu/" in each.filename]
        at = (own or list(frames))[-1]
        place = f"{'/'.join(Path(at.filename).parts[-3:])}:{at.lineno}"
        return FAILED, f"traceback: {type(error).__name__}: {str(error)[:160]} at {place}"
    if not error.message.strip():
        return FAILED, f"an error without a sentence: {error.code}"
    if SECRET in f"{error.message} {error.hint} {error.values}":
        return FAILED, f"a secret is shown by {error.code}"
    return REFUSED, error.code or type(error).__name__


def _settled(read: Callable[[], Resources], enough: Callable[[Resources], bool]) -> Resources:
    ends = time.monotonic() + GRACE_S
    while True:
        found = read()
        if enough(found) or time.monotonic() > ends:
            return found
        time.sleep(0.05)


def _growth(before: Resources) -> list[str]:
    if Resources.now().grown(before):
        gc.collect()
    return _settled(Resources.now, lambda now: not now.grown(before)).grown(before)


def _place_of(thread: threading.Thread) -> str:
    import sys

    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return "unknown"
    frames = traceback.extract_stack(frame)
    own = [each for each in frames if "/kb/" in each.filename or "/gpu/" in each.filename]
    at = (own or list(frames))[-1]
    return f"{'/'.join(Path(at.filename).parts[-3:])}:{at.lineno}"


def _release(folder: Path) -> None:
    """Let a thread go on that waits at a named pipe."""
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_fifo():
                os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
