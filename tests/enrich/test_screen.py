"""Text on the screen: the real reader on rendered slides, and its parts on made pictures."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from kb.enrich import get_step
from kb.enrich.base import StepInput
from kb.enrich.screen import parts
from kb.enrich.screen.changes import HEIGHT, WIDTH, ChangeDetector, Grey, Sample, Still
from kb.enrich.screen.frames import samples
from kb.enrich.screen.pages import Pages
from kb.enrich.screen.reader import Line, RapidReader, is_too_short
from kb.enrich.screen.reading import read_pages
from kb.errors import MediaUnavailable, ModelUnavailable
from kb.media.probe import probe
from kb.settings import PROJECT_ROOT, get_settings
from tests.support.raising import raises
from tests.support.slides import (
    Showing,
    known_slides,
    noise,
    render,
    require_reader,
    talk,
    text_picture,
    write_video,
)
from tests.support.voices import VOICES

RATE = 4  # frames a second of test videos


@pytest.fixture
def _reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_reader()


def without_spaces(lines: Iterable[str]) -> str:
    return "".join("".join(line.split()) for line in lines)


# The whole


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("_reader")
def test_the_slides_of_a_talk_are_read_with_their_times(tmp_path: Path) -> None:
    showings = talk()
    found = read_pages(probe(write_video(tmp_path / "talk.mp4", showings, rate=RATE)))
    texts = [without_spaces(slide["lines"]) for slide in known_slides()]
    assert len(found.pages) == len(texts)
    wrong = sum(
        Levenshtein.distance(text, page.key)
        for text, page in zip(texts, found.pages, strict=True)
    )  # fmt: skip
    assert wrong <= 0.01 * sum(map(len, texts))
    times, at_s = [], 0.0
    for each in showings:
        times.append((at_s, at_s + each.seconds))
        at_s += each.seconds
    expected = [[span] for span in times[:-1]]
    expected[2].append(times[-1])  # the third slide comes back
    for spans, page in zip(expected, found.pages, strict=True):
        assert np.abs(np.array(spans) - np.array(page.showings)).max() <= 1.0
    assert found.frames_read <= 1.3 * len(texts)


@pytest.mark.slow
@pytest.mark.usefixtures("_reader")
def test_a_result_says_what_was_seen(tmp_path: Path) -> None:
    """Text that grows is one page; what is no text is none."""
    path = write_video(
        tmp_path / "in.mp4",
        [
            Showing(text_picture(["Fähren im Hafen"]), 4),
            Showing(text_picture(["Fähren im Hafen", "1. Abfahrt 12:30"]), 4),
            Showing(noise(1), 4),
        ],
        rate=RATE,
    )
    step = get_step("screen")
    assert step.missing() is None
    result = step.run(StepInput(path, ""), lambda _: None)
    (page,) = result["pages"]
    assert [(line["text"], line["start"]) for line in page["lines"]] == [
        ("Fähren im Hafen", 0.0),
        ("1. Abfahrt 12:30", 4.0),
    ]
    assert page["showings"] == [{"start": 0.0, "end": 8.0}]
    assert result["picture"] and result["frames_read"] == 3
    assert page["thumbnail"]
    # Every fourth frame: one a second.
    every = step.run(StepInput(path, "", options={"sample_rate": RATE}), lambda _: None)
    assert every["frames_read"] == 12
    assert [line["text"] for line in every["pages"][0]["lines"]][:1] == ["Fähren im Hafen"]


@pytest.mark.slow
@pytest.mark.usefixtures("_reader")
def test_text_in_two_scripts() -> None:
    """What the networks do not know is counted and left out; the other lines are read."""
    picture = text_picture(["Straße nach Köln", "Привет, большой мир"])
    found = RapidReader().read(np.asarray(picture)[:, :, ::-1].copy())
    assert [line.text for line in found.lines] == ["Straße nach Köln"]
    assert found.unread == 1


def test_a_medium_without_picture_has_no_page() -> None:
    given = StepInput(VOICES / "flite2.opus", "")
    assert get_step("screen").run(given, lambda _: None) == {"picture": False, "pages": []}


def test_a_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    slides = [Showing(render(slide), 3) for slide in known_slides()[:4]]
    path = write_video(tmp_path / "in.mkv", slides, rate=RATE, sound=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    times = [sample.at_s for sample in samples(probe(path))]
    assert times and times == sorted(times) and times[-1] < 12.0
    path.write_bytes(bytes(1000))
    with pytest.raises(MediaUnavailable):
        list(samples(probe(path)))


# Changes


def grey(seed: int) -> Grey:
    return np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)


def stills(pictures: Iterable[tuple[float, Grey]]) -> tuple[list[Still], ChangeDetector]:
    detector = ChangeDetector()
    given = (Sample(at_s, picture, None) for at_s, picture in pictures)
    return list(detector.stills(given)), detector


def with_part(picture: Grey, rows: slice, columns: slice, seed: int) -> Grey:
    changed = picture.copy()
    changed[rows, columns] = grey(seed)[rows, columns]
    return changed


A, B, C = grey(1), grey(2), grey(3)
CHANGES = {
    # name: (the picture of each second, [(start, end of the one before, repeats)])
    "one slide": ([A] * 10, [(0, 0, None)]),
    "two slides": ([A] * 5 + [B] * 5, [(0, 0, None), (5, 5, None)]),
    "a slide comes back": (
        [A] * 3 + [B] * 3 + [A] * 3,
        [(0, 0, None), (3, 3, None), (6, 6, 0)],
    ),
    "a cross-fade": ([A] * 4 + [C] + [B] * 4, [(0, 0, None), (5, 4, None)]),
    "something passes": ([A] * 4 + [B] + [A] * 4, [(0, 0, None)]),
    "a camera in the corner": (
        [with_part(A, slice(60, 90), slice(120, 160), n) for n in range(10)],
        [(0, 0, None)],
    ),
    "a line is added": (
        [A] * 3 + [with_part(A, slice(20, 30), slice(0, 80), 9)] * 3,
        [(0, 0, None), (3, 3, None)],
    ),
    "the last picture": ([A] * 4 + [B], [(0, 0, None), (4, 4, None)]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_picture_is_read_once_it_rests(case: str) -> None:
    pictures, expected = CHANGES[case]
    found, _ = stills((float(at_s), picture) for at_s, picture in enumerate(pictures))
    assert [(each.start_s, each.before_end_s, each.known) for each in found] == expected


def test_pictures_that_stand_for_seconds_each_have_one_frame() -> None:
    """A slide show has one frame for each slide, and none while it stands."""
    found, _ = stills((7.0 * n, grey(n)) for n in range(5))
    assert [each.start_s for each in found] == [7.0 * n for n in range(5)]


def test_four_hours_of_one_slide_are_read_once() -> None:
    found, detector = stills((float(n), A) for n in range(4 * 3600))
    assert len(found) == 1 and detector.account.samples == 4 * 3600


def moving(seconds: int) -> Iterator[tuple[float, Grey]]:
    return ((float(n), grey(n % 500)) for n in range(seconds))


def test_a_camera_that_never_rests_is_read_now_and_then() -> None:
    found, detector = stills(moving(3600))
    assert 100 <= len(found) <= 200
    assert detector.account.moving_s > 3000
    starts = [each.start_s for each in found]
    assert starts == sorted(starts)


@pytest.mark.slow
def test_changes_beyond_the_limit_are_counted() -> None:
    """Another picture every two seconds, none of which comes back, for an hour."""
    found, detector = stills((float(n), grey(n // 2)) for n in range(3600))
    assert 290 <= len(found) <= 310
    assert len(found) + detector.account.left_out == 1800


# Pages


def lines(*texts: str) -> list[Line]:
    return [Line(each, (0.0, 0.0, 0.5, 0.1), 0.99) for each in texts]


PAGES = {
    # name: ([(lines, start)], [(text, showings)]); the last one ends at 30
    "two": (
        [(("harbour",), 0), (("ferries",), 10)],
        [("harbour", [[0, 10]]), ("ferries", [[10, 30]])],
    ),
    "the same with other spaces and one mistake": (
        [(("the harbour  at noon",), 0), (("other page",), 10), (("the harb0ur at noon",), 20)],
        [("the harbour  at noon", [[0, 10]]), ("other page", [[10, 20]]),
         ("the harb0ur at noon", [[20, 30]])],
    ),
    "it comes back": (
        [(("the harbour at noon",), 0), (("other page",), 10), (("the harbour at noom",), 20)],
        [("the harbour at noon", [[0, 10], [20, 30]]), ("other page", [[10, 20]])],
    ),
    "another number is another page": (
        [(("Revenue of the year 2024",), 0), (("Revenue of the year 2025",), 10)],
        [("Revenue of the year 2024", [[0, 10]]), ("Revenue of the year 2025", [[10, 30]])],
    ),
    "it grows": (
        [(("Agenda",), 0), (("Agenda", "Harbour"), 5), (("Agenda", "Harbour", "Ferries"), 10)],
        [("Agenda\nHarbour\nFerries", [[0, 30]])],
    ),
    "a picture without text between": (
        [(("harbour",), 0), ((), 10), (("harbour",), 20)],
        [("harbour", [[0, 10], [20, 30]])],
    ),
    "a mark is no page": ([(("1",), 0), (("ok",), 10)], []),
}  # fmt: skip


@pytest.mark.parametrize("case", PAGES)
def test_showings_become_pages(case: str) -> None:
    shown, expected = PAGES[case]
    pages = Pages()
    for texts, at_s in shown:
        pages.show(lines(*texts), float(at_s), float(at_s), lambda: b"")
    pages.close(30.0)
    assert [(page.text, page.showings) for page in pages.pages] == expected


def test_lines_of_a_growing_page_have_their_own_start() -> None:
    pages = Pages()
    for number in range(1, 4):
        texts = ["First point", "Second point", "Third point"][:number]
        pages.show(lines(*texts), 5.0 * number, 5.0 * number, lambda: b"")
    (page,) = pages.pages
    assert [each.start_s for each in page.lines] == [5.0, 10.0, 15.0]


@pytest.mark.parametrize(
    ("text", "width", "height", "expected"),
    [
        ("harbour", 200, 50, False),
        (",", 325, 66, True),
        ("", 50, 50, True),
        ("7", 30, 50, False),
        ("W", 60, 50, False),
    ],
)
def test_a_box_with_too_little_text(text: str, width: int, height: int, expected: bool) -> None:
    assert is_too_short(text, width, height) is expected


# The parts


def test_models_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_reader()
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "models"))
    get_settings.cache_clear()
    step = get_step("screen")
    missing = step.missing()
    assert missing is not None and missing.code == "screen.no_reader"
    assert parts.COMMAND in missing.hint
    assert step.add() == str(tmp_path / "models")
    assert step.missing() is None
    (tmp_path / "models" / next(iter(parts.FILES))).write_bytes(b"damaged")
    assert step.missing() is not None


def test_a_machine_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip cannot fetch it either: nothing is installed, and the cause is named."""
    monkeypatch.setattr(parts, "PACKAGE", "kb_no_such_package")
    monkeypatch.setattr(parts, "REQUIREMENT", "kb-no-such-package==3.10.*")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert parts.models() is None
    with raises(ModelUnavailable, "screen.not_fetched"):
        parts.add()


