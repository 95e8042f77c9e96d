"""Commands of `kb`, each in a process of its own that begins with its modules loaded.

Starting Python and importing costs seconds of processor time on a busy machine, which say nothing
about a command. The time that counts here is that in which a command waited: neither computing
nor for a processor.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kb.settings import PROJECT_ROOT

AT_ONCE = 25


@dataclass(frozen=True)
class Answer:
    """What a command did; `code` None: it was ended because it waited for longer than the limit."""

    command: tuple[str, ...]
    code: int | None
    waited_s: float
    output: str


def run_forked(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path, limit_s: float
) -> list[Answer]:
    """Run commands beside each other; `limit_s` is the time for which one may wait."""
    asked = json.dumps({"commands": [list(each) for each in commands], "limit_s": limit_s})
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.forked_commands", str(folder)],
        input=asked, env={**environment, "PYTHONPATH": str(PROJECT_ROOT)}, cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [
        Answer(tuple(each["command"]), each["code"], each["waited_s"], each["output"])
        for each in json.loads(done.stdout.splitlines()[-1])
    ]


class _Child:
    """One command in a fork of this process."""

    def __init__(self, command: list[str], file: Path) -> None:
        self.command, self.file = command, file
        self.code: int | None = None
        self.waited_s = 0.0
        self.wanted: dict[str, float] = {}  # seconds by thread
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._become()

    def _become(self) -> None:
        os.setsid()
        null, out = os.open(os.devnull, os.O_RDONLY), os.open(self.file, os.O_CREAT | os.O_WRONLY)
        for source, target in ((null, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        os.chdir(self.file.parent)  # where some of them write
        sys.argv = ["kb", *self.command]
        from kb.cli.main import main

        main(self.command)  # leaves through SystemExit, and the end of the interpreter

    def waited(self) -> float:
        """Return the seconds in which no thread computed or wanted a processor."""
        folder = Path(f"/proc/{self.pid}")
        for task in folder.glob("task/*/schedstat"):
            with suppress(OSError, ValueError):  # a thread that has ended
                self.wanted[task.parent.name] = int(task.read_text().split()[1]) / 1e9
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        computed = (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
        wanted = sum(self.wanted.values())
        return max(0.0, time.monotonic() - self.began - computed - wanted)

    def has_ended(self, limit_s: float) -> bool:
        """Return True once it has ended; it is ended after the limit."""
        self.waited_s = self.waited()  # also of a process that has ended and was not collected
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.code = os.waitstatus_to_exitcode(status)
            return True
        if self.waited_s > limit_s:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return True
        return False

    def answer(self) -> dict[str, object]:
        output = self.file.read_text(encoding="utf-8", errors="replace")
        return {"command": self.command, "code": self.code, "waited_s": self.waited_s,
                "output": output}  # fmt: skip


def _serve(folder: Path) -> None:
    import psycopg
    import sqlalchemy.dialects.postgresql.psycopg

    import kb.cli.main
    import kb.database.postgres_connection
    import kb.service.service

    assert psycopg and sqlalchemy and kb
    asked = json.loads(sys.stdin.read())
    waiting = list(enumerate(asked["commands"]))
    running: list[_Child] = []
    ended: list[_Child] = []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            number, command = waiting.pop(0)
            running.append(_Child(command, folder / f"answer-{number}.txt"))
        time.sleep(0.05)
        done = [child for child in running if child.has_ended(asked["limit_s"])]
        running = [child for child in running if child not in done]
        ended += done
    print(json.dumps([child.answer() for child in ended]))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
