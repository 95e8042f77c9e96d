"""Every command that writes outside the library: no file of anyone else is replaced.

The table names each writer with a command and the file that it writes. `test_writing_places` has
all places of the code that write files.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import typer

from kb.cli import run
from kb.cli.application import application
from kb.library import Library
from kb.library.extras import Extras
from kb.library.user_files import is_read_beside
from kb.service import Service
from kb.service.notation import FORMATS, format_timestamp
from kb.service.review_sheet import SHEET
from kb.settings import get_settings
from kb.transcript import format_named
from kb.types import Chapter, Coverage, QualityFlag, SpeechSpan, Transcript, WindowReport
from tests.library.test_extras import RESULTS
from tests.support.compose import write_wav
from tests.support.library_pages import add_item

app = application()


@dataclass
class Place:
    """A library with two items, and an empty folder to write to."""

    home: Path
    out: Path
    items: tuple[str, str]
    media: tuple[Path, Path]
    capsys: pytest.CaptureFixture[str]

    def kb(self, *arguments: object, code: int = 0) -> str:
        """Run a command; return its error output."""
        self.capsys.readouterr()
        found = run([str(each) for each in arguments])
        printed = self.capsys.readouterr()
        assert found == code, printed.err
        return printed.err

    def stem(self, number: int = 0) -> str:
        entry = Library(self.home).find(self.items[number])
        assert entry is not None
        return entry.stem


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str], Path]]:
    folder = tmp_path_factory.mktemp("writers")
    ids = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KB_HOME", str(folder / "home"))
        patch.setenv("KB_HOLD_BELOW", "0")
        get_settings.cache_clear()
        for number in (1, 2):
            tone = np.sin(np.arange(16_000 * 4) * 0.05 * number).astype(np.float32)
            medium = write_wav(folder / f"talk {number}.wav", tone * 0.2)
            words = '{"start": 0.2, "end": 0.9, "text": "one"}, '
            words += '{"start": 1.5, "end": 3.0, "text": "two"}'
            medium.with_suffix(".truth.json").write_text(f'{{"words": [{words}]}}')
            chapters = (Chapter(0.0, "one"), Chapter(1.5, "two"))
            ids.append(add_item(medium, change=with_doubts, chapters=chapters))
            add_notes(ids[-1])
    get_settings.cache_clear()
    yield folder / "home", ids, folder


def add_notes(item_id: str) -> None:
    service = Service()
    entry = service.items.entry(item_id)
    basis = {"sha256": service.items.transcript(item_id).media.sha256}
    extras = Extras(service.library)
    for kind in ("summary", "screen"):
        document = {"basis": basis, **RESULTS[kind]}
        extras.write(entry, kind, document, lambda: service.library.guard(item_id))
    service.close()


def with_doubts(transcript: Transcript) -> Transcript:
    flags = (QualityFlag("repeats", 0.2, 0.9, 3.0, 2.0), QualityFlag("repeats", 1.5, 3.0, 3.0, 2.0))
    window = WindowReport(0.0, 4.0, 2.2, 2.2, (), flags)
    spans = Coverage(2.2, 2.2, (SpeechSpan(0.2, 0.9),), suspect_s=1.0)
    spoken = tuple(replace(segment, speaker="A") for segment in transcript.segments)
    return replace(transcript, windows=(window,), coverage=spans, segments=spoken)


@pytest.fixture
def place(
    library: tuple[Path, list[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    home, ids, media = library
    monkeypatch.setenv("KB_HOME", str(home))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    get_settings.cache_clear()
    out = tmp_path / "out"
    out.mkdir()
    return Place(home, out, (ids[0], ids[1]), (media / "talk 1.wav", media / "talk 2.wav"), capsys)


@dataclass(frozen=True)
class Writer:
    """A command that writes `file` into a folder; `slow`: it works longer than a moment."""

    command: Callable[[Place, Path], list[object]]
    file: Callable[[Place], str]
    slow: bool = False
    # A backup is never replaced without being asked, not even by the next one.
    rewrites: bool = True


def export(format: str) -> Writer:
    return Writer(
        lambda place, out: ["export", place.items[0], "--format", format, "-o", out],
        lambda place: f"{place.stem()}.{format_named(format).suffix}",
    )


EN = ["--language-in-name"]
WRITERS = {
    **{f"export {name}": export(name) for name in FORMATS},
    "clip": Writer(
        lambda place, out: ["clip", place.items[0], "--from=0", "--to=1", "-o", out / "cut.wav"],
        lambda place: "cut.wav",
    ),
    "review": Writer(
        lambda place, out: ["review", place.items[0], "--export", out],
        lambda place: SHEET,
        slow=True,
    ),
    "review, a clip": Writer(
        lambda place, out: ["review", place.items[0], "--export", out],
        lambda place: f"002 {format_timestamp(1.5).replace(':', '.')}.mp3",
        slow=True,
    ),
    "transcribe": Writer(
        lambda place, out: ["transcribe", place.media[0], "--format", "json", "-o", out],
        lambda place: "talk 1.json",
        slow=True,
    ),
    "export, a ZIP": Writer(
        lambda place, out: ["export", "--all", "--format=srt,txt", "--zip", out / "all.zip"],
        lambda place: "all.zip",
    ),
    "export, several": Writer(
        lambda place, out: ["export", place.items[0], "--format=srt", "-o", out, *EN],
        lambda place: f"{place.stem()}.en.srt",
    ),
    "video": Writer(
        lambda place, out: [
            "video",
            place.items[0],
            "--captions",
            "--size=320x180",
            "--threads=1",
            "-o",
            out / "film.mp4",
        ],
        lambda place: "film.mp4",
        slow=True,
    ),
    "evidence": Writer(
        lambda place, out: ["evidence", place.items[0], "--from=0", "--to=1", "-o", out / "e.zip"],
        lambda place: "e.zip",
        slow=True,
    ),
    "speak": Writer(
        lambda place, out: ["speak", "One two.", "--language=en", "-o", out / "said.wav"],
        lambda place: "said.wav",
        slow=True,
    ),
    "dub": Writer(
        lambda place, out: [
            "dub",
            place.media[0],
            "--into=de",
            "--transcript",
            place.media[0].with_suffix(".truth.json"),
            "--threads=1",
            "-o",
            out / "dub.m4a",
        ],
        lambda place: "dub.m4a",
        slow=True,
    ),
    "backup": Writer(
        lambda place, out: ["backup", out / "b.zip"], lambda place: "b.zip", rewrites=False
    ),
}
BY_NAME = [pytest.param(n, marks=[pytest.mark.slow] if w.slow else []) for n, w in WRITERS.items()]


def test_every_command_with_a_place_to_write_to_can_overwrite() -> None:
    """A new command with such an option must use the writer too, and stand in the table."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = set()
    for name, command in commands.items():
        options = {flag for parameter in command.params for flag in parameter.opts}
        if options & {"-o", "--output", "--export"} or name in ("backup", "publish"):
            found.add(name)
            assert "--overwrite" in options, name
    table = {name.split(",")[0].split()[0] for name in WRITERS} | {"publish"}
    assert found == table


