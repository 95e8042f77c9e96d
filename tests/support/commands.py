"""Run commands of `kb` inside the test process, with the streams and exit code of a process.

Starting Python takes longer than most commands. Commands that start or become a worker, wait for
one, or are ended by signals need a process of their own (`Lab.kb` decides).
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from kb.cli import run
from kb.settings import get_settings
from tests.support.secret_watch import watch


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run `kb` with this environment and working directory; return its output and exit code."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environment.keys():
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        try:
            with chdir(folder), redirect_stdout(out), redirect_stderr(err):
                try:
                    code = run(list(arguments))
                except SystemExit as ended:
                    code = ended.code if isinstance(ended.code, int) else 1
        finally:
            get_settings.cache_clear()
    texts = [_text(stream) for stream in (out, err)]
    for text in texts:
        watch.scan("output", text)
    return subprocess.CompletedProcess(["kb", *arguments], code, *texts)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    content = stream.detach().getvalue()  # type: ignore[attr-defined]
    return bytes(content).decode("utf-8")
