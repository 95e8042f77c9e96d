"""Signed evidence packs: the key, what the signature shows, and what it does not."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.errors import LibraryError, UsageError
from kb.library import Library
from kb.pipeline.signature import KEY_FILE, PUBLIC, SIGNATURE, Signer, signer_of
from kb.service import Service
from kb.service.evidence import SUMS, check_pack
from kb.settings import Settings
from tests.support.raising import raises


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    Library(folder).prepare()
    return folder


def packed(folder: Path, signer: Signer) -> Path:
    """Write a signed pack of one file, as `write_pack` does."""
    folder.mkdir(parents=True)
    files = {"quote.txt": b"We have seen it\n", PUBLIC: signer.public_pem.encode()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    _sign(folder, signer)
    return folder


def _sign(folder: Path, signer: Signer) -> None:
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("quote.txt", PUBLIC)
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    (folder / SIGNATURE).write_bytes(signer.sign((folder / SUMS).read_bytes()))


def test_the_key_is_made_once_private_and_in_no_text(home: Path) -> None:
    signer = signer_of(home)
    path = home / KEY_FILE
    assert signer_of(home).fingerprint == signer.fingerprint
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text("ascii").splitlines()[1]
    assert secret not in repr(signer) + str(signer) + signer.public_pem
    assert not [each.name for each in home.iterdir() if each.name.endswith(".tmp")]


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_a_key_that_others_may_read_is_refused(home: Path) -> None:
    signer_of(home)
    (home / KEY_FILE).chmod(0o640)
    with raises(UsageError, "evidence.key_open", path=home / KEY_FILE):
        signer_of(home)


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_told_and_not_replaced(home: Path, content: bytes) -> None:
    path = home / KEY_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with raises(LibraryError, "evidence.key_damaged", path=path):
        signer_of(home)
    assert path.read_bytes() == content


def test_a_valid_signature_names_its_key(home: Path, tmp_path: Path) -> None:
    signer = signer_of(home)
    folder = packed(tmp_path / "pack", signer)
    found = check_pack(folder)
    assert (found.signature, found.key, found.is_whole) == ("valid", signer.fingerprint, True)
    assert found.unknown == ()
    spaced = " ".join(signer.fingerprint[n : n + 4] for n in range(0, 64, 4)).upper()
    for key in (signer.fingerprint, signer.fingerprint[:16], spaced):
        assert check_pack(folder, key).signature == "valid"
    if shutil.which("openssl"):
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", PUBLIC, "-rawin"]
        command += ["-in", SUMS, "-sigfile", SIGNATURE]
        shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr


def _damaged_file(folder: Path, _other: Signer) -> None:
    (folder / "quote.txt").write_bytes(b"We have been it\n")


def _forged(folder: Path, _other: Signer) -> None:
    """Change a file and its hash, without the key."""
    before = (folder / SIGNATURE).read_bytes()
    (folder / "quote.txt").write_bytes(b"We have been it\n")
    _sign(folder, _other)
    (folder / SIGNATURE).write_bytes(before)


def _signed_by_another(folder: Path, other: Signer) -> None:
    (folder / PUBLIC).write_text(other.public_pem, encoding="ascii")
    _sign(folder, other)


def _broken_signature(folder: Path, _other: Signer) -> None:
    (folder / SIGNATURE).write_bytes(bytes(64))


def _short_signature(folder: Path, _other: Signer) -> None:
    (folder / SIGNATURE).write_bytes(b"short")


def _no_public_key(folder: Path, _other: Signer) -> None:
    (folder / PUBLIC).unlink()


def _no_key_at_all(folder: Path, _other: Signer) -> None:
    (folder / PUBLIC).write_bytes(b"no key")


def _not_signed(folder: Path, _other: Signer) -> None:
    (folder / SIGNATURE).unlink()


@pytest.mark.parametrize(
    ("change", "changed", "alone", "expected"),
    [
        (_damaged_file, ("quote.txt",), "valid", "valid"),
        (_forged, (), "broken", "broken"),
        (_signed_by_another, (), "valid", "other"),
        (_broken_signature, (), "broken", "broken"),
        (_short_signature, (), "broken", "broken"),
        (_no_public_key, (), "broken", "broken"),
        (_no_key_at_all, (PUBLIC,), "broken", "broken"),
        (_not_signed, (), "", "other"),
    ],
)
def test_damage_forgery_and_another_key_are_told_apart(
    home: Path,
    tmp_path: Path,
    change: Callable[[Path, Signer], None],
    changed: tuple[str, ...],
    alone: str,
    expected: str,
) -> None:
    """`alone` is the state without an expected key, `expected` that with the sender's key."""
    signer = signer_of(home)
    (tmp_path / "other").mkdir()
    folder = packed(tmp_path / "pack", signer)
    change(folder, signer_of(tmp_path / "other"))
    assert check_pack(folder).signature == alone
    found = check_pack(folder, signer.fingerprint)
    assert (found.changed, found.signature) == (changed, expected)
    assert not found.is_whole


@pytest.mark.parametrize("key", ["", "0", "0" * 15, "g" * 64, "0" * 65])
def test_what_is_no_fingerprint(home: Path, tmp_path: Path, key: str) -> None:
    folder = packed(tmp_path / "pack", signer_of(home))
    if not key:
        assert check_pack(folder, key).is_whole
        return
    with raises(UsageError, "evidence.key_form"):
        check_pack(folder, key)


@pytest.mark.slow
def test_no_backup_has_the_key(tmp_path: Path) -> None:
    service = Service(Settings(KB_HOME=str(tmp_path / "home")))
    service.library.prepare()
    service.queue.counts()  # its database
    signer_of(service.library.home)
    made = service.backup.make(tmp_path / "copy.zip")
    secret = (service.library.home / KEY_FILE).read_bytes().splitlines()[1]
    with zipfile.ZipFile(made.path) as archive:
        assert not [name for name in archive.namelist() if KEY_FILE in name]
        assert not [name for name in archive.namelist() if secret in archive.read(name)]
    service.close()
