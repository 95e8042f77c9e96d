"""Repairs that `kb doctor --fix` makes by itself: none of them changes what a library holds."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from kb.errors import KBError
from kb.library import Library
from kb.service.existing import has_library
from kb.settings import Settings
from kb.storage import permissions
from kb.types.sentences import counted


def mend(settings: Settings) -> list[str]:
    """Repair what is safe to repair; return a sentence for each thing done. Raises nothing.

    Files of a library of an earlier version that other accounts can read become private, and
    files that killed processes left half written are removed.
    """
    if not has_library(settings.home):
        return []
    return [*_rights(settings), *_leftovers(settings)]


def _rights(settings: Settings) -> list[str]:
    if permissions.open_to_others(settings.home, group=settings.group_access) is None:
        return []
    unwanted = permissions.umask_for(settings.home, group=settings.group_access)
    changed = refused = 0
    for path in _tree(settings.home):
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & unwanted and not path.is_symlink():
                path.chmod(mode & ~unwanted)
                changed += 1
        except OSError:
            refused += 1  # another account's file: the check names it again
    done = [
        f"{counted(changed, 'file or folder', 'files and folders')} of the library made private"
    ]
    if refused:
        done.append(f"{counted(refused, 'file')} of another account left as they are")
    return done


def _tree(home: Path) -> list[Path]:
    found = [home]
    for folder, folders, files in os.walk(home):
        found += [Path(folder, name) for name in (*folders, *files)]
    return found if sys.platform != "win32" else []


def _leftovers(settings: Settings) -> list[str]:
    try:
        removed = Library(settings.home).sweep_temporary()
    except (KBError, OSError):
        return []  # the check of the library reports the error
    if not removed:
        return []
    return [f"{counted(len(removed), 'half-written file')} of killed processes removed"]
