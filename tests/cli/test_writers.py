"""Every command that writes outside the library: no file of anyone else is replaced.

The table names each writer with a command and the file that it writes. A second table has all
places of the code that write files; a new one must be entered there.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import typer

import kb
from kb.cli import run
from kb.cli.main import app
from kb.library import Library
from kb.library.user_files import is_read_beside
from kb.service import Service, review_sheet
from kb.service.notation import FORMATS, format_timestamp
from kb.service.review_sheet import CORRECTION, SHEET
from kb.settings import get_settings
from kb.transcript import format_named
from kb.types import Chapter, Coverage, QualityFlag, SpeechSpan, Transcript, WindowReport
from tests.support.compose import write_wav
from tests.support.library_pages import add_item


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
    get_settings.cache_clear()
    yield folder / "home", ids, folder


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


# A sheet that was filled in


def sheet(path: Path, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def fill(
    path: Path, typed: dict[int, str], *, delimiter: str = ",", encoding: str = "utf-8-sig"
) -> bytes:
    """Type corrections into rows and save as a spreadsheet program does; return the file."""
    rows = sheet(path)
    for number, text in typed.items():
        rows[number][CORRECTION] = text
    with path.open("w", encoding=encoding, newline="") as file:
        if delimiter == ";" and encoding == "cp1252":
            file.write("sep=;\r\n")
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path.read_bytes()


SAVED = [
    (",", "utf-8-sig"), (",", "utf-8"), (";", "cp1252"), (";", "utf-8-sig"), ("\t", "utf-16"),
    ("\t", "utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("delimiter", "encoding"), SAVED)
def test_a_sheet_is_read_as_a_spreadsheet_program_saved_it(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    rows = [
        {"number": "1", "item": "file:1", "start_s": "0.500", "end_s": "0.900", "clip": "1.mp3"},
        {"number": "2", "item": "file:1", "start_s": "1.044", "end_s": "3.000", "clip": "2.mp3"},
    ]
    path = tmp_path / SHEET
    path.write_text(review_sheet.render(rows), encoding="utf-8")
    typed = {0: 'Größe, sagt er; "ja"', 1: "=not a formula"}
    fill(path, typed, delimiter=delimiter, encoding=encoding)
    found = review_sheet.corrections(tmp_path, "file:1")
    assert [each.text for each in found] == list(typed.values())
    assert review_sheet.corrections(tmp_path, "file:2") == []
    new = review_sheet.merged(rows, found)
    assert [row[CORRECTION] for row in new] == [typed[0], f"'{typed[1]}"]
    # German spreadsheets write a comma, and read three decimals as thousands.
    for times in (("0,500", "0,900"), ("500", "900")):
        old = {**rows[0], "start_s": times[0], "end_s": times[1], CORRECTION: "ja"}
        (first, _) = review_sheet.merged(rows, [review_sheet.Correction("ja", old)])
        assert first[CORRECTION] == "ja"


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2\n", "my notes\n", "number,item\n1,2\n", "\0\0\0", '"open quote\n', "sep=;\n"],
)
def test_other_tables_are_no_sheets(tmp_path: Path, text: str) -> None:
    (tmp_path / SHEET).write_text(text)
    assert review_sheet.read(tmp_path / SHEET) is None
    assert review_sheet.read(tmp_path / "none.csv") is None
    assert review_sheet.corrections(tmp_path, "file:1") == []


@pytest.mark.slow
def test_a_filled_sheet_stays_and_its_corrections_go_on(place: Place) -> None:
    command = ["review", place.items[0], "--export", place.out]
    place.kb(*command)
    typed = {0: 'Größe, sagt er; "ja"', 1: "=not a formula"}
    filled = fill(place.out / SHEET, typed, delimiter=";", encoding="cp1252")
    place.kb(*command)
    assert (place.out / SHEET).read_bytes() == filled
    new = sheet(place.out / "sheet (2).csv")
    assert [row[CORRECTION] for row in new] == [typed[0], f"'{typed[1]}"]
    assert all(row["clip"].encode() in filled for row in new)
    # The new sheet is ours: it is written again, until a person types into it.
    place.kb(*command)
    assert not (place.out / "sheet (3).csv").exists()
    second = fill(place.out / "sheet (2).csv", {0: "better"})
    place.kb(*command)
    assert (place.out / "sheet (2).csv").read_bytes() == second
    assert sheet(place.out / "sheet (3).csv")[0][CORRECTION] == "better"
    # Meant: the name is taken, and what was typed is in the new sheet all the same.
    place.kb(*command, "--overwrite")
    assert sheet(place.out / SHEET)[0][CORRECTION] == "better"


@pytest.mark.slow
def test_corrections_of_spans_that_are_gone_stay_in_the_sheet(place: Place) -> None:
    place.kb("review", place.items[0], "--export", place.out)
    rows = sheet(place.out / SHEET)
    rows.append({**rows[0], "number": "9", "start_s": "3.2", "end_s": "3.9", "clip": "gone.mp3"})
    rows[-1][CORRECTION] = "the end"
    with (place.out / SHEET).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    place.kb("review", place.items[0], "--export", place.out)
    *_, last = sheet(place.out / "sheet (2).csv")
    assert (last["number"], last["start_s"], last["clip"]) == ("3", "3.2", "gone.mp3")
    assert last[CORRECTION] == "the end"


@pytest.mark.slow
def test_a_filled_sheet_is_known_without_a_record(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder came from another machine, or the sheet from an earlier version."""
    place.kb("review", place.items[0], "--export", place.out / "a")
    (place.out / "b").mkdir()
    shutil.copy(place.out / "a" / SHEET, place.out / "b" / SHEET)
    filled = fill(place.out / "b" / SHEET, {1: "by hand"})
    place.kb("review", place.items[0], "--export", place.out / "b")
    assert (place.out / "b" / SHEET).read_bytes() == filled
    assert sheet(place.out / "b" / "sheet (2).csv")[1][CORRECTION] == "by hand"
    # Another item's sheet is not overwritten, even if the user asks for the name.
    place.kb("review", place.items[1], "--export", place.out / "b", "--overwrite")
    assert (place.out / "b" / SHEET).read_bytes() == filled


