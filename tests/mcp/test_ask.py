"""The tool `ask`: the knowledge base's answer with sources that fetch can read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from kb.library import Library
from kb.mcp.server import make_server
from kb.pipeline import stages
from kb.service import Service
from kb.settings import Settings
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from tests.fakes.odin import FakeOdin

ID = "youtube:aaaaaaaaaaa"
TEXT = "the lantern burns before midnight"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeOdin, Settings]]:
    """Run a fake ODIN with one published item."""
    folder = tmp_path_factory.mktemp("asked")
    with FakeOdin(folder / "odin") as odin:
        settings = Settings.model_validate(
            {**odin.settings(), "KB_HOME": str(folder / "home"), "home": folder / "home"}
        )
        service = Service(settings)
        item = MediaItem(
            id=ID, source="youtube", url=f"https://youtu.be/{ID[-11:]}", title="A\u202etalk",
            published="2026-03-04",
        )  # fmt: skip
        spoken = tuple(Word(float(n), n + 0.8, word, 0.9) for n, word in enumerate(TEXT.split()))
        transcript = Transcript(
            MediaRef("talk.m4a", "00" * 32, 4.8), (Segment(0.0, 4.8, TEXT, spoken),), "en",
            "whisper", "demo", "optimiert", Coverage(4.8, 4.8), Timing(media_s=4.8),
        )  # fmt: skip
        service.library.prepare()
        stages.write(service.library, item, transcript, 0.95)
        service.publisher.publish_one("odin", ID)
        service.close()
        assert Library(settings.home).find(ID)
        yield odin, settings


def call(settings: Settings, tool: str, **arguments: Any) -> tuple[set[str], dict[str, Any]]:
    """Return the names of the tools and the answer of one; an error's text as `error`."""

    async def ask() -> tuple[set[str], dict[str, Any]]:
        async with Client(make_server(settings)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            result = await client.call_tool(tool, arguments)
        if result.is_error:
            return names, {"error": result.content[0].text}  # type: ignore[union-attr]
        return names, result.structured_content or {}

    return asyncio.run(ask())


def test_an_answer_names_sources_that_fetch_reads(asked: tuple[FakeOdin, Settings]) -> None:
    _, settings = asked
    names, answer = call(settings, "ask", question="who burns the lantern")
    assert "ask" in names and answer["answer"] == "They say so."
    source = next(each for each in answer["sources"] if each["id"])
    assert source["id"] == f"{ID}#0" and source["url"].startswith("https://youtu.be/aaaaaaaaaaa")
    assert "\u202e" not in source["title"] and source["doubtful"] == ""
    _, near = call(settings, "fetch", id=source["id"])
    assert "lantern" in near["text"]


def test_bad_questions_and_refused_keys_are_errors(
    asked: tuple[FakeOdin, Settings], tmp_path: Path
) -> None:
    _, settings = asked
    assert "empty" in call(settings, "ask", question="  ")[1]["error"]
    wrong = Settings.model_validate(
        {**settings.model_dump(), "odin_api_secret": "wrong-secret-PROBE"}
    )
    error = call(wrong, "ask", question="who burns the lantern")[1]["error"]
    assert "wrong-secret-PROBE" not in error and error


def test_without_credentials_there_is_no_such_tool(asked: tuple[FakeOdin, Settings]) -> None:
    _, settings = asked
    closed = Settings.model_validate({**settings.model_dump(), "odin_api_key": ""})
    names, answer = call(closed, "ask", question="who")
    assert "ask" not in names and "ask" in answer["error"]
