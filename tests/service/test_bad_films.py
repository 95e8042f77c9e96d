"""Media and words that films and dubs of files cannot take as they are.

A table: each is made with a remark or without one, or refused with its reason. Nothing that is half
written is left, and the program that was started has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from kb.errors import KBError, LibraryError
from kb.library.user_files import UserFiles
from kb.media.probe import probe
from kb.pipeline.video import Stretch, Wish
from kb.service import Service
from kb.service.dubbing import Dub
from kb.settings import Settings
from kb.storage.user_files import Draft, Target
from kb.transcript.formats.json_document import render
from kb.types import Coverage, MediaRef, Timing, Transcript
from kb.video.dub_fitting import RATE_HZ
from kb.video.reel import FADE_S
from tests.support import films
from tests.support.films import grey, tone
from tests.support.machines import mounted
from tests.support.raising import raises

pytestmark = pytest.mark.slow

SECONDS = 2.4
SIZE, RATE = "160x90", 5
REEL = (Stretch(0.0, 1.2, "A % 'title'"), Stretch(1.2, 2.4, '[b],;:=\\ "c" 🎉\nd'))
WISHES = {
    "captions": Wish("captions", threads=1),
    "karaoke": Wish("karaoke", threads=1),
    "soft": Wish("soft"),
    "reel": Wish("reel", stretches=REEL, words="captions", threads=1),
    "reel, karaoke": Wish("reel", stretches=REEL, words="karaoke", threads=1),
}
THE_END = (Stretch(14390.0, 14392.0, "Late"), Stretch(14396.0, 14398.0, "Later"))
WISHES["the end as a reel"] = Wish("reel", stretches=THE_END, words="captions", threads=1)
DUB = Dub("de", threads=1)
DRAWN = ("captions", "karaoke", "reel, karaoke")
ALL = ("captions", "karaoke", "soft", "reel", "dub")


def film(path: Path, *, size: str = SIZE, sound: bool = True) -> Path:
    return films.make(path, *grey(SECONDS, size, RATE), *(tone(SECONDS) if sound else ()))


def odd(path: Path) -> Path:
    colours = ("-pix_fmt", "yuv444p")  # which has odd sides
    return films.make(path, *grey(SECONDS, "161x91", RATE), *tone(SECONDS), *colours)


def changing_rate(path: Path) -> Path:
    """A recording of a screen: frames at irregular times, the last one seconds before the end."""
    chosen = "select='lt(n,3)+eq(n,7)',setpts=PTS"
    return films.make(
        path, *grey(SECONDS, SIZE, 10), *tone(SECONDS), "-vf", chosen, "-fps_mode", "vfr"
    )


def hours(path: Path) -> Path:
    return films.make(path, "-f", "lavfi", "-i", "color=c=0x404040:s=64x36:r=0.1:d=14400")


def sound(path: Path) -> Path:
    return films.make(path, *tone(SECONDS))


def srt(*lines: tuple[str, str, str]) -> str:
    return "\n\n".join(f"{n}\n{a} --> {b}\n{text}" for n, (a, b, text) in enumerate(lines, 1))


FIRST, SECOND = ("00:00:00,200", "00:00:01,000"), ("00:00:01,300", "00:00:02,200")
USUAL = srt((*FIRST, "Der Hafen"), (*SECOND, "im Winter"))
LATE = srt(("03:59:50,000", "03:59:58,000", "Das Ende"))
NO_SPEECH = render(
    Transcript(
        MediaRef("talk.mp4", "", SECONDS), (), "de", "demo", "demo", "", Coverage(1, 1), Timing()
    )
)
LONG = " ".join(["Der Hafen liegt im Winter ruhig und am Morgen fährt eine Fähre"] * 3)


@dataclass(frozen=True)
class Case:
    """What is made of a medium and words: `codes` of the remarks, or that of the error."""

    kinds: tuple[str, ...]
    codes: tuple[str, ...] = ()
    error: str = ""
    make: Callable[[Path], Path] = film
    name: str = "talk.mp4"
    words: str = USUAL
    words_name: str = "words.srt"


CASES = {
    "a video without sound": Case(ALL, make=lambda path: film(path, sound=False)),
    "an upright picture": Case(ALL, make=lambda path: film(path, size="90x160")),
    "odd sides": Case(ALL, make=odd, name="talk.mkv"),
    "a rate that changes": Case(ALL, make=changing_rate, name="talk.mkv"),
    "quotes and brackets in a path": Case(ALL, name="it's [a], 100% \"b\";x=1.mp4"),
    "a drive's colon in a path": Case(ALL, name="C:talk: -y $(x).mp4"),
    "sound alone": Case(("captions", "karaoke"), ("note.video_no_picture",), make=sound,
                        name="talk.wav"),
    "four hours": Case(("soft", "the end as a reel"), make=hours, words=LATE),
    "no speech": Case(
        ("captions", "karaoke", "soft"), error="video.no_words", words=NO_SPEECH,
        words_name="words.json",
    ),
    "no speech, for a dub": Case(
        ("dub",), error="dub.no_words", words=NO_SPEECH, words_name="words.json"
    ),
    "a transcript without lines": Case(
        ("captions", "dub"), error="transcript.not_read", words="..."
    ),
    "speech faster than any voice": Case(
        ("dub",), ("note.dub_too_long", "note.dub_too_long"),
        words=srt((*FIRST, LONG), (*SECOND, LONG)),
    ),
    "letters that the voice lacks": Case(("dub",), error="speech.script",
                                         words=srt((*FIRST, "这是一个测试"))),
    "letters that no font has": Case(DRAWN, error="video.no_font",
                                     words=srt((*FIRST, "𐎠𐎡𐎢"))),
    "titles in words": Case(
        ALL[:-1], words=srt((*FIRST, "100 % of {\\b1} 'a' [b]"),
                                           (*SECOND, "x\\Ny 🎉 \"z\""))),
    "words after the end": Case(("dub",), error="dub.outside", words=LATE),
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(Settings(KB_HOME=str(tmp_path_factory.mktemp("films") / "home")))
    yield made
    made.close()


def started() -> set[psutil.Process]:
    """Return the programs of this process, without the databases of other tests."""
    found = psutil.Process().children(recursive=True)
    return {each for each in found if "postgres" not in each.name()}


@pytest.fixture(autouse=True)
def programs_end() -> Iterator[None]:
    """Hold each test to the end of the programs that it started."""
    before = started()
    yield
    assert not started() - before


@pytest.mark.parametrize(
    ("case", "kind"), [(name, kind) for name, case in CASES.items() for kind in case.kinds]
)
def test_it_is_made_or_refused(service: Service, tmp_path: Path, case: str, kind: str) -> None:
    row = CASES[case]
    folder = tmp_path / "in"
    folder.mkdir()
    medium = row.make(folder / row.name)
    words = folder / row.words_name
    words.write_text(row.words, encoding="utf-8")
    target = tmp_path / "out" / f"made {medium.stem}.mkv"
    before = sorted(path.name for path in folder.iterdir())

    def make() -> list[str]:
        if kind == "dub":
            return [note.code for note in service.dubbing.of_file(medium, words, DUB, target)
                    .report.notes]  # fmt: skip
        return [note.code for note in service.videos.of_file(medium, words, WISHES[kind], target)
                .notes]  # fmt: skip

    if row.error:
        with pytest.raises(KBError) as caught:
            make()
        assert caught.value.code == row.error and caught.value.hint
    else:
        ignored = {"note.video_estimated_words", "note.video_left_out"}  # (emoji)
        assert [code for code in make() if code not in ignored] == list(row.codes)
        length_s = probe(medium).duration_s or 0.0
        if kind in WISHES and WISHES[kind].stretches:
            length_s = sum(each.length_s for each in WISHES[kind].stretches) - FADE_S
        assert probe(target).duration_s == pytest.approx(length_s, abs=0.3)
    assert sorted(path.name for path in folder.iterdir()) == before
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder]
    assert left == ([] if row.error else [target.name])


@pytest.mark.parametrize("kind", ALL)
def test_a_full_disk_is_reported(
    service: Service, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written beside the target goes to a disk that is always full."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no disk that is always full")
    medium = film(tmp_path / "talk.mkv")
    words, target = tmp_path / "words.srt", tmp_path / "made.mkv"
    words.write_text(USUAL, encoding="utf-8")
    draft = service.items.files.draft

    @contextmanager
    def on_a_full_disk(named: Target) -> Iterator[Draft]:
        with draft(named) as found:
            found.path.symlink_to(full)
            yield found

    monkeypatch.setattr(UserFiles, "draft", lambda _, named: on_a_full_disk(named))
    with raises(LibraryError, "output.disk_full", path=target):
        if kind == "dub":
            service.dubbing.of_file(medium, words, DUB, target)
        else:
            service.videos.of_file(medium, words, WISHES[kind], target)
    assert {path.name for path in tmp_path.iterdir()} == {"talk.mkv", "words.srt"}


@pytest.mark.parametrize(("kind", "share"), [*((kind, 0.5) for kind in ALL), ("dub", 0.9)])
def test_a_disk_that_fills_up_half_way(
    service: Service, tmp_path: Path, kind: str, share: float
) -> None:
    """A disk with room for a part of what is written; of a dub, for the voice and not for the file.

    The picture is noise, so that a film is larger than what a disk needs for itself.
    """
    medium = films.make(
        tmp_path / "talk.mkv", "-f", "lavfi", "-i",
        f"nullsrc=s=320x180:r={RATE}:d={SECONDS},geq=random(1)*255:128:128", *tone(SECONDS),
    )  # fmt: skip
    words = tmp_path / "words.srt"
    words.write_text(USUAL, encoding="utf-8")

    def make(target: Path) -> None:
        if kind == "dub":
            service.dubbing.of_file(medium, words, DUB, target)
        else:
            service.videos.of_file(medium, words, WISHES[kind], target)

    make(tmp_path / "whole.mkv")
    voice_bytes = round(SECONDS * RATE_HZ) * 2 if kind == "dub" else 0
    size = int(share * ((tmp_path / "whole.mkv").stat().st_size + voice_bytes)) // 4096 * 4096
    disk = tmp_path / "disk"
    with mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", at=disk):
        with raises(LibraryError, "output.disk_full", path=disk / "made.mkv"):
            make(disk / "made.mkv")
        assert list(disk.iterdir()) == []