# The folder of Markdown files


@pytest.fixture
def vault(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KB_FOLDER_SINK", str(place.out))
    get_settings.cache_clear()
    return place.out


@pytest.mark.slow
def test_a_note_that_a_person_changed_stays(place: Place, vault: Path) -> None:
    command = ["publish", place.items[0], "--to", "folder"]
    place.kb(*command)
    (path,) = vault.iterdir()
    place.kb(*command)
    note = path.read_bytes() + b"\n## My own notes\n\nlisten again\n"
    path.write_bytes(note)
    place.kb(*command)  # the text is the one that was published: nothing is to be written
    assert path.read_bytes() == note
    service = Service()
    before = service.items.transcript(place.items[0]).segments[0].text
    service.revisions.edit(place.items[0], 0, "another text")
    try:
        said = place.kb(*command, code=1)
        assert str(path) in said and "--overwrite" in said
        assert path.read_bytes() == note and len(list(vault.iterdir())) == 1
        place.kb(*command, "--overwrite")
        assert b"another text" in path.read_bytes() and b"My own notes" not in path.read_bytes()
    finally:
        service.revisions.edit(place.items[0], 0, before)
        service.close()
    place.kb(*command)
    assert len(list(vault.iterdir())) == 1


def test_overwriting_is_for_a_folder(place: Place) -> None:
    assert "--overwrite" in place.kb("publish", place.items[0], "--overwrite", code=2)


@pytest.mark.parametrize("folder", ["media", "trash", ""])
def test_a_vault_in_the_library_s_own_folders_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("KB_FOLDER_SINK", str(place.home / folder))
    get_settings.cache_clear()
    before = sorted(contents(place.home))
    said = place.kb("publish", place.items[0], "--to", "folder", code=1)
    assert "KB_FOLDER_SINK" in said
    new = {each for each in contents(place.home) if each not in before}
    assert new <= {"logs/audit.jsonl"}  # the attempt is recorded, for the first time in some order


# Every place of the code that writes files

LIBRARY, MECHANISM, USERS = "in the library", "the one writer", "by the one writer"
CACHE, STATE, SCRATCH = "in this program's cache", "in this user's state", "in a scratch folder"
EDITED = "a file of settings, read and changed"

PLACES = {
    "gpu/preset_file.py": EDITED,
    "kb/asr/engines/faster_whisper/conversion.py": CACHE,
    "kb/database/": LIBRARY,
    "kb/hub/": CACHE,
    "kb/inference/": STATE,
    "kb/jobs/": LIBRARY,
    "kb/library/": f"{LIBRARY}; user_files.py: {MECHANISM}",
    "kb/media/clip.py": f"{USERS}; {SCRATCH}",
    "kb/media/section.py": SCRATCH,
    "kb/pipeline/": LIBRARY,
    "kb/service/backup.py": f"{USERS}; {SCRATCH}; {LIBRARY} (a restore)",
    "kb/service/brought_transcripts.py": LIBRARY,
    "kb/service/exports.py": USERS,
    "kb/service/health.py": SCRATCH,
    "kb/service/presets.py": EDITED,
    "kb/service/review.py": USERS,
    "kb/service/revisions.py": LIBRARY,
    "kb/service/sessions.py": LIBRARY,
    "kb/service/tasks.py": LIBRARY,
    "kb/service/verification/": LIBRARY,
    "kb/settings/env_file.py": EDITED,
    "kb/sinks/local/": LIBRARY,
    "kb/sources/": f"{LIBRARY}; keys: {EDITED}; rate_limit: {STATE}",
    "kb/storage/": MECHANISM,
    "kb/transcript/formats/office_package.py": "nothing: it packs a document in memory",
    "kb/ui/tabs/gpu/presets.py": EDITED,
    "kb/ui/web/upload_route.py": LIBRARY,
}

_WRITERS = frozenset((
    "write_text", "write_bytes", "write_json", "write_private", "atomic_path", "user_path",
    "user_file", "write_user_file", "link_or_copy", "scratch_folder", "mkdtemp", "mkstemp",
    "TemporaryDirectory", "NamedTemporaryFile", "copyfile", "copy2", "copytree", "symlink_to",
    "hardlink_to", "writestr", "touch", "draft",
))  # fmt: skip
_OF_MODULES = {("os", "link"), ("os", "replace"), ("os", "rename"), ("shutil", "move")}
_FLAGS = frozenset(("O_CREAT", "O_EXCL", "O_TRUNC"))


def writes(call: ast.Call) -> bool:
    """Return True for a call that makes or moves a file."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _WRITERS:
        return True
    owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
    if (owner, name) in _OF_MODULES:
        return True
    texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
    modes = [each for each in texts if isinstance(each, str) and len(each) <= 3]
    return name == "open" and any(set(mode) & set("wax+") for mode in modes)


@pytest.mark.slow
def test_every_place_that_writes_files_is_known() -> None:
    """A new place belongs into this table, and one outside the library uses the one writer."""
    root = Path(kb.__file__).parent.parent
    found = set()
    for folder in ("kb", "gpu"):
        for path in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            if _FLAGS & names or any(map(writes, calls)):
                found.add(path.relative_to(root).as_posix())
    assert [path for path in sorted(found) if not path.startswith(tuple(PLACES))] == []
    for place in PLACES:
        assert place.endswith("/") or place in found


def test_a_backup_never_takes_the_name_of_another(place: Place) -> None:
    place.kb("backup", place.out)
    (path,) = place.out.iterdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for _ in range(3):  # within the same second
        place.kb("backup", place.out)
    assert len(list(place.out.iterdir())) == 4
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
