"""The program that installs and downloads packages for steps: pip of this environment, or uv."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence

from kb.errors import ModelUnavailable

LONGEST_S = 1800.0


def installer(action: str, command: str) -> list[str]:
    """Return the beginning of a command line for pip's `install` or `download`.

    Environments that uv made have no pip. `command` is the one that is to be repeated. Raises
    ModelUnavailable where neither program is there.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", action, "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv is None:
        raise ModelUnavailable(
            "step.no_pip",
            "This Python environment has neither pip nor uv, so nothing can be installed in it.",
            hint="Bring pip into it: {python} -m ensurepip; then again: {command}",
            python=sys.executable,
            command=command,
        )
    if action == "install":
        return [uv, "pip", "install", "--python", sys.executable]
    return [uv, "tool", "run", "pip", action, "--disable-pip-version-check"]


def run_installer(action: str, arguments: Sequence[str], command: str) -> str:
    """Run pip or uv with these arguments, wheels only; return the cause of a failure, else "".

    Raises what `installer` raises.
    """
    line = [*installer(action, command), "--quiet", "--only-binary", ":all:", *arguments]
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