def test_an_environment_without_pip_is_named_as_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environments that uv made have no pip: uv installs there; without it the error says so."""
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    python = bare / "bin" / "python"
    uv = tmp_path / "uv"
    uv.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(str(sys.argv[1:]))\n")
    uv.chmod(0o755)
    code = (
        "from kb.enrich.packages import run_installer\n"
        "from kb.errors import KBError\n"
        "try:\n    print(run_installer('install', ['x==1'], 'kb models add x'))\n"
        "except KBError as error:\n    print(error.code, error.hint)"
    )
    packages = [path for path in sys.path if path.endswith("site-packages")]
    shadow = tmp_path / "shadow"  # all packages of this environment but pip
    shadow.mkdir()
    for folder in packages:
        for each in Path(folder).iterdir():
            if each.name != "pip" and not (shadow / each.name).exists():
                (shadow / each.name).symlink_to(each)
    environment = {"PYTHONPATH": f"{PROJECT_ROOT}:{shadow}", "PATH": ""}

    def said(path: str) -> str:
        done = subprocess.run(
            [python, "-c", code], env={**environment, "PATH": path}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout

    assert said("").startswith("step.no_pip Bring pip into it: ")
    given = said(str(tmp_path))
    assert "'pip', 'install', '--python'" in given and "'x==1'" in given
