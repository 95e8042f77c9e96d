"""Temporary files: those of living processes stay, whatever date they have."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kb import storage
from kb.library import Library
from kb.storage import atomic
from tests.support.library_files import leftovers


@pytest.mark.parametrize("clock_s", [0.0, -7200.0, 7200.0])
@pytest.mark.parametrize("age_s", [60.0, 3 * 86400.0, 20 * 365 * 86400.0])
def test_a_link_to_an_old_recording_is_not_swept_by_another_process(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, clock_s: float
) -> None:
    """Another worker starts between the link and its move into place."""
    source, target = tmp_path / "talk.wav", library.media_folder / "talk.wav"
    source.write_bytes(b"sound")
    library.prepare()
    at = time.time()
    os.utime(source, (at - age_s, at - age_s))
    swept: list[Path] = []

    @contextmanager
    def guard() -> Iterator[None]:
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)  # the sweep is another process's
            other.setattr(time, "time", lambda: at)
            swept.extend(storage.sweep(library.media_folder))
            # As seen from another machine, the process cannot be checked.
            other.setattr(atomic, "_HOST", "ffffffff")
            swept.extend(storage.sweep(library.media_folder))
        yield

    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: at + clock_s)
        storage.link_or_copy(source, target, link=True, guard=guard)
    assert swept == [] and target.read_bytes() == b"sound"


def test_a_link_of_a_dead_process_is_swept(library: Library, tmp_path: Path) -> None:
    library.prepare()
    killed = (
        "import os, sys; from pathlib import Path; from kb import storage\n"
        "guard = lambda: os._exit(9)\n"
        "storage.link_or_copy(Path(sys.argv[1]), Path(sys.argv[2]), link=True, guard=guard)\n"
    )
    source = tmp_path / "talk.wav"
    source.write_bytes(b"sound")
    target = library.media_folder / "talk.wav"
    subprocess.run([sys.executable, "-c", killed, str(source), str(target)], check=False)
    assert len(leftovers(library.home)) == 1
    assert len(library.sweep_temporary()) == 1 and leftovers(library.home) == []
