"""The process group of a program that this one starts, apart from the terminal's signals."""

from __future__ import annotations

import os
import subprocess
from typing import Any


def own_group() -> dict[str, Any]:
    """Return the arguments of `Popen` that start a program in a process group of its own.

    Ctrl-C does not reach it then. It stays in the session of this program: where the kernel shares
    the processor by sessions first (autogroup, Linux's default), a low priority in a new
    session would still get as much of it as the recognizer.
    """
    if os.name != "nt":
        return {"process_group": 0}
    flags = ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")
    return {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
