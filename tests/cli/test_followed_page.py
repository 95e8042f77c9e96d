"""Every command of the page about followed channels runs as it is written there."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.service import Service
from kb.settings import PROJECT_ROOT, Settings
from tests.fakes.living_channel import LivingChannel, LivingMedia, LivingYouTube, State, World
from tests.support.commands import run_command
from tests.support.inline_worker import InlineWorker
from tests.support.keys import fake_key

pytestmark = pytest.mark.slow

PAGE = (PROJECT_ROOT / "docs" / "followed-channels.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
WORDS = {  # in the output of a command, by its beginning
    "kb status": "1 followed",
    "kb follow --list": "@channel",
    "kb follow --history": "succeeded",
    "kb digest": "1 followed",
    "kb dismiss": "youtube:",
    "kb retry": "youtube:",
    "kb remove": "Harbour",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], str, str]]:
    """Return the environment of a library that follows a channel, a failed item and a done one."""
    folder, now = tmp_path_factory.mktemp("followed"), time.time()
    world = World(time.time)
    channel = world.add(LivingChannel(f"UC{'c' * 22}", "@channel"))
    done = channel.upload(now - 86_400, title="Harbour in the morning")
    failed = channel.upload(now - 86_000, title="Harbour for members", state=State.MEMBERS)
    key = fake_key("a")
    with LivingYouTube(world, {key: 1000}) as api, LivingMedia(world) as site:
        values = {
            "KB_HOME": str(folder / "home"),
            "YT_API_ENDPOINT": api.url,
            "YT_FEED_URL": f"{api.url}feeds/videos.xml?channel_id={{id}}",
            "YT_WATCH_URL": site.watch_url,
            "YT_API_KEYS": key,
            "YT_API_KEYS_FILE": str(folder / "none.txt"),
            "KB_DOWNLOAD_PAUSE_S": "0",
            "KB_DOWNLOAD_PAUSE_MAX_S": "0",
            "KB_SINKS": "",
            "KB_HOLD_BELOW": "0",
            "KB_MODEL": "demo",
            "COLUMNS": "200",
        }
        settings = Settings.model_validate(values)
        service = Service(settings)
        service.subscriptions.follow("@channel", every_s=3600.0)
        worker = InlineWorker(settings)
        worker.work()
        worker.close()
        service.close()
        yield values, f"youtube:{failed}", f"youtube:{done}"


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 14 and all(line.startswith("kb ") for line in COMMANDS)


def test_each_command_runs_as_written(
    library: tuple[dict[str, str], str, str], tmp_path: Path
) -> None:
    environment, failed, done = library
    for line in COMMANDS:
        name = line.split()[1]
        words = line.replace("ID", done if name == "remove" else failed)
        ended = run_command(shlex.split(words)[1:], environment, tmp_path)
        assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
        for beginning, expected in WORDS.items():
            if line.startswith(beginning):
                assert expected in ended.stdout + ended.stderr, (line, ended.stdout, ended.stderr)
