"""The functions for other Python programs, as such a program calls them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kb
from kb.errors import KBError
from tests.support.raising import raises
from tests.support.workers import write_talks

PROGRAM = """
import sys
from kb import ingest, search, transcribe

if __name__ == "__main__":
    path, home = sys.argv[1:]
    shares = []
    words = transcribe(path, model="demo", language="en", progress=shares.append)
    print(sum(segment.word_count for segment in words.segments), shares[-1] == 1.0)
    report = ingest(path, home=home, model="demo", language="en")
    print([item.state for item in report.items])
    again = ingest(path, home=home, model="demo")
    print(again.enqueued, [skipped.id for skipped in again.skipped] == [report.items[0].id])
    word = words.segments[0].words[0].text
    print([hit.item_id for hit in search(word, home=home, mode="keyword")] == [report.items[0].id])
"""


@pytest.mark.slow
@pytest.mark.long
def test_a_program_transcribes_ingests_and_searches(tmp_path: Path) -> None:
    (talk,) = write_talks(tmp_path / "in", 1, words=8)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    ran = subprocess.run(
        [sys.executable, str(program), str(talk), str(tmp_path / "library")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["8 True", "['done']", "() True", "True"]


def test_the_package_is_light_until_a_function_is_named() -> None:
    code = "import kb, sys; print(len([m for m in sys.modules if m.startswith('kb')]), dir(kb))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    count, names = ran.stdout.split(" ", 1)
    assert count == "1" and all(f"'{name}'" in names for name in kb.__all__)
    with pytest.raises(AttributeError):
        kb.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"modle": "demo"}, "python.option"),
        ({"batch_size": "many"}, "python.option_value"),
        ({"keep": "gold"}, "python.option_value"),
        ({"after": "someday"}, "filters.date"),
    ],
)
def test_an_option_that_is_none_is_named(
    tmp_path: Path, given: dict[str, object], code: str
) -> None:
    with pytest.raises(KBError) as caught:
        kb.ingest(tmp_path / "talk.mp4", home=tmp_path / "library", **given)  # type: ignore[arg-type]
    assert caught.value.code == code
    (named,) = given.values() if code == "filters.date" else given
    assert str(named) in str(caught.value)
    assert not (tmp_path / "library").exists()


def test_errors_of_a_file_and_of_a_folder_without_a_library(tmp_path: Path) -> None:
    with raises(KBError, "media.missing"):
        kb.transcribe(tmp_path / "missing.mp4", model="demo")
    with raises(KBError, "library.none_here"):
        kb.search("harbour", home=tmp_path / "none")
    assert not (tmp_path / "none").exists()
