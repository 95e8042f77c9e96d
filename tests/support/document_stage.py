"""What the commands of the documents act on: recordings, a library, and services on loopback.

`@channel` is a channel of spoken talks, ODIN, the language model and YouTube are the fakes of the
tests. Items: a talk with a stretch that the bundled recognizer does not understand, and a
conversation of three people with its subtitles.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg
import psutil

from tests.fakes import odin as odin_fake
from tests.fakes import translator
from tests.fakes.chat import KEY, Asked, ChatServer
from tests.fakes.odin import FakeOdin
from tests.support.app_server import free_port
from tests.support.channel import Site
from tests.support.processes import end_processes_of

ROOT = Path(__file__).resolve().parents[2]
TALK = ("Midnight on the railway", "The harbour in winter")
CONVERSATION = ROOT / "samples-conversation" / "The keepers of the lighthouse.mp4"
COPIES_OF_TALK = ("one.mp4", "interview.mp4", "lecture.mp4", "talk-reupload.mp4")
_LINE = re.compile(r"^\[(\d+)\??\] (.*)$", re.MULTILINE)
_SUBTITLE = "1\n00:00:01,000 --> 00:00:04,000\n{}\n\n2\n00:01:05,000 --> 00:01:12,000\n{}\n"
LIMIT_S = 900


@dataclass(frozen=True)
class Ran:
    """What a command did. A server that was ended by the check has the code 0."""

    code: int
    said: str


class Stage:
    """The folder in which commands run; it ends all that they started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.other_disk = folder / "other-disk"
        self.ids: dict[str, str] = {}
        self._open = ExitStack()
        (folder / "site").mkdir(parents=True)
        self.site = Site(folder / "site", 3)
        self.site.channel.handle = "@channel"
        self.odin = FakeOdin(folder / "odin")
        self.model = ChatServer(answer)

    def __enter__(self) -> Stage:
        for service in (self.site, self.odin, self.model):
            self._open.enter_context(service)
        self._write_files()
        self.environment = self._settings()
        for each in ("talk.mp4", "panel.mp4"):
            done = self.run(["ingest", each, "--wait"])
            assert done.code in (0, 1), done.said
        listed = subprocess.run(
            self.command(["status", "--all", "--json"]), cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.ids = {each["title"]: each["id"] for each in json.loads(listed.stdout)["items"]}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end_processes_of(Path(self.environment["KB_HOME"]))
        self._open.close()

    def _write_files(self) -> None:
        shutil.copytree(ROOT / "samples", self.folder / "samples")
        shutil.copy(CONVERSATION, self.folder / "panel.mp4")
        subtitles = CONVERSATION.with_suffix(".en.srt")
        shutil.copy(subtitles, self.folder / "panel.en.srt")
        _join(self.folder / "talk.mp4")
        for name in COPIES_OF_TALK:
            shutil.copy(self.folder / "talk.mp4", self.folder / name)
        for name in ("Recordings", "interviews", "talks"):
            (self.folder / name).mkdir()
            shutil.copy(ROOT / "samples" / f"{TALK[1]}.mp4", self.folder / name / f"{name}.mp4")
        (self.folder / "reports").mkdir()
        for name in ("notes.txt", "reports/report.md"):
            (self.folder / name).write_text("The ferry leaves at noon.\n", encoding="utf-8")
        for name, words in (("talk.srt", "The ferry leaves."), ("talk.de.srt", "Die Fähre fährt.")):
            (self.folder / "given").mkdir(exist_ok=True)
            text = _SUBTITLE.format(words, words)
            (self.folder / "given" / name).write_text(text, encoding="utf-8")
        _ffmpeg("-i", str(self.folder / "talk.mp4"), "-frames:v", "1",
                str(self.folder / "still.png"))  # fmt: skip
        self.other_disk.mkdir()

    def _settings(self) -> dict[str, str]:
        # Without compiled files each command would compile the program again.
        own = ("KB_", "ODIN_", "YT_", "API_", "STREAMLIT_", "PYTHONDONTWRITEBYTECODE")
        site = self.site.lab(self.folder / "lab")
        given = {name: value for name, value in site.values.items() if name.startswith("YT_")}
        site.service.close()
        (self.folder / "none.env").write_text("", encoding="utf-8")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(own)},
            **given,
            "HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"),
            "KB_HOME": str(self.folder / "library"), "KB_MODEL": "demo", "KB_STEPS": "none",
            "KB_ENV_FILE": str(self.folder / "none.env"), "PYTHONPATH": str(ROOT),
            "KB_DOWNLOAD_PAUSE_S": "0", "KB_DOWNLOAD_PAUSE_MAX_S": "0", "KB_TRANSLATE_INTO": "de",
            "KB_LLM_URL": self.model.url, "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
            "KB_SINKS": "local", "API_KEY": odin_fake.KEY, "API_SECRET": odin_fake.SECRET,
            "ODIN_PROJECT_ID": odin_fake.PROJECT, "ODIN_BASE_URL": self.odin.url,
            "ODIN_POLL_S": "0.05", "ODIN_SETTLE_S": "0.05", "ODIN_RATE": "0",
            "STREAMLIT_SERVER_PORT": str(free_port()), "PORT": str(free_port()),
            "BROWSER": "true", "COLUMNS": "200", "HF_HUB_OFFLINE": "1",
        }  # fmt: skip

    def words(self, arguments: Sequence[str], title: str = "talk") -> list[str]:
        """Return the arguments with what the documents leave to the reader; files by a pattern."""
        found: list[str] = []
        for word in arguments:
            word = word.replace("/mnt/other-disk", str(self.other_disk))
            word = re.sub(r"^(~|/media)/", f"{self.folder}/", word)
            word = re.sub(r"^ID$", self.ids.get(title, "ID"), re.sub(r"\bCHANNEL\b", "local", word))
            if word == "URL":
                word = f"https://www.youtube.com/watch?v={self.site.channel.video_id(0)}"
            if word == "FILE":
                word = str(
                    max(self.other_disk.glob("*.zip"), key=lambda path: path.stat().st_mtime)
                )
            if re.match(r"STEM .*\.zip$", word):
                word = "*" + word.removeprefix("STEM")
            if re.fullmatch(r"talk(\.de)?\.srt", word):
                word = f"given/{word}"
            by_pattern = sorted(self.folder.glob(word)) if "*" in word else []
            found += [str(path.relative_to(self.folder)) for path in by_pattern] or [word]
        return found

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "kb", *arguments]

    def run(self, arguments: Sequence[str]) -> Ran:
        """Run the program to its end."""
        with (self.folder / "talk.mp4").open("rb") as given:
            try:
                ended = subprocess.run(
                    self.command(arguments), cwd=self.folder, env=self.environment, stdin=given,
                    text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                    timeout=LIMIT_S, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return Ran(-1, f"not ended after {LIMIT_S} s")
        return Ran(ended.returncode, ended.stdout)

    def serve(self, arguments: Sequence[str], sign: str) -> Ran:
        """Run a server until it says what it should; end it as its user would."""
        log = self.folder / "server.log"
        with log.open("wb") as written:
            server = subprocess.Popen(
                self.command(arguments), cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=written, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            until = time.monotonic() + LIMIT_S
            while time.monotonic() < until:
                said = log.read_text(encoding="utf-8", errors="replace")
                if re.search(sign, said):
                    return Ran(0, said)
                if server.poll() is not None:
                    return Ran(server.returncode or -1, said)
                time.sleep(0.1)
            return Ran(-1, f"did not say {sign!r} in {LIMIT_S} s: {said}")
        finally:
            for process in [*psutil.Process(server.pid).children(recursive=True), server]:
                if process.is_running() if isinstance(process, psutil.Process) else True:
                    process.terminate()
            server.wait(LIMIT_S)


def answer(asked: Asked) -> str:
    """Answer what the program asks a language model: lines to translate, notes, questions."""
    text = asked.text
    if text.startswith("Question:"):
        return json.dumps({"found": False, "sentences": []})
    if "translat" in json.dumps(asked.body).lower():
        return translator.translator()(asked)
    if "Statements:" in text:
        numbers = [int(n) for n in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
        points = [{"text": f"Statement {number}.", "points": [number]} for number in numbers]
        return json.dumps({"short": points[:1], "medium": points[:3], "long": points[:6]})
    lines = [(int(number), words) for number, words in _LINE.findall(text)]
    points = [
        {"claim": said, "quote": said, "segment": number, "weight": 1} for number, said in lines
    ]
    topics = [{"title": said[:20], "segment": number} for number, said in lines]
    terms = [
        {"term": said.split()[0], "kind": "place", "segment": number} for number, said in lines[:3]
    ]
    return json.dumps({"points": points, "topics": topics, "terms": terms, "questions": []})


def _join(target: Path) -> None:
    """Write a talk of two samples, with some seconds of voices between that are not understood."""
    first, last = (str(ROOT / "samples" / f"{title}.mp4") for title in TALK)
    picture = "scale=320:180,setsar=1,fps=10"
    sound = "aresample=16000,aformat=channel_layouts=mono"
    chains = [f"[{n}:v]{picture}[v{n}];[{n}:a]{sound}[a{n}]" for n in range(3)]
    joined = ";".join(chains) + ";[v0][a0][v1][a1][v2][a2]concat=n=3:v=1:a=1[v][a]"
    _ffmpeg("-i", first, "-t", "8", "-i", str(CONVERSATION), "-i", last,
            "-filter_complex", joined, "-map", "[v]", "-map", "[a]",
            "-metadata", "artist=Bay Talks", str(target))  # fmt: skip


def _ffmpeg(*arguments: str) -> None:
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments], check=True
    )
