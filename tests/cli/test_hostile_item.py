"""One hostile item through every output: no control, formula, link or password gets out."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kb.cli.main import run
from kb.cli.output import console
from kb.library import deep_link
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.sinks.markdown_folder import FolderSink
from kb.sinks.odin.documents import make_documents
from kb.transcript import FORMATS, format_named, render, render_document
from kb.transcript.passages import passages
from kb.types import DocumentFacts, MediaItem
from kb.types.guarded_output import GuardedFormatter, GuardedStream, guarded_output
from kb.types.safe_text import (
    command_argument,
    hide_credentials,
    printable,
    printable_json,
    shown,
    web_address,
    without_unsafe_advice,
)
from kb.types.spreadsheet_cells import spreadsheet_cell
from tests.support.hostile import (
    ADDRESSES,
    CLEAR,
    CLIPBOARD,
    EVIL,
    FORMULAS,
    PASSWORD,
    TITLE_SEQUENCE,
    WITH_PASSWORD,
    hostile_item,
    hostile_transcript,
    problems,
    unpacked,
)

# The functions


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain – ünïcode 講演 👩‍🚀 שלום", "plain – ünïcode 講演 👩‍🚀 שלום"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\x7f\x00", "a\\rb\\x7f\\x00"),
        ("gpj\u202eexe", "gpjexe"),
        ("\u2066a\u2069", "a"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud83d", "\\ud83d"),
        ("a\u200db \u200f", "a\u200db \u200f"),
        ("\U000e0041b", "b"),
        # The flag of Wales
        (
            "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
            "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
        ),
    ],
)
def test_text_is_made_printable_once(text: str, safe: str) -> None:
    assert printable(text) == safe
    assert printable(printable(text)) == safe


@pytest.mark.parametrize("text", [EVIL, "\x7f\x9b\u2028\u202e\ud83d\U000e0041", "plain 👩‍🚀"])
def test_json_keeps_its_values(text: str) -> None:
    raw = json.dumps({"a": text}, ensure_ascii=False)
    assert json.loads(printable_json(raw)) == {"a": text}
    assert not [each for each in problems(printable_json(raw)) if each.startswith("raw")]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    assert spreadsheet_cell(text).startswith("'")


@pytest.mark.parametrize(
    "text", ["", "plain", "a=1", "1+1", "'=1", "– dash", "5 - 3", "ＡＢ", "..."]
)
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert spreadsheet_cell(text) == text


@pytest.mark.skipif(os.name == "nt", reason="the quotes of a POSIX shell")
@pytest.mark.parametrize(
    "text",
    [
        "https://site.example/$(touch ran)", "https://site.example/`touch ran`", "a; touch ran",
        "it's; touch ran", '"; touch ran; "', "a\ntouch ran", "a & touch ran", "*", "~", "-x y",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=7", "file:///a b/c#d", "a\x1b[2Jb", "",
    ],
)  # fmt: skip
def test_a_shell_takes_an_argument_as_it_is(text: str, tmp_path: Path) -> None:
    command = f"printf %s {command_argument(text)}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == printable(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["youtube:dQw4w9WgXcQ", "https://site.example/a", "@talks", "a.b"])
def test_a_plain_argument_needs_no_quotes(text: str) -> None:
    assert command_argument(text) == text


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_web_addresses_become_links(address: str) -> None:
    assert web_address(address) == ""
    item = replace(hostile_item(url=address), extra={})
    link = deep_link(item, 7)
    assert link == "" or link.startswith("http://127.0.0.1:8501/?tab=Library")


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://media.example/a?b=c#d", "https://media.example/a?b=c#d"),
        ("HTTP://media.example", "HTTP://media.example"),
        (" https://media.example/a ", "https://media.example/a"),
        (WITH_PASSWORD, "https://media.example/talk"),
        ("https://a:b@c:d@media.example/", "https://media.example/"),
        ("https://media.example/@ann", "https://media.example/@ann"),
        ("https://münchen.example/ü", "https://münchen.example/ü"),
    ],
)
def test_a_link_has_no_password(address: str, link: str) -> None:
    assert web_address(address) == link


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"cannot reach {WITH_PASSWORD}: no", "cannot reach https://…@media.example/talk: no"),
        ("ftp://u:p@h and HTTPS://u@h/", "ftp://…@h and HTTPS://…@h/"),
        ("mail ann@example.org, https://h/@ann", "mail ann@example.org, https://h/@ann"),
    ],
)
def test_passwords_in_addresses_are_hidden(text: str, hidden: str) -> None:
    assert hide_credentials(text) == hidden


def test_the_public_address_of_the_dashboard_is_used_in_links(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KB_PUBLIC_URL", "https://kb.example.org/talks/")
    get_settings.cache_clear()
    item = MediaItem("file:0123456789ab", "file", "file:///home/ann/talk.mp4", "Talk", "")
    link = "https://kb.example.org/talks/?tab=Library&item=file%3A0123456789ab&t=7"
    assert deep_link(item, 7) == link


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Weights only load failed. In PyTorch 2.6, set `weights_only` to `False`.",
         "Weights only load failed."),
        ("Re-running `torch.load` with `weights_only` set to `False` will likely succeed.", ""),
        ("Needs custom code. Set the option `trust_remote_code=True`. Then again.",
         "Needs custom code. Then again."),
        ("The file is damaged: 3 of 7 tensors.", "The file is damaged: 3 of 7 tensors."),
    ],
)  # fmt: skip
def test_advice_to_give_up_a_protection_is_not_handed_on(text: str, kept: str) -> None:
    assert without_unsafe_advice(text) == kept


# Exports and documents


@pytest.mark.parametrize("timestamps", ["segment", "word"])
@pytest.mark.parametrize("format", list(FORMATS))
def test_no_export_carries_it_on(format: str, timestamps: str) -> None:
    document = render_document(hostile_transcript(timestamps), format, item=hostile_item())
    text = document if isinstance(document, str) else unpacked(document)
    assert problems(text, markdown=format in ("md", "notes", "screen")) == []
    if format == "csv":
        for row in csv.DictReader(io.StringIO(text)):
            assert all(cell == spreadsheet_cell(cell) for cell in row.values()), row


@pytest.mark.parametrize("url", [WITH_PASSWORD, *ADDRESSES])
def test_no_published_document_carries_it_on(url: str, tmp_path: Path) -> None:
    item, transcript = hostile_item(url=url), hostile_transcript()
    facts = DocumentFacts(language="en", model="m")
    found = passages(transcript, item)
    (document,) = make_documents(item, found, facts).documents
    assert problems(document.content.decode(), markdown=True) == []
    assert PASSWORD not in json.dumps(document.metadata)
    address = str(document.metadata.get("url", "https://"))
    assert address.startswith(("http://", "https://"))
    FolderSink(Settings(KB_FOLDER_SINK=str(tmp_path))).publish(item, found, facts)
    (file,) = tmp_path.glob("*.md")
    front, _, body = file.read_text("utf-8").removeprefix("---\n").partition("\n---\n")
    assert problems(front) == []
    assert problems(body, markdown=True) == []
    assert problems(file.name) == []


def test_no_document_names_a_path_of_this_machine(tmp_path: Path) -> None:
    item = MediaItem(
        "file:0123456789ab", "file", "file:///home/ann/talk.mp4", "Talk", "2024-03-05",
        extra={"path": "/home/ann/talk.mp4"},
    )  # fmt: skip
    transcript = hostile_transcript()
    (document,) = make_documents(item, passages(transcript, item)).documents
    text = document.content.decode() + json.dumps(dict(document.metadata))
    text += render(transcript, "md", item=item)
    FolderSink(Settings(KB_FOLDER_SINK=str(tmp_path))).publish(item, passages(transcript, item))
    text += next(tmp_path.glob("*.md")).read_text("utf-8")
    assert "/home/ann" not in text


# The commands


@pytest.fixture
def library() -> str:
    """Make a library that holds the hostile item and one that failed with a hostile error."""
    from tests.support.library_pages import add_item

    item = hostile_item()
    return add_item(
        covered_s=20.0,
        change=lambda made: replace(
            hostile_transcript(), media=made.media, coverage=made.coverage
        ),
        source="web", url=item.url, title=item.title, channel=item.channel,
        description=item.description, tags=item.tags, chapters=item.chapters,
        language=item.language, published=item.published, extra=dict(item.extra),
    )  # fmt: skip


@pytest.mark.slow
def test_no_command_prints_it(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["status"], ["status", library], ["show", library], ["search", "harbour"], ["review"],
        ["review", library], ["vocabulary", EVIL], ["export", library, "--format", "txt"],
        ["cancel", library], ["retry", library], ["show", EVIL], ["status", "--state", EVIL],
        ["search", EVIL], ["export", library, "--format", EVIL], ["ingest", EVIL],
        ["scan", f"https://ann:{PASSWORD}@[broken/"], ["follow", "--list"],
    ]  # fmt: skip
    texts = [name for name in FORMATS if "openxml" not in format_named(name).mime_type]
    commands += [["export", library, "--format", name] for name in texts]
    for arguments in commands:
        run(arguments)
        printed = capsys.readouterr()
        assert problems(printed.out) == [], arguments
        assert problems(printed.err) == [], arguments


@pytest.mark.parametrize(
    "arguments", [["status"], ["show", "ID"], ["search", "harbour"], ["review"], ["review", "ID"]]
)
def test_json_is_safe_and_exact(
    library: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run([library if each == "ID" else each for each in arguments] + ["--json"])
    printed = capsys.readouterr().out
    assert [each for each in problems(printed) if each.startswith(("raw", "a password"))] == []
    assert TITLE_SEQUENCE in json.dumps(json.loads(printed), ensure_ascii=False).replace(
        "\\u001b", "\x1b"
    ).replace("\\u0007", "\x07")


def test_colours_of_ours_reach_a_terminal_and_sequences_of_strangers_do_not() -> None:
    target = io.StringIO()
    terminal = console.GuardedConsole(file=target, force_terminal=True, color_system="standard")
    assert isinstance(terminal, Console)
    terminal.print(console.Text(f"x{CLIPBOARD}{CLEAR}", style="bold red"))
    printed = target.getvalue()
    assert "\x1b[1;31m" in printed
    assert CLIPBOARD not in printed
    assert CLEAR not in printed
    assert "\\x1b]52" in printed


# Whatever bypasses the logger


def test_prints_and_warnings_of_libraries_are_guarded(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded_output():
        print(f"a library prints {EVIL}")
        print(f"to the error stream {EVIL} {WITH_PASSWORD}", file=sys.stderr)
        sys.stderr.writelines([EVIL, WITH_PASSWORD])
        sys.stderr.write(
            warnings.formatwarning(UserWarning(EVIL + WITH_PASSWORD), UserWarning, "x.py", 1)
        )
        handler = logging.StreamHandler()
        handler.setFormatter(GuardedFormatter("%(message)s"))
        try:
            raise ValueError(EVIL)
        except ValueError:
            record = logging.LogRecord(
                "x", logging.ERROR, "x.py", 1, "%s", (WITH_PASSWORD,), sys.exc_info()
            )
            handler.emit(record)
    printed = capsys.readouterr()
    assert problems(printed.out) == []
    assert problems(printed.err) == []
    assert printed.err.count("https://…@") == 4


def test_a_guarded_stream_is_the_stream_otherwise() -> None:
    target: Any = io.StringIO()
    stream = GuardedStream(target, shown)
    assert stream.write("a\r\nb") == 4
    stream.flush()
    assert stream.getvalue() == "a\nb"
    assert not stream.isatty()
    with guarded_output():
        inner = sys.stdout
        with guarded_output():
            assert isinstance(sys.stdout, GuardedStream)
            assert not isinstance(sys.stdout.unguarded, GuardedStream)
        assert sys.stdout is inner


# The page


@pytest.mark.parametrize(
    "text",
    ["see www.evil.example", "https://evil.example/x", "HTTP://EVIL.example", "ann@evil.example"],
)
def test_bare_addresses_in_titles_become_no_links(text: str) -> None:
    from markdown_it import MarkdownIt

    from kb.ui.widgets import messages

    escaped = messages.escape_markdown(text)
    (inline,) = [t for t in MarkdownIt("commonmark").parse(escaped) if t.type == "inline"]
    words = "".join(child.content for child in inline.children or ())
    assert words.replace("\u2060", "") == text
    for start in ("www.", "://", "@"):
        assert f"{start}evil" not in words.lower() or "\u2060" in words
    assert not any(child.type == "link_open" for child in inline.children or ())


def test_tables_of_the_page_hold_no_formula_and_no_foreign_link(library: str) -> None:
    from tests.support.library_pages import page, rows_of

    assert "=" in Service().items.entry(library).item.channel
    app = page(tab="Library")
    assert rows_of(app)  # a list of our own: every cell is a text of the page, never markup
    assert not app.dataframe
    for element in (*app.markdown, *app.caption, *app.error, *app.warning):
        assert problems(element.value) == []


def test_no_table_of_the_page_offers_a_download() -> None:
    """Streamlit's tables are downloaded as CSV: there, a cell could be a formula."""
    folder = Path(console.__file__).parents[2] / "ui"
    uses = [
        path.name for path in folder.rglob("*.py") if "st.dataframe(" in path.read_text("utf-8")
    ]
    assert uses == []
