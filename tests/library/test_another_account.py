"""Files of another account: the error names file and owner, and shared libraries stay readable."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.library.audit import AuditLog
from kb.settings import PROJECT_ROOT
from kb.storage import link_or_copy
from kb.storage.permissions import private_files

NOBODY = 65534

# The code of the product is loaded before the account changes: its folders may be private.
AS_NOBODY = """
import json, os, sys
from pathlib import Path
from kb import storage
from kb.errors import KBError
from kb.jobs.worker.retry_policy import is_systemic
from kb.library.audit import AuditLog
from kb.sinks.local.errors import index_error

home = Path(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0o022)

def lock(path):
    with storage.locked(path):
        pass

def index(path):
    raise index_error(path, "write", "LanceError(IO): Permission denied (os error 13)")

def read_index(path):
    raise index_error(path, "read", "[Errno 13] Permission denied: 'a'")

ACTIONS = {
    "write": lambda path: storage.write_text(path, "new"), "read": storage.read_json, "lock": lock,
    "index": index, "read index": read_index,
}
found = {}
for action, name in json.loads(sys.argv[2]):
    try:
        ACTIONS[action](home / name)
        found[f"{action} {name}"] = None
    except KBError as error:
        found[f"{action} {name}"] = [error.problem, error.hint, is_systemic(error, home)]
AuditLog(home, "nobody").record("edit")
print(json.dumps(found))
"""

# Folders and files that are there: rights, and the account.
THERE = {
    "media/": (0o777, 0), "media/theirs.json": (0o644, 0), "media/secret.json": (0o600, 0),
    "sticky/": (0o1777, 0), "sticky/theirs": (0o666, 0), "sticky/own": (0o644, NOBODY),
    "closed/": (0o755, 0), "closed/open.json": (0o666, 0),
    "hidden/": (0o700, 0),
    "own/": (0o555, NOBODY), "own/secret.json": (0o000, NOBODY),
    ".locks/": (0o777, 0), ".locks/theirs": (0o644, 0), ".locks/all": (0o666, 0),
    "index/": (0o777, 0), "index/table/": (0o777, 0), "index/table/data/": (0o755, 0),
    "index/table/data/rows": (0o600, 0),
    "own index/": (0o755, NOBODY), "own index/table/": (0o555, NOBODY),
}  # fmt: skip

# The action and its file; the obstacle that is named, "" for an error that names none, None for no
# error.
CASES = {
    ("write", "media/new"): None,
    ("write", "media/theirs.json"): None,  # replaced, not written to
    ("read", "media/secret.json"): "media/secret.json",
    ("write", "sticky/theirs"): "sticky/theirs",
    ("write", "sticky/own"): None,
    ("write", "closed/new"): "closed",
    ("write", "closed/open.json"): "closed",
    ("write", "closed/new folder/below/new"): "closed",
    ("write", "hidden/folder/new"): "hidden",
    ("lock", "closed/new"): "closed",
    ("lock", ".locks/new"): None,
    ("lock", ".locks/all"): None,
    ("lock", ".locks/theirs"): ".locks/theirs",
    ("write", "own/new"): "",
    ("read", "own/secret.json"): "",
    ("index", "index"): "index/table/data",
    ("index", "own index"): "",
    ("index", "closed/index"): "closed",
    ("read index", "index"): "index/table/data/rows",
    ("read index", "own index"): "",
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that all accounts may enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="kb-accounts-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def found(place: Path) -> dict[str, Any]:
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("needs the administrator's account, which makes files of two others")
    for name in THERE:
        path = place / name
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text("{}")
    for name, (mode, account) in THERE.items():
        os.chown(place / name, account, account)
        (place / name).chmod(mode)
    with private_files(place, group=False):
        AuditLog(place, "root").record("edit")
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(place), json.dumps(list(CASES))],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "obstacle"), CASES.items(), ids=[" ".join(case) for case in CASES]
)
def test_the_error_names_file_and_owner(
    case: tuple[str, str], obstacle: str | None, found: dict[str, Any], place: Path
) -> None:
    error = found[" ".join(case)]
    if obstacle is None:
        assert error is None
        return
    problem, hint, systemic = error
    assert problem["code"].endswith(".of_another_account") == bool(obstacle), error
    if obstacle:
        assert problem["values"]["obstacle"] == str(place / obstacle)
        assert problem["values"]["owner"] == "root"
        assert "chmod -R g+rwX" in hint
        assert systemic  # another machine's account may be able to
    else:
        assert not systemic


@pytest.mark.slow
def test_the_actions_of_every_account_are_recorded(found: dict[str, Any], place: Path) -> None:
    assert [line["who"] for line in AuditLog(place, "root").read()] == ["root", "nobody"]


@pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX systems")
@pytest.mark.parametrize(
    ("folder", "file", "of_group", "linked"),
    [
        (0o700, 0o600, True, True),
        (0o755, 0o600, True, True),  # no other account writes there
        (0o770, 0o600, True, False),
        (0o2770, 0o640, True, True),
        (0o770, 0o640, False, False),  # another group's
        (0o770, 0o644, False, True),
        (0o777, 0o640, True, False),
        (0o777, 0o600, True, False),
        (0o777, 0o664, False, True),
    ],
)
def test_a_medium_is_linked_where_all_may_read_it(
    tmp_path: Path, folder: int, file: int, of_group: bool, linked: bool
) -> None:
    if not of_group and os.geteuid():
        pytest.skip("needs the administrator's account")
    source, target = tmp_path / "talk.mp4", tmp_path / "media" / "talk.mp4"
    source.write_bytes(b"sound")
    source.chmod(file)
    target.parent.mkdir()
    target.parent.chmod(folder)
    if not of_group:
        os.chown(source, -1, NOBODY)
    before = os.umask(0o000)
    try:
        link_or_copy(source, target, link=True)
    finally:
        os.umask(before)
    assert target.read_bytes() == b"sound"
    if linked and not target.samefile(source):
        pytest.skip("the disk clones files")
    assert target.samefile(source) == linked
    assert linked or stat.S_IMODE(target.stat().st_mode) == 0o666
