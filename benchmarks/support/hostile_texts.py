"""Hostile text files for `hostile.py`: settings, keys, cookies, presets, documents, transcripts."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.hostile_run import SECRET, Area, Case, Fault
from benchmarks.support.hostile_values import ENCODINGS, damaged, damaged_text, mutated
from gpu.presets import load_presets
from kb.errors import KBError, LibraryError
from kb.library import Library
from kb.library.metadata import item_document
from kb.service.sessions import Sessions
from kb.settings import Settings, get_settings
from kb.sources.keys.key_ring import read_keys
from kb.sources.ytdlp.client import base_options
from kb.transcript import caption_parser, render
from kb.transcript.foreign import reader
from kb.transcript.formats import json_document
from kb.types import CaptionFile, MediaRef
from tests.support.hostile import hostile_item, hostile_transcript
from tests.support.keys import fake_key
from tests.transcript.test_foreign import JSONS, TEXTS, WORDS

ROOT = Path(__file__).resolve().parents[2]
STEM = "2024-03-01_Talk_0123456789ab"
MEDIA = MediaRef("media/talk.wav", "", 20.0)
ENV = f"""# settings
KB_HOME=/srv/Bücher größe
KB_LANGUAGE=de
KB_CPU_THREADS=2
KB_PASSWORD="{SECRET}"
export ODIN_API_KEY='{SECRET}'
ODIN_API_SECRET={SECRET}
KB_HOLD_BELOW=0.9
"""
COOKIES = (
    f"# Netscape HTTP Cookie File\n.a.example\tTRUE\t/\tTRUE\t2000000000\tname\t{SECRET}\n" * 2
)


@dataclass(frozen=True)
class Target:
    """A file that is read: its content, its reader, and a check of what was read.

    The check is called for content that only its encoding changes, and raises Fault. `encodings`
    are those that must be read or refused with the words unchanged; others may read other letters.
    """

    content: str
    read: Callable[[Path], Any]
    check: Callable[[Any], None] = lambda _: None
    document: Any = None  # the content as JSON
    suffix: str = ""


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise Fault(f"silent loss: {what}")


def _settings(path: Path) -> Settings:
    before = dict(os.environ)
    os.environ.pop("KB_HOME", None)  # the environment would come first
    os.environ["KB_ENV_FILE"] = str(path)
    get_settings.cache_clear()
    try:
        found = get_settings()
        if SECRET in repr(found):
            raise Fault("a secret is shown by the settings")
        return found
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


def _check_settings(found: Settings) -> None:
    _expect(found.password.get_secret_value() == SECRET, "the password of .env")
    _expect("größe" in str(found.home), "the folder of .env")


def _facts(path: Path) -> dict[str, Any]:
    path.rename(path.parent / "library.json")
    return Library(path.parent).read_facts()


def _metadata(path: Path) -> Any:
    library = Library(path.parent)
    library.media_folder.mkdir()
    path.rename(library.media_folder / f"{STEM}.json")
    listing = library.scan()
    found = [*listing.entries, *listing.problems]
    _expect(bool(found), "a metadata file is neither an item nor a problem")
    for problem in listing.problems:
        raise LibraryError(problem.message, hint=problem.hint)
    for entry in listing.entries:
        json.dumps(library.read_metadata(entry))
        entry.grade, entry.accepted, entry.published, entry.problem  # noqa: B018
        json.dumps([entry.item.title, entry.item.published, *entry.item.tags])
    return listing


def _check_metadata(listing: Any) -> None:
    _expect(bool(listing.problems) or len(listing.entries) == 1, "an item")


def _exact(path: Path) -> Any:
    transcript = json_document.read(path)
    for name in ("txt", "srt", "vtt", "csv", "md"):
        render(transcript, name, item=hostile_item())
    return transcript


def _foreign(path: Path) -> Any:
    found = reader.read(path, MEDIA)
    render(found, "json")
    render(found, "txt", item=hostile_item())
    return found


def _has_words(found: Any) -> None:
    text = " ".join(segment.text for segment in found.segments).lower()
    missing = [word for word in WORDS if word not in text]
    _expect(not missing, f"the words {missing}")


def _captions(path: Path) -> Any:
    return caption_parser.read(CaptionFile(path, "en", False), MEDIA)


def _sessions(path: Path) -> Any:
    folder = path.parent / "dashboard"
    folder.mkdir()
    path.rename(folder / "sessions.json")
    sessions = Sessions(path.parent, "a password")
    _expect(not sessions.is_valid("x" * 43), "a session that was never started")
    token = sessions.start()
    _expect(sessions.is_valid(token), "a session that was started")
    return sessions


def _document(value: Any, read: Callable[[Path], Any], check: Any = None) -> Target:
    content = json.dumps(value, ensure_ascii=False, indent=1)
    return Target(content, read, check or (lambda _: None), value, ".json")


def targets() -> dict[str, Target]:
    """Return all files by name."""
    exact = json_document.to_document(hostile_transcript())
    item = {
        "version": 1, "item": item_document(hostile_item()), "state": "done", "error": None,
        "media": {"sha256": "0" * 64, "duration_s": 20.0, "start_s": 0.0}, "attempts": 1,
        "files": {"media": "a.mp4", "picture": "a.jpg"}, "hint": None, "problem": None,
        "transcribed": {"run": 1, "coverage": {"grade": "A", "ratio": 1.0}, "words": 6},
        "published": {"odin": {"sha256": "1", "at": "2024"}}, "review": {"accepted": True},
    }  # fmt: skip
    keys = "".join(f"{fake_key(letter)}  # größe\n" for letter in "abc")
    json3 = {
        "events": [{"tStartMs": 500, "dDurationMs": 3000, "segs": [{"utf8": " ".join(WORDS)}]}]
    }
    found = {
        "env": Target(ENV, _settings, _check_settings),
        "keys": Target(
            keys,
            lambda path: read_keys(Settings(YT_API_KEYS_FILE=str(path))),
            lambda found: _expect(len(found) == 3, "a key"),
        ),
        "cookies": Target(COOKIES, lambda path: base_options(Settings(KB_COOKIES_FILE=str(path)))),
        "presets": Target(
            (ROOT / "presets.yaml").read_text(encoding="utf-8"),
            load_presets,
            lambda found: _expect(bool(found), "presets"),
        ),
        "library.json": _document({"version": 1, "channels": {"a": ["b"]}}, _facts),
        "metadata": _document(item, _metadata, _check_metadata),
        "exact": _document(exact, _exact, _check_exact),
        "sessions": _document({"sessions": {"a" * 64: 2e9}, "devices": {}}, _sessions),
        "json3": Target(json.dumps(json3), _captions, _has_words, json3, ".json3"),
    }
    for name, text in TEXTS.items():
        found[f"text {name}"] = Target(text, _foreign, _has_words, None, ".txt")
    for suffix in (".srt", ".vtt"):
        text = TEXTS[f"{suffix[1:]} in txt"]
        found[f"foreign{suffix}"] = Target(text, _foreign, _has_words, None, suffix)
        found[f"captions{suffix}"] = Target(text, _captions, _has_words, None, suffix)
    for name, value in JSONS.items():
        found[f"json {name}"] = _document(value, _foreign, _has_words)
    return found


def _check_exact(found: Any) -> None:
    _expect(found.segments[0].text == hostile_transcript().segments[0].text, "the first words")


OWN = ("env", "keys", "cookies", "presets", "library.json", "metadata", "exact", "json3")


class Texts(Area):
    """Text files; half of the cases are files of ours, half transcripts of other programs."""

    name = "texts"
    cases = 260

    def __init__(self) -> None:
        self._targets = targets()

    def run(self, case: Case) -> None:
        rng = case.rng
        name = rng.choice(OWN if rng.random() < 0.6 else sorted(self._targets))
        target = self._targets[name]
        data, what, is_whole = self._content(target, rng)
        case.what = f"{name}: {what}"
        path = case.folder / f"file{target.suffix}"
        if rng.random() < 0.06:
            case.what = f"{name}: {_special(path, rng, data)}"
            is_whole = False
        else:
            path.write_bytes(data)
        before = path.read_bytes() if path.is_file() else b""
        try:
            found = target.read(path)
        finally:
            # A reader may move the file of a case; it may never change it.
            kept = [each for each in case.folder.rglob("*") if each.is_file()]
            changed = before and not any(each.read_bytes() == before for each in kept)
            if changed and name != "sessions":
                raise Fault("silent loss: the file was changed by reading it")
        if is_whole:
            try:
                target.check(found)
            except KBError as error:
                raise Fault(f"a check failed: {error.message}") from error

    def _content(self, target: Target, rng: random.Random) -> tuple[bytes, str, bool]:
        """Return bytes, their mutation, and True if the content is whole."""
        kind = rng.choice(("encoding", "field", "field", "bytes", "text", "text"))
        if kind == "field" and target.document is not None:
            value, what = mutated(target.document, rng)
            text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
            return text.encode("utf-8", "surrogatepass"), what, False
        if kind == "encoding":
            encoding = rng.choice(ENCODINGS)
            ends = rng.choice(("\n", "\r\n", "\r"))
            text = target.content.replace("\n", ends)
            data = text.encode(encoding, "replace")
            # Of other encodings nothing tells how their letters are to be read.
            known = encoding.startswith(("utf-8", "utf-16", "utf-32")) or text.isascii()
            whole = known and encoding != "utf-7" and ends != "\r"
            return data, f"{encoding}, {ends!r}", whole
        if kind == "bytes":
            data, what = damaged(target.content.encode(), rng)
            return data, what, False
        text, what = damaged_text(target.content, rng)
        encoding = rng.choice(("utf-8", "utf-8", "utf-16", "utf-8-sig"))
        return text.encode(encoding, "surrogatepass"), what, False


def _special(path: Path, rng: random.Random, data: bytes) -> str:
    """Put something at the path that is no file; return its name."""
    kind = rng.choice(("folder", "pipe", "loop", "dangling", "unreadable"))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "dangling":
        path.symlink_to(path.with_name("nowhere"))
    else:
        path.write_bytes(data)
        path.chmod(0)
    return kind
