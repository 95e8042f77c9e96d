"""The faults of one machine in `benchmarks/torture.py --machines`: its folder and its clock."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.support.torn_machine import SITE, can_mount, views_of


@pytest.mark.skipif(not can_mount(), reason="mounts need the administrator's account on Linux")
def test_views_of_a_folder_read_all_and_write_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "before").write_text("b")
    with views_of(home, tmp_path / "views") as views:
        if set(views) != {"read_only", "full"}:
            pytest.skip("this kernel has no overlay file system")
        (home / "later").write_text("l")
        for name, number in (("read_only", errno.EROFS), ("full", errno.ENOSPC)):
            view = views[name]
            assert {p.name: p.read_text() for p in view.iterdir()} == {"before": "b", "later": "l"}
            for change in (
                lambda view=view: (view / "new").write_text("n"),
                lambda view=view: (view / "before").open("a").close(),
                lambda view=view: (view / "folder").mkdir(),
                lambda view=view: (view / "before").unlink(),
                lambda view=view: (view / "before").rename(view / "after"),
            ):
                with pytest.raises(OSError) as caught:
                    change()
                assert caught.value.errno == number, (name, change)
    assert sorted(each.name for each in home.iterdir()) == ["before", "later"]
    assert not any((tmp_path / "views" / name).is_mount() for name in ("read-only", "full"))


def test_the_clock_of_a_machine(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_bytes(struct.pack("d", -7200.0))
    shown = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**os.environ, "PYTHONPATH": str(SITE), "KB_TEST_CLOCK": str(clock)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert abs(float(shown.stdout) + 7200.0 - time.time()) < 60
