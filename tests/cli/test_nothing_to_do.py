"""The reason that `kb ingest` gives when nothing was queued."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.cli import run
from kb.settings import get_settings
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import fake_key


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "KB_HOME": str(tmp_path / "home"),
        "KB_MODEL": "demo",
        "KB_PRESET": "stabil",
        "YT_API_KEYS": fake_key("a"),
        "YT_API_KEYS_FILE": str(tmp_path / "none.txt"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


CASES = {
    "title": (["--title", "no such words"], "none of the 6 listed media passes the filters"),
    "no shorts": (["--no-shorts", "--max-duration", "30s"], "none of the 6 listed media"),
    "after": (["--after", "2027"], "none of the 6 listed media passes the filters"),
    "duration": (["--min-duration", "20h"], "none of the 6 listed media passes the filters"),
    "new and title": (["--new", "--title", "no such words"], "none of the 6 listed media"),
}


@pytest.mark.parametrize(("arguments", "words"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("wait", [True, False])
def test_filters_that_nothing_passes_are_named(
    settings: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
    wait: bool,
) -> None:
    channel = Channel(f"UC{'t' * 22}", "@talks", 6, shorts=frozenset(range(6)))
    with FakeYouTube([channel], {fake_key("a"): 1000}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        get_settings.cache_clear()
        code = run(["ingest", "@talks", *arguments, *(["--wait"] if wait else [])])
    printed = "".join(capfd.readouterr())
    assert code == 0
    assert words in " ".join(printed.split()), printed
    assert "already in the library" not in printed


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        (Channel(f"UC{'t' * 22}", "@talks", 0), "nothing is listed there"),
        (
            Channel(f"UC{'t' * 22}", "@talks", 2, private=frozenset({0, 1})),
            "private or removed",
        ),
    ],
)
def test_a_channel_without_media_is_named(
    settings: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    channel: Channel,
    words: str,
) -> None:
    with FakeYouTube([channel], {fake_key("a"): 1000}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        get_settings.cache_clear()
        assert run(["ingest", "@talks"]) == 0
        printed = "".join(capfd.readouterr())
    assert words in " ".join(printed.split()), printed


def test_what_is_known_is_named_as_that(
    settings: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    channel = Channel(f"UC{'t' * 22}", "@talks", 3)
    with FakeYouTube([channel], {fake_key("a"): 1000}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        get_settings.cache_clear()
        assert run(["ingest", "@talks"]) == 0
        capfd.readouterr()
        assert run(["ingest", "@talks", "--new"]) == 0
        printed = " ".join("".join(capfd.readouterr()).split())
        assert "everything is already in the library" in printed, printed
        assert run(["ingest", "@talks", "--new", "--title", "Talk 0"]) == 0
        printed = " ".join("".join(capfd.readouterr()).split())
    assert "everything that passes the filters is already in the library" in printed, printed
