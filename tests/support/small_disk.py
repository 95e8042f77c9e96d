"""A small disk: the processes of a library take their free space from a size that tests choose.

The disk has the media and downloads of the library, and no others; the database and the logs are
what the floor of free space is kept for. `KB_TEST_DISK` names a file with its size in bytes.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path
from types import TracebackType

from kb.settings import PROJECT_ROOT

SIZE_FILE = "KB_TEST_DISK"
FOLDERS = ("media", "downloads")
SAMPLE_EVERY_S = 0.01
Usage = namedtuple("Usage", "total used free")


def used_bytes(home: Path) -> int:
    """Return the bytes of the media and downloads of a library; hard links count once."""
    files: dict[tuple[int, int], int] = {}
    for name in FOLDERS:
        for folder, _, names in os.walk(home / name):
            for each in names:
                try:
                    found = os.lstat(os.path.join(folder, each))  # noqa: PTH118
                except FileNotFoundError:
                    continue
                files[found.st_dev, found.st_ino] = found.st_size
    return sum(files.values())


def install() -> None:
    """Replace `shutil.disk_usage` in this process."""

    def disk_usage(_path: object) -> Usage:
        size, used = read_size(Path(os.environ[SIZE_FILE])), used_bytes(Path(os.environ["KB_HOME"]))
        return Usage(size, used, max(0, size - used))

    shutil.disk_usage = disk_usage  # type: ignore[assignment]


def read_size(file: Path) -> int:
    return int(file.read_text())


class SmallDisk:
    """The disk of the library at `home`; `least_free` is the smallest free space seen in a block.

    `environment` has what the library's processes need.
    """

    def __init__(self, folder: Path, home: Path, size: int) -> None:
        self._home = home
        self._file = folder / "disk-size"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.least_free = size
        self.size = size
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(str(size))
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(
            "from tests.support.small_disk import install\n\ninstall()\n"
        )
        path = os.pathsep.join([str(site), str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])
        self.environment = {SIZE_FILE: str(self._file), "PYTHONPATH": path}

    def resize(self, size: int) -> None:
        """Let the disk have another size: another program has written or deleted files."""
        changed = self._file.with_name("disk-size.new")
        changed.write_text(str(size))
        changed.replace(self._file)
        self.size = size

    def free(self) -> int:
        return self.size - used_bytes(self._home)

    def __enter__(self) -> SmallDisk:
        self.least_free = self.free()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            self.least_free = min(self.least_free, self.free())
