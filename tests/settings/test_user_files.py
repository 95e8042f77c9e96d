"""Files that a user or an editor wrote: every encoding is read, everything else is a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu.presets import load_presets
from kb import storage
from kb.errors import KBError, LibraryError, SettingsError
from kb.library import Library
from kb.settings import PROJECT_ROOT, Settings
from kb.sources.keys.key_ring import read_keys
from kb.sources.ytdlp.client import base_options
from kb.storage import UnreadableText, decode_user_text, read_json, read_user_text
from kb.transcript.caption_parser import read as read_captions
from kb.types import CaptionFile, MediaRef

TEXT = "KB_HOME=/Bücher/größe\nsecond\r\nthird – “quoted”\n"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", [TEXT, "a", "", "only ascii\n" * 50, "ä" * 9])
def test_every_encoding_of_an_editor_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(text.encode(encoding))
    if encoding in ("utf-16-le", "utf-16-be") and not any(c < "\x80" for c in text):
        return  # nothing tells UTF-16 without a mark and without Latin letters from other bytes
    assert read_user_text(path) == text


def test_big_endian_with_a_mark() -> None:
    assert decode_user_text(b"\xfe\xff" + TEXT.encode("utf-16-be")) == TEXT


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"a\nb\nc\0d and more text\n", "text.binary", 3),
        (b"\0" * 100, "text.binary", 1),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "text.binary", 3),
        (b"\xef\xbb\xbfa\n\0", "text.binary", 2),
        (b"a\nb \x81\x8d\n", "text.encoding", 2),
        (b"\xef\xbb\xbfa\n\xff\n", "text.encoding", 2),
        (b"\xff\xfea", "text.encoding", 1),
        ("\ufeffone\ntwo\n".encode("utf-16-le") + b"\x00\xd8\n", "text.encoding", 3),
    ],
)
def test_content_that_is_no_text_names_the_line(data: bytes, code: str, line: int) -> None:
    with pytest.raises(UnreadableText) as caught:
        decode_user_text(data)
    assert (caught.value.code, caught.value.values["line"]) == (code, line)


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)


def _binary(path: Path) -> None:
    path.write_bytes(b"a\nb\0c" * 3)


def _undecodable(path: Path) -> None:
    path.write_bytes(b"first\nsecond \x81\n")


def _nested(path: Path) -> None:
    path.write_text("[" * 200_000)


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
DAMAGES = [
    pytest.param(_folder, id="folder"),
    pytest.param(_pipe, id="pipe", marks=POSIX),
    pytest.param(_device, id="device", marks=POSIX),
    pytest.param(_endless, id="endless"),
    pytest.param(_binary, id="binary"),
    pytest.param(_undecodable, id="undecodable"),
    pytest.param(_nested, id="nested"),
]


def _keys(path: Path) -> object:
    return read_keys(Settings(YT_API_KEYS_FILE=str(path)))


def _cookies(path: Path) -> object:
    return base_options(Settings(KB_COOKIES_FILE=str(path)))


def _presets(path: Path) -> object:
    return load_presets(path)


def _library_text(path: Path) -> object:
    library = Library(path.parent)
    target = library.media_folder / "2024-01-01_x_abcdefghijk.txt"
    target.parent.mkdir(exist_ok=True)
    path.rename(target)
    return library.read_text("2024-01-01_x_abcdefghijk", ".txt")


def _captions(path: Path) -> object:
    target = path.with_suffix(".json3")
    path.rename(target)
    return read_captions(CaptionFile(target, "en", False), MediaRef("x:1", "0" * 64, 1.0))


READERS: dict[str, tuple[Callable[[Path], object], type[KBError], frozenset[str]]] = {
    # A line without a tab, or with a strange text, is the business of each reader's own checks.
    "keys": (_keys, SettingsError, frozenset()),
    "cookies": (_cookies, SettingsError, frozenset({"nested"})),
    "presets": (_presets, SettingsError, frozenset()),
    "json": (read_json, LibraryError, frozenset()),
    "library text": (_library_text, LibraryError, frozenset({"nested", "endless"})),
    "captions": (_captions, LibraryError, frozenset({"endless"})),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_a_sentence_for_every_reader(
    tmp_path: Path, reader: str, damage: Callable[[Path], None]
) -> None:
    read, kind, without = READERS[reader]
    if damage.__name__.strip("_") in without:
        pytest.skip("no damage for this reader, or too large for a test")
    if damage is _endless and reader == "json":
        pytest.skip("half a gigabyte would be read")
    path = tmp_path / "file"
    damage(path)
    with pytest.raises(kind) as caught:
        read(path)
    assert caught.value.code and caught.value.hint
    shown = f"{caught.value.message} {caught.value.values}"
    assert path.name in shown or "abcdefghijk" in shown
    assert "second" not in shown  # text of the file


def test_a_file_may_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_text("x" * 1000)
    assert len(read_user_text(path, 1000)) == 1000
    with pytest.raises(UnreadableText) as caught:
        read_user_text(path, 999)
    assert caught.value.code == "text.too_large"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_presets_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = (PROJECT_ROOT / "presets.yaml").read_text(encoding="utf-8")
    text = "".join(letter for letter in text if ord(letter) < 256)
    path = tmp_path / "presets.yaml"
    path.write_bytes(text.encode(encoding))
    assert set(load_presets(path)) == set(load_presets(PROJECT_ROOT / "presets.yaml"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_keys_and_json_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_bytes("# für München\r\nAIzaFirst0123456789abcdef\r\n".encode(encoding))
    found = read_keys(Settings(YT_API_KEYS_FILE=str(keys)))
    assert [key.secret for key in found] == ["AIzaFirst0123456789abcdef"]
    path = tmp_path / "a.json"
    path.write_bytes('{"title": "Größe"}'.encode(encoding))
    assert read_json(path) == {"title": "Größe"}


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", lambda: 0)() == 0,
    reason="this account may read everything",
)
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    path.chmod(0)
    with pytest.raises(LibraryError) as caught:
        read_json(path)
    assert caught.value.code == "storage.not_readable"


def test_the_system_s_refusal_to_read_is_not_called_a_refusal_to_write() -> None:
    error = storage.library_error(PermissionError(13, "Permission denied"), Path("a"), "read")
    assert error.code == "storage.not_readable"
