"""Library files are private under any umask, shared where a setting or the folder says so."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb import storage
from kb.cli.main import run
from kb.errors import MediaUnavailable
from kb.library import Library
from kb.library.audit import AuditLog
from kb.pipeline import stages
from kb.service.health import _rights
from kb.service.private_files import private_files
from kb.settings import Settings, get_settings
from kb.storage.permissions import give_usual_rights, umask_for
from tests.support.library_pages import HARBOUR, add_item
from tests.support.raising import raises

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX systems")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(folder: Path) -> set[str]:
    """Return the rights of everything below a folder, links left out."""
    paths = [folder, *folder.rglob("*")]
    return {
        f"{'d' if path.is_dir() else 'f'}{stat.S_IMODE(path.stat().st_mode):o}"
        for path in paths
        if not path.is_symlink() and path.suffix != ".mp4"
    }


def make_library(settings: Settings) -> None:
    with private_files(settings):
        get_settings.cache_clear()
        add_item()


# Rights of the folder above, of the library, of its database, and of its media; KB_GROUP_ACCESS.
RIGHTS = {
    "made by the version before": (0o755, 0o755, 0o644, 0o755, False, True),
    "readable for the group": (0o755, 0o750, 0o640, 0o750, False, True),
    "only the media": (0o755, 0o755, 0o600, 0o755, False, True),
    "readable for others in spite of the group setting": (0o755, 0o775, 0o664, 0o775, True, True),
    "private": (0o755, 0o700, 0o600, 0o700, False, False),
    "private files in an open folder": (0o755, 0o755, 0o600, 0o700, False, False),
    "open files in a private folder": (0o755, 0o700, 0o644, 0o755, False, False),
    "below a private folder": (0o700, 0o755, 0o644, 0o755, False, False),
    "the group's by the setting": (0o755, 0o770, 0o660, 0o770, True, False),
    "the group's by the folder": (0o755, 0o770, 0o660, 0o770, False, False),
    "a share for all": (0o755, 0o777, 0o666, 0o777, False, False),
}


@pytest.mark.parametrize("case", RIGHTS.values(), ids=RIGHTS)
def test_the_doctor_names_a_library_that_others_can_read(
    case: tuple[int, int, int, int, bool, bool],
) -> None:
    above, of_home, of_database, of_media, group, warned = case
    # The folder of a test is private; this one is not.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kb-rights-") as folder:
        home = Path(folder) / "a library"
        (home / "media").mkdir(parents=True)
        (home / "kb.sqlite").touch()
        (home / "media").chmod(of_media)
        (home / "kb.sqlite").chmod(of_database)
        home.chmod(of_home)
        Path(folder).chmod(above)
        found = _rights(Settings(home=home, group_access=group))
        home.chmod(0o700)
    assert len(found) == warned
    for check in found:
        assert check.state == "warn" and f"chmod -R {'o=' if group else 'go='} '" in check.fix


@pytest.mark.parametrize(
    ("group", "expected"), [(False, {"d700", "f600"}), (True, {"d770", "f660"})]
)
def test_a_new_library_is_private_or_its_group_s(
    umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: bool, expected: set[str]
) -> None:
    home = tmp_path / "library"
    monkeypatch.setenv("KB_HOME", str(home))
    monkeypatch.setenv("KB_GROUP_ACCESS", str(group))
    get_settings.cache_clear()
    make_library(get_settings())
    assert (home / "kb.sqlite").is_file()
    found = rights(home)
    assert found - {"f600", "d700"} <= expected  # some files are private in any case
    assert expected <= found
    with private_files(get_settings()):
        AuditLog(home, "a test").record("remove")
    shared = [*home.glob("kb.sqlite*"), home / "logs" / "audit.jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in shared} == {0o660 if group else 0o600}
    assert os.umask(umask) == umask  # the block gave the umask back


@pytest.mark.parametrize(
    ("mode", "group", "umask"),
    [
        (0o700, False, 0o077), (0o755, False, 0o077), (0o775, False, 0o007), (0o2770, False, 0o007),
        (0o777, False, 0o000), (0o700, True, 0o007), (None, False, 0o077), (None, True, 0o007),
    ],
)  # fmt: skip
def test_a_folder_that_several_accounts_use_stays_theirs(
    tmp_path: Path, mode: int | None, group: bool, umask: int
) -> None:
    home = tmp_path / "library"
    if mode is not None:
        home.mkdir()
        home.chmod(mode)
    assert umask_for(home, group=group) == umask


def test_an_export_has_the_user_s_own_rights(
    tmp_path: Path, umask: int, capsys: pytest.CaptureFixture[str]
) -> None:
    item = add_item()
    assert run(["export", item, "--format", "srt", "-o", str(tmp_path / "out")]) == 0
    (file,) = (tmp_path / "out").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_rights_are_left_alone_outside_a_command(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    file.chmod(0o640)
    give_usual_rights(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


# A medium that shares its content with the source


def test_a_medium_changed_through_its_hard_link_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "talk.mp4"
    for suffix in (".mp4", ".truth.json"):
        source.with_suffix(suffix).write_bytes(HARBOUR.with_suffix(suffix).read_bytes())
    item_id = add_item(source)
    library = Library(get_settings().home)
    entry = library.find(item_id)
    assert entry is not None
    assert entry.media_path is not None
    media = stages.ensure_media(library, entry.item, lambda _stage, _done: None)
    assert media.sha256 == entry.sha256
    if not entry.media_path.samefile(source):
        pytest.skip("the disk clones files: a change of the source does not reach the library")
    with source.open("r+b") as file:
        file.seek(2000)
        file.write(b"changed in place")
    with raises(MediaUnavailable, "media.changed"):
        stages.ensure_media(library, entry.item, lambda _stage, _done: None)


def test_a_copy_keeps_the_date_and_takes_no_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(b"x")
    source.chmod(0o444)
    os.utime(source, (1_000_000, 1_000_000))
    before = os.umask(0o077)
    try:
        storage.link_or_copy(source, target, link=False)
    finally:
        os.umask(before)
    assert target.stat().st_mtime == 1_000_000
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
