"""A copy of the code that a test changes and runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.waiting import WAIT_S


class Copy:
    """A copy of the code, the library that it works on, and the places changed so far.

    Files are hard links to those of `base`, a copy made once; a changed file becomes a new one.
    """

    def __init__(self, base: Path, folder: Path, home: Path) -> None:
        self.root = folder / "code"
        self.home = home
        self.places: list[str] = []
        shutil.copytree(base, self.root, copy_function=os.link, symlinks=True)

    def add(self, path: str, text: str) -> None:
        """Write a new file."""
        assert not (self.root / path).exists()
        (self.root / path).parent.mkdir(exist_ok=True)
        self._write(path, text)

    def add_folder(self, path: str, files: dict[str, str]) -> None:
        """Write the files of a new folder: one place."""
        (self.root / path).mkdir()
        for name, text in files.items():
            (self.root / path / name).write_text(text, encoding="utf-8")
        self.places.append(path)

    def insert(self, path: str, after: str, line: str) -> None:
        """Put text after the first line that holds `after`."""
        lines = self._read(path).splitlines()
        (place, *_) = [number for number, each in enumerate(lines) if after in each]
        lines.insert(place + 1, line)
        self._write(path, "\n".join(lines) + "\n")

    def append(self, path: str, text: str) -> None:
        """Put text at the end of a file."""
        self._write(path, self._read(path) + text)

    def replace(self, path: str, old: str, new: str) -> None:
        """Put text in the place of another, which occurs once."""
        text = self._read(path)
        assert text.count(old) == 1
        self._write(path, text.replace(old, new))

    def _read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def _write(self, path: str, text: str) -> None:
        file = self.root / path
        file.unlink(missing_ok=True)  # a link: other copies keep the file
        file.write_text(text, encoding="utf-8")
        if path not in self.places:
            self.places.append(path)

    def kb(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run `kb` of the copy; return what it printed on both streams."""
        return self._run("-m", "kb.cli", *arguments, code=code, **environment)

    def kb_each(self, *commands: list[str], **environment: str) -> list[str]:
        """Run several commands of `kb` in one process; return what each wrote on stdout."""
        printed: list[str] = self.python(
            "import contextlib, io, json; from kb.cli.main import run\n"
            "printed = []\n"
            f"for command in json.loads({json.dumps(commands)!r}):\n"
            "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
            "        assert run(command) == 0, (command, out.getvalue())\n"
            "    printed.append(out.getvalue())\n"
            "print(json.dumps(printed))",
            **environment,
        )
        return printed

    def python(self, program: str, **environment: str) -> Any:
        """Run a program with the copy's code; return the JSON value that it printed last."""
        return json.loads(self._run("-c", program, **environment).splitlines()[-1])

    def _run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        values = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "KB_HOME": str(self.home),
            "KB_MODEL": "demo",
            "KB_HOLD_BELOW": "0",
            "COLUMNS": "200",
            **environment,
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root, env=values, capture_output=True, text=True, timeout=WAIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if not code else done.stdout + done.stderr

    @property
    def item_id(self) -> str:
        """The id of the library's only item."""
        return str(self.metadata()["item"]["id"])

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the library's only item, as its file has them."""
        files = (self.home / "media").glob("*.json")
        (path,) = [file for file in files if not file.name.endswith(".transcript.json")]
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


# Draws the page of the copy; `query` is that of the page's address.
PAGE = """
import json
from streamlit.testing.v1 import AppTest

def page(**query):
    app = AppTest.from_file("streamlit_app.py", default_timeout=240)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app
"""