# Files in the way


def mine(path: Path) -> None:
    path.write_bytes(b"mine")


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(b"mine")
    path.symlink_to(path.with_name("elsewhere"))


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and not path.name.startswith("kb.sqlite-")
    }


@pytest.mark.parametrize("make", [mine, a_link, a_link_to_nothing])
@pytest.mark.parametrize("name", WRITERS)  # also the slow ones: they refuse before they work
def test_a_file_in_the_way_stays(place: Place, name: str, make: Callable[[Path], None]) -> None:
    writer = WRITERS[name]
    path = place.out / writer.file(place)
    make(path)
    before = contents(place.out)
    said = place.kb(*writer.command(place, place.out), code=2)
    assert str(path) in said and "--overwrite" in said
    assert contents(place.out) == before


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_in_the_way_is_named_with_a_step_that_helps(place: Place, name: str) -> None:
    writer = WRITERS[name]
    if name == "backup":
        pytest.skip("a folder is a place for a backup")
    path = place.out / writer.file(place)
    path.mkdir()
    said = place.kb(*writer.command(place, place.out), "--overwrite", code=2)
    assert str(path) in said and "KB_HOME" not in said and "another folder" in said
    assert contents(place.out) == {} and path.is_dir()


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_in_the_place_of_the_folder_is_named(place: Place, name: str) -> None:
    (place.out / "file").write_text("mine")
    said = place.kb(*WRITERS[name].command(place, place.out / "file" / "deep"), code=2)
    assert str(place.out / "file") in said and "KB_HOME" not in said
    assert contents(place.out) == {"file": b"mine"}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_user_can_mean_it(place: Place, name: str) -> None:
    writer = WRITERS[name]
    path = place.out / writer.file(place)
    mine(path)
    place.kb(*writer.command(place, place.out), "--overwrite")
    assert path.read_bytes() != b"mine" and path.stat().st_size
    assert not [each for each in contents(place.out) if "(2)" in each or each.startswith(".")]


@pytest.mark.parametrize("name", BY_NAME)
def test_what_was_written_is_written_again_until_a_person_changes_it(
    place: Place, name: str
) -> None:
    writer = WRITERS[name]
    if not writer.rewrites:
        pytest.skip("never replaced")
    path = place.out / writer.file(place)
    command = writer.command(place, place.out)
    place.kb(*command)
    first = sorted(contents(place.out))
    place.kb(*command)
    assert sorted(contents(place.out)) == first
    changed = path.read_bytes() + b"\nmine"
    path.write_bytes(changed)
    if name == "review":  # a sheet is there to be filled in: it stays beside the new one
        place.kb(*command)
    else:
        assert str(path) in place.kb(*command, code=2)
    assert path.read_bytes() == changed


