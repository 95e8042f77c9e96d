"""A machine of `benchmarks/torture.py --machines`: a worker with its own network, mount and clock.

The mount is a link to the shared folder. Where this process may mount file systems (Linux, root),
the link can also lead to a read-only mount of the same folder, and to one without free space.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from kb.settings import PROJECT_ROOT
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.workers import Lab

SITE = Path(__file__).resolve().parent / "machine_site"


@dataclass
class Machine:
    """One worker with its network, its mount of the share and its clock."""

    name: str
    lab: Lab
    proxy: DatabaseProxy
    mount: Path
    url: str
    views: dict[str, Path]  # `read_only` and `full`: other mounts of the shared folder
    pace_s: float = 0.0
    process: psutil.Process | None = None
    _clock: mmap.mmap = field(init=False)

    def __post_init__(self) -> None:
        """Mount the share and set the clock right."""
        self.mount.symlink_to(self.lab.home)
        clock = self.mount.with_name(f"{self.mount.name}-clock")
        clock.write_bytes(struct.pack("d", 0.0))
        with clock.open("r+b") as opened:
            self._clock = mmap.mmap(opened.fileno(), 8)

    def start(self) -> None:
        """Start the worker and wait until it has signed on."""
        more = {"KB_TEST_CLOCK": f"{self.mount}-clock"}
        if self.pace_s:
            more["KB_TEST_PACE_S"] = str(self.pace_s)
        paths = [str(SITE), str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
        self.process = self.lab.start(
            name=self.name, KB_DATABASE_URL=self.proxy.url(self.url), KB_HOME=str(self.mount),
            PYTHONPATH=os.pathsep.join(filter(None, paths)), **more,
        )  # fmt: skip

    def stop(self) -> None:
        """Send SIGTERM to the worker and wait for its end."""
        assert self.process is not None
        self.lab.stop(self.process)

    def is_running(self) -> bool:
        """Return True if the worker's process runs."""
        return (
            self.process is not None
            and self.process.is_running()
            and (self.process.status() != psutil.STATUS_ZOMBIE)
        )

    def set_clock(self, seconds: float) -> None:
        """Set the clock off by some seconds."""
        struct.pack_into("d", self._clock, 0, seconds)

    def take_share_away(self) -> None:
        """Remove the mount; `bring_share_back` ends it."""
        self.mount.rename(self.mount.with_name(f"{self.mount.name}-away"))

    def bring_share_back(self) -> None:
        """Bring the mount back; what the worker wrote in its place is put aside."""
        if self.mount.exists():  # a folder that a worker made under the mount point
            self.mount.rename(self.mount.with_name(f"{self.mount.name}-made"))
        self.mount.with_name(f"{self.mount.name}-away").rename(self.mount)

    def see(self, view: str = "") -> None:
        """Let the mount lead to another view of the shared folder; "" is the folder itself."""
        new = self.mount.with_name(f"{self.mount.name}-new")
        new.symlink_to(self.views[view] if view else self.lab.home)
        new.replace(self.mount)


def can_mount() -> bool:
    """Return True if this process may mount file systems."""
    return sys.platform == "linux" and os.geteuid() == 0 and _mount("--version")


@contextmanager
def views_of(home: Path, folder: Path) -> Iterator[dict[str, Path]]:
    """Yield mounts of a folder by name: `read_only` and `full`; none where they cannot be made.

    Each is unmounted at the end. In `full` files can be read, also new ones, and every change fails
    with ENOSPC: it is an overlay whose upper file system is full.
    """
    found: dict[str, Path] = {}
    with ExitStack() as mounted:
        if can_mount():
            read_only, upper, full = (_made(folder / n) for n in ("read-only", "upper", "full"))
            if _mount("--bind", str(home), str(read_only)):
                mounted.callback(_unmount, read_only)
                if _mount("-o", "remount,bind,ro", str(read_only)):
                    found["read_only"] = read_only
            if _mount("-t", "tmpfs", "-o", "size=64k,nr_inodes=16", "none", str(upper)):
                mounted.callback(_unmount, upper)
                parts = {"lowerdir": home, "upperdir": upper / "new", "workdir": upper / "work"}
                for name in ("upperdir", "workdir"):
                    parts[name].mkdir()
                options = ",".join(f"{name}={path}" for name, path in parts.items())
                if _mount("-t", "overlay", "-o", options, "overlay", str(full)):
                    mounted.callback(_unmount, full)
                    _fill(upper)
                    found["full"] = full
        yield found


def _fill(folder: Path) -> None:
    """Use up the files and the bytes of a small file system."""
    with suppress(OSError):
        for number in range(1000):
            (folder / f"filler-{number}").touch()
    with suppress(OSError), (folder / "filler-0").open("wb", 0) as opened:
        while opened.write(bytes(4096)) == 4096:
            pass


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _mount(*arguments: str) -> bool:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _unmount(folder: Path) -> None:
    # A worker that was killed may still be listed as a user of the mount for a moment.
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
