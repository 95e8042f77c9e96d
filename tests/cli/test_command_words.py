"""Words, options and exit codes of the commands, by what newcomers met.

Each case of `SAID` is one row: a command, its exit code, and what it must and must not say.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress

from kb.cli import run
from kb.cli.main import _commands
from kb.cli.output import progress, status_table
from kb.cli.output.columns import Column, Columns
from kb.cli.output.console import out
from kb.cli.output.times import format_span
from kb.options import OPTIONS
from kb.service import Service
from kb.settings import get_settings
from kb.types import MediaItem
from tests.support.library_pages import add_item


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("words")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KB_HOME", str(folder / "home"))
        patch.setenv("KB_EMBEDDING_MODEL", "none")
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        get_settings.cache_clear()
        item_id = add_item(channel="Harbour Talks", published="2024-03-05")
        yield folder / "home", item_id
    get_settings.cache_clear()


@pytest.fixture
def item(library: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KB_HOME", str(library[0]))
    monkeypatch.setenv("XDG_STATE_HOME", str(library[0].parent / "state"))
    monkeypatch.setenv("SSH_TTY", "/dev/none")  # no browser is opened
    monkeypatch.setenv("KB_PASSWORD", "a long-kept secret")
    get_settings.cache_clear()
    return library[1]


@dataclass(frozen=True)
class Said:
    """A command with its exit code, the words it must say, and those it must not."""

    command: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    never: tuple[str, ...] = ()


SAID = [
    Said(("status", "ID"), 0, ("ID",)),
    Said(("search", "zebracrossing"), 0, ("No passage has 'zebracrossing'",), ("Nothing found",)),
    Said(("search", "harbour", "--channel", "harbour talks"), 0, ("passage",)),
    Said(("search", "harbour", "--channel", "others"), 0, ("Nothing found",), ("[00:",)),
    Said(("search", "harbour", "--after", "2030"), 0, ("Nothing found",)),
    Said(("search", "harbour", "--before", "2023"), 0, ("Nothing found",)),
    Said(("search", "harbour", "--after", "2024-03", "-n", "1"), 0, ("1 passage in",)),
    Said(("search", "harbour", "--after", "soon"), 2, ("soon",)),
    Said(("search", "harbour", "--remote", "--channel", "x"), 2, ("--remote",)),
    Said(("show", "ID", "--numbers"), 0, ("   0  [00:", "   1  [00:")),
    Said(("export", "ID", "-f", "SRT"), 0, ("-->",)),
    Said(("vocabulary", "nobody"), 0, ("No item of this library is of a channel 'nobody'",)),
    Said(("vocabulary", "Harbour Talks"), 0, ("No list",), ("No item of",)),
    Said(("follow", "@talks", "--every", "5"), 2, ("A number alone is seconds", "6h")),
    Said(
        ("transcribe", "http://me:word@127.0.0.1:9/a.mp4"),
        1,
        ("Fetching http://", "127.0.0.1:9"),
        ("does not exist", "me:word"),
    ),
    Said(("cancel", "ID", "--json"), 0, ('"cancelled": []',)),
    Said(("retry", "--failed", "--json"), 0, ('"queued": []', '"to_publish": []')),
    Said(("dismiss", "--all", "--json"), 0, ('"dismissed": []',)),
    Said(("pause", "ID", "--json"), 0, ('"paused": []',)),
    Said(("resume", "ID", "--json"), 0, ('"queued": []',)),
    Said(("worker", "--stop", "--json"), 0, ('"stopped": []',)),
    Said(("worker", "--json"), 2, ("kb worker --detach --json",)),
    Said(("export", "ID", "-f", "srt", "--json"), 2, ("-o FOLDER", "--format json")),
    Said(
        ("export", "ID", "-f", "srt,txt", "-o", "FOLDER", "--json"),
        0,
        ('"written": [', ".srt", ".txt", '"failed": []'),
    ),
    Said(("config", "KB_NOPE"), 2, ("KB_NOPE is no setting", "kb config --all")),
    Said(("config",), 0, ("KB_HOME=", "KB_PASSWORD=(set, hidden)"), ("long-kept",)),
    Said(("config", "KB_MODEL", "--json"), 0, ('"name": "KB_MODEL"',), ("KB_HOME",)),
    Said(("logs", "--path"), 0, ("worker.log",)),
    Said(("logs", "nonsense"), 2, ("worker, tasks",)),
    Said(("logs",), 0, ("no worker of this library has run here",)),
    Said(("open", "ID", "--at", "1:05"), 0, ("?tab=Library&item=", "&t=65", "No browser")),
    Said(("open", "ID", "--path"), 0, (".mp4",)),
    Said(("open", "nothing"), 2, ("kb status",)),
    Said(("status", "--state", "failed"), 0, ("No item is failed",), ("Begin with",)),
    Said(("ingest",), 2, ("Try 'kb ingest -h' for help",)),
    Said(("statsu",), 2, ("Did you mean 'status'",)),
    Said(("transcribe", "x.mp4", "--timestamps", "none"), 2, ("none",), ("Value error",)),
]


@pytest.mark.parametrize("row", SAID, ids=lambda row: " ".join(row.command))
def test_what_is_said(
    row: Said, item: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = {"ID": item, "FOLDER": str(tmp_path / "out")}
    code = run([given.get(part, part) for part in row.command])
    printed = "".join(capsys.readouterr())
    assert code == row.code, printed
    for words in row.says:
        assert words.replace("ID", item) in printed
    for words in row.never:
        assert words not in printed


def test_a_misspelt_home_makes_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "tpyo"))
    get_settings.cache_clear()
    for command in (["status"], ["search", "x"], ["logs"], ["open", "x"], ["review"], ["doctor"]):
        run(command)
        assert not (tmp_path / "tpyo").exists(), command
    assert "Check KB_HOME" in capsys.readouterr().err


def test_a_port_in_use_is_told_with_another(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert run(["app", "--no-browser", "--port", str(port)]) == 2
    printed = capsys.readouterr().err
    assert f"uses port {port}" in printed
    free = re.search(r"kb app --port (\d+)", printed)
    assert free and int(free[1]) != port


# Arguments and options


def commands(command: Any = None, name: str = "kb") -> Iterator[tuple[str, Any]]:
    command = command or _commands()
    yield name, command
    for each, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, f"{name} {each}")


def test_every_argument_and_option_has_words() -> None:
    assert not [
        f"{name} {param.name}"
        for name, command in commands()
        for param in command.params
        if not getattr(param, "help", None)
    ]


def test_an_option_has_one_short_name_in_all_commands() -> None:
    short: dict[str, set[str]] = {}
    for _, command in commands():
        for param in command.params:
            for flag in param.opts:
                if re.fullmatch("-[A-Za-z]", flag):
                    short.setdefault(flag, set()).add(max(param.opts, key=len))
    assert short.pop("-n") == {"--limit", "--lines"}  # of `head` and of `tail`
    assert all(len(names) == 1 for names in short.values()), short
    for name, command in commands():
        for param in command.params:
            if "--limit" in param.opts:
                assert "-n" in param.opts, name
            if "--format" in param.opts:
                assert "-f" in param.opts, name


def test_options_of_a_run_name_what_holds_without_them() -> None:
    ingest = dict(commands())["kb ingest"]
    helps = {param.opts[0]: param.help for param in ingest.params if param.opts}
    for flag, words in {
        "--preset": "Else KB_PRESET.",
        "--model": "Else KB_MODEL.",
        "--engine": "Else KB_ENGINE.",
        "--language": "Else KB_LANGUAGE.",
        "--to": "Else KB_SINKS.",
        "--keep": "Else KB_KEEP.",
        "--chunk": "Else the preset's.",
        "--workers": "Else KB_WORKERS, or the preset's.",
    }.items():
        assert words in helps[flag], (flag, helps[flag])
    limits = OPTIONS["chunk_s"].range
    assert limits and f"From {limits.low:g} to {limits.high:g}." in helps["--chunk"]


HINTED = re.compile(r"\bkb ((?:[a-z][\w-]*)(?: [^`'\";,()→…\n]*)?)")


def hints() -> Iterator[tuple[str, str]]:
    """Yield each command that a text of the code names, with its file."""
    root = Path(__file__).resolve().parents[2]
    for folder in ("kb", "gpu"):
        for path in sorted((root / folder).rglob("*.py")):
            # A text over several lines of the source is one text.
            source = re.sub(r"\"\s*\n\s*f?\"", "", path.read_text("utf-8"))
            for found in HINTED.finditer(source):
                yield path.relative_to(root).as_posix(), found[1]


def test_hints_name_commands_and_options_that_exist() -> None:
    known = dict(commands())
    wrong, count = [], 0
    for file, text in hints():
        words = text.replace("{", " {").split()
        name = f"kb {words[0]}"
        if name not in known:
            continue  # prose, such as "kb worker of"; names of commands are tested by the documents
        if len(words) > 1 and f"{name} {words[1]}" in known:
            name = f"{name} {words[1]}"
        flags = {
            flag for param in known[name].params for flag in (*param.opts, *param.secondary_opts)
        }
        for word in words[1:]:
            flag = word.rstrip(".:").partition("=")[0]
            if word == "kb" or (word.endswith((".", ":")) and not word.startswith("-")):
                break
            if re.fullmatch(r"--[a-z][\w-]*", flag) and flag not in {*flags, "--help"}:
                wrong.append(f"{file}: kb {text}")
        count += 1
    assert count > 150
    assert not wrong


# Tables and progress


def test_a_piped_row_is_one_whole_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    title = "A title that is much longer\nthan the line of a terminal, in 漢字 too"
    Columns(
        (Column("id"), Column("title", shrinks=True), Column("n", right=True)),
        [("web:x:1", title, "7"), ("web:x:22", "short \x1b[31m", "12")],
    ).print()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split("  ")[0] == "web:x:1" and title.replace("\n", " ") in lines[1]
    assert "\x1b" not in lines[2]


def test_a_terminal_gets_whole_ids_and_short_titles() -> None:
    table = Columns(
        (Column("id"), Column("title", shrinks=True), Column("n", right=True)),
        [("file:4458e03d1fb1", "漢字 " * 30, "7"), ("file:1", "b", "12")],
    )
    lines = [line.plain for line in table.texts(40)]
    assert all(progress.Text(line).cell_len <= 40 for line in lines)
    assert lines[1].startswith("file:4458e03d1fb1  ") and "…" in lines[1]
    assert lines[1].endswith(" 7") and lines[2].endswith("12")


def test_watch_writes_a_line_for_each_change_into_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(status_table, "LOOK_S", 0.0)
    get_settings.cache_clear()
    assert not out.is_terminal
    service = Service()
    items = [MediaItem(f"web:x:{n}", "web", "https://x.example", f"Talk {n}", "") for n in (1, 2)]
    service.queue.items.submit(items, {}, lambda *_arguments: None)
    lines = status_table._changes(service, None, 10)
    assert "2 queued" in next(lines)  # what waits at first is only counted
    service.queue.pause(["web:x:1"])
    assert re.fullmatch(r"\d\d:\d\d:\d\d  web:x:1  paused  Talk 1", next(lines))
    assert "1 queued  1 paused" in next(lines)
    service.queue.cancel(["web:x:2"])
    assert "web:x:2  cancelled" in next(lines)
    service.close()


def test_long_work_without_a_terminal_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    seen, printed = threading.Event(), []
    monkeypatch.setattr(progress.err, "print", lambda text, **_: (printed.append(text), seen.set()))
    with progress.share_progress("translate", shown=False) as show:
        show(0.25)
        assert seen.wait(60)
    assert printed[-1].plain.startswith("translate  25 %  after 0 s")


def test_steps_that_are_waited_for_have_a_share_and_name_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Progress] = []
    real = Progress
    monkeypatch.setattr(
        "rich.progress.Progress", lambda *a, **k: made.append(real(*a, **k)) or made[0]
    )
    with progress.steps_progress(shown=False) as listen:
        listen({"speakers": 3, "screen": 1})
        listen({"speakers": 1})
        (task,) = made[0].tasks
    assert (task.total, task.completed) == (4.0, 3.0)


def test_spans_of_time_are_rounded_up_from_the_half() -> None:
    spans = {45: "45 s", 60: "1 min", 90: "2 min", 150: "3 min", 5400: "1 h 30 min", 172800: "2 d"}
    assert {seconds: format_span(seconds) for seconds in spans} == spans


def test_a_line_of_progress_has_the_time_left() -> None:
    now = iter([0.0, 0.0, 60.0, 120.0, 120.0, 120.0, 120.0])
    bars = Progress(disable=True, get_time=lambda: next(now, 120.0), speed_estimate_period=1e6)
    task = bars.add_task("all   2 items", total=4.0)
    for done in (1.0, 2.0):
        bars.update(task, completed=done)
    assert progress.task_line(bars.tasks[0]) == "all 2 items  50 %  after 2 min  about 2 min left"