IN_LIBRARY = ["", "media", "trash", "logs", "uploads", "index.lance", ".locks"]


@pytest.mark.parametrize("folder", IN_LIBRARY)
@pytest.mark.parametrize("name", WRITERS)
def test_the_library_s_own_folders_are_refused(place: Place, name: str, folder: str) -> None:
    if folder == "media" and is_read_beside(WRITERS[name].file(place)):
        pytest.skip("the library reads these back")
    before = sorted(contents(place.home))
    target = place.home / folder
    for overwrite in ([], ["--overwrite"]):
        said = place.kb(*WRITERS[name].command(place, target), *overwrite, code=2)
        assert str(target) in said
    assert [each for each in sorted(contents(place.home)) if each not in before] == []
    assert Library(place.home).find(place.items[0]) is not None


@pytest.mark.parametrize("to", ["", "media", "trash", "media/../media", "index.lance"])
@pytest.mark.parametrize("format", ["json", "txt"])  # files of the library itself
def test_a_link_into_the_library_is_no_way_round(
    place: Place, tmp_path: Path, format: str, to: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(place.home / to)
    before = contents(place.home)
    for overwrite in ([], ["--overwrite"]):
        said = place.kb(
            "export", place.items[0], "--format", format, "-o", link, *overwrite, code=2
        )
        assert str(link) in said
    assert contents(place.home) == before


@pytest.mark.slow
def test_subtitles_go_beside_the_medium(place: Place, tmp_path: Path) -> None:
    home = tmp_path / "copy"
    shutil.copytree(place.home, home)
    media = home / "media"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KB_HOME", str(home))
        get_settings.cache_clear()
        place.kb("reindex")  # adds the share of wrong words to transcripts that lack it
        record = (media / f"{place.stem()}.json").read_bytes()
        for format in ("srt", "vtt"):
            for _ in range(2):
                place.kb("export", place.items[0], "--format", format, "-o", media)
            assert (media / f"{place.stem()}.{format}").is_file()
        place.kb("show", place.items[0])
        place.kb("reindex")
        place.kb("show", place.items[0])
        captions = media / f"{place.stem(1)}.srt"
        captions.write_text("laid there by hand")
        said = place.kb("export", place.items[1], "--format", "srt", "-o", media, code=2)
        assert str(captions) in said and captions.read_text() == "laid there by hand"
    assert (media / f"{place.stem()}.json").read_bytes() == record


def sheet(path: Path, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


# Two sources of one name


@pytest.mark.slow
def test_two_items_share_a_folder_for_review(place: Place) -> None:
    place.kb("review", place.items[0], "--export", place.out)
    first = contents(place.out)
    place.kb("review", place.items[1], "--export", place.out)
    both = contents(place.out)
    assert {name: both[name] for name in first} == first
    assert len(both) == 2 * len(first) and "sheet (2).csv" in both
    rows = sheet(place.out / "sheet (2).csv")
    assert {row["item"] for row in rows} == {place.items[1]}
    assert [(place.out / row["clip"]).is_file() for row in rows] == [True, True]
    assert all("(2)" in row["clip"] for row in rows)
    place.kb("review", place.items[1], "--export", place.out)
    place.kb("review", place.items[0], "--export", place.out)
    assert sorted(contents(place.out)) == sorted(both)


def test_two_spans_share_a_name_for_clips(place: Place) -> None:
    name = place.out / "cut.wav"
    place.kb("clip", place.items[0], "--from=0", "--to=1", "-o", name)
    place.kb("clip", place.items[0], "--from=1", "--to=2", "-o", name)
    place.kb("clip", place.items[0], "--from=0", "--to=1", "-o", name)
    place.kb("clip", place.items[1], "--from=0", "--to=1", "-o", name)
    assert sorted(contents(place.out)) == ["cut (2).wav", "cut (3).wav", "cut.wav"]


@pytest.mark.slow
def test_two_media_of_one_stem_have_two_transcripts(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "media" / "talk 1.wav"
    other.parent.mkdir()
    shutil.copy(place.media[0], other)  # the same sound: the same words too
    command = ["--format", "txt", "-o", place.out]
    for medium in (place.media[0], other, place.media[0], other):
        place.kb("transcribe", medium, *command)
    assert sorted(contents(place.out)) == ["talk 1 (2).txt", "talk 1.txt"]


def test_a_transcript_is_never_written_over_its_medium(place: Place) -> None:
    medium = place.out / "talk.srt"
    shutil.copy(place.media[0], medium)
    before = medium.read_bytes()
    for overwrite in ([], ["--overwrite"]):
        place.kb("transcribe", medium, "--format", "srt", "-o", place.out, *overwrite, code=2)
    assert medium.read_bytes() == before


def test_a_backup_never_takes_the_name_of_another(place: Place) -> None:
    place.kb("backup", place.out)
    (path,) = place.out.iterdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for _ in range(3):  # within the same second
        place.kb("backup", place.out)
    assert len(list(place.out.iterdir())) == 4
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
