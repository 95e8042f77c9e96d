"""CONTRIBUTING's recipes: each is carried out in a copy of the code, and used as a user would.

Each test asserts the list of places: the files that a newcomer writes or changes, and an engine's
folder. Tests, documents and generated files are no places.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kb.settings import PROJECT_ROOT
from tests.support import new_engine
from tests.support.workers import write_talks

pytestmark = pytest.mark.slow


class Copy:
    """A copy of the code, the library that it works on, and the places changed so far."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.root = folder / "code"
        self.home = home
        self.places: list[str] = []
        for name in ("kb", "gpu"):
            shutil.copytree(PROJECT_ROOT / name, self.root / name)
        for name in ("presets.yaml", "streamlit_app.py"):
            shutil.copy2(PROJECT_ROOT / name, self.root / name)
        (self.root / "models").symlink_to(PROJECT_ROOT / "models")

    def add(self, path: str, text: str) -> None:
        """Write a new file."""
        file = self.root / path
        assert not file.exists()
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self._touch(path)

    def insert(self, path: str, after: str, line: str) -> None:
        """Put text after the first line that holds `after`."""
        file = self.root / path
        lines = file.read_text(encoding="utf-8").splitlines()
        (place, *_) = [number for number, each in enumerate(lines) if after in each]
        lines.insert(place + 1, line)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._touch(path)

    def append(self, path: str, text: str) -> None:
        """Put text at the end of a file."""
        file = self.root / path
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
        self._touch(path)

    def _touch(self, path: str) -> None:
        if path not in self.places:
            self.places.append(path)

    def kb(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run `kb` of the copy; return what it printed on both streams."""
        return self._run("-m", "kb.cli", *arguments, code=code, **environment)

    def python(self, program: str, **environment: str) -> Any:
        """Run a program with the copy's code; return the JSON value that it printed last."""
        return json.loads(self._run("-c", program, **environment).splitlines()[-1])

    def _run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        values = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "KB_HOME": str(self.home),
            "KB_MODEL": "demo",
            "KB_HOLD_BELOW": "0",
            "COLUMNS": "200",
            **environment,
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root, env=values, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if not code else done.stdout + done.stderr

    def items(self) -> list[dict[str, Any]]:
        """Return `kb status --json` of every item."""
        found: list[dict[str, Any]] = json.loads(self.kb("status", "--json"))["items"]
        return found


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = write_talks(tmp_path_factory.mktemp("talk"), 1, words=6)
    return path


@pytest.fixture(scope="module")
def library(talk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with one item that is done, made by the code as it is."""
    folder = tmp_path_factory.mktemp("library")
    made = Copy(folder, folder / "home")
    made.kb("ingest", str(talk), "--wait", KB_CPU_THREADS="1")
    return made.home


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy of the code with an empty library."""
    return Copy(tmp_path, tmp_path / "home")


@pytest.fixture
def filled(copy: Copy, library: Path) -> Copy:
    """A copy of the code and of the library with one item."""
    shutil.copytree(library, copy.home)
    return copy


def test_an_export_format(filled: Copy) -> None:
    filled.add(
        "kb/transcript/formats/shout.py",
        '"""Capitals: the words alone, in one line."""\n\n'
        "from kb.types import MediaItem, Transcript\n\n\n"
        "def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:\n"
        '    return " ".join(segment.text for segment in transcript.segments).upper() + "\\n"\n',
    )
    filled.insert(
        "kb/transcript/__init__.py",
        '"vtt": "kb.transcript',
        '    "shout": "kb.transcript.formats.shout:render",',
    )
    assert filled.places == ["kb/transcript/formats/shout.py", "kb/transcript/__init__.py"]
    for command in ("export", "transcribe"):
        assert "shout" in filled.kb(command, "--help")
    (item,) = filled.items()
    said = filled.kb("export", item["id"], "--format", "shout")
    assert said.strip() and said == said.upper()
    assert "shout" in filled.kb("export", item["id"], "--format", "nonsense", code=2)


SOURCE = '''"""The source of tapes: `tape:PATH`."""

import hashlib
from pathlib import Path

from kb.sources.base import FetchResult, Filters, no_progress
from kb.types import MediaItem


class TapeSource:
    name = "tape"

    def __init__(self, **_kwargs):
        pass

    def accepts(self, reference):
        return reference.startswith("tape:")

    def items(self, reference, filters=Filters()):
        path = reference.removeprefix("tape:")
        item = MediaItem("tape:0001", "tape", "http://localhost/tape/1", "A tape", "2024-05-06",
                         extra={"path": path})
        return (each for each in [item] if filters.keep(each))

    def fetch(self, item, folder, progress=no_progress):
        data = Path(item.extra["path"]).read_bytes()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tape.wav"
        path.write_bytes(data)
        return FetchResult(item, path, hashlib.sha256(data).hexdigest(), temporary=True)
'''


def test_a_source(copy: Copy, talk: Path) -> None:
    copy.add("kb/sources/tapes.py", SOURCE)
    copy.insert(
        "kb/sources/__init__.py",
        '"youtube": "kb.sources',
        '    "tape": "kb.sources.tapes:TapeSource",',
    )
    assert copy.places == ["kb/sources/tapes.py", "kb/sources/__init__.py"]
    assert "A tape" in copy.kb("scan", f"tape:{talk}")
    copy.kb("ingest", f"tape:{talk}", "--wait", "--to", "local")
    (item,) = copy.items()
    assert (item["id"], item["state"]) == ("tape:0001", "done")
    exported = copy.kb("export", "tape:0001", "--format", "md")
    assert "http://localhost/tape/1#t=0" in exported


SINK = '''"""The sink for a ledger: one line of JSON an item."""

import json
from pathlib import Path

from kb.sinks.base import content_sha256
from kb.types import Published


class LedgerSink:
    name = "ledger"
    is_local = False

    def __init__(self, settings):
        self.path = Path(settings.ledger)

    def _read(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def publish(self, item, passages, facts=None, extra_metadata=None):
        sha256 = content_sha256(passages)
        self.path.write_text(json.dumps({**self._read(), item.id: sha256}))
        return Published(self.name, item.id, sha256, "synced")

    def status(self, item_id):
        known = self._read()
        state = "synced" if item_id in known else "missing"
        return Published(self.name, item_id, known.get(item_id, ""), state)

    def list(self):
        return (self.status(item_id) for item_id in sorted(self._read()))

    def delete(self, item_id):
        self.path.write_text(json.dumps({k: v for k, v in self._read().items() if k != item_id}))
'''


def test_a_knowledge_base(filled: Copy, tmp_path: Path) -> None:
    filled.add("kb/sinks/ledger.py", SINK)
    filled.insert(
        "kb/sinks/__init__.py", '"odin": "kb.sinks', '    "ledger": "kb.sinks.ledger:LedgerSink",'
    )
    filled.append(
        "kb/settings/library.py",
        '    ledger: str = Field("", alias="KB_LEDGER", description="File of the ledger.")\n',
    )
    assert filled.places == [
        "kb/sinks/ledger.py", "kb/sinks/__init__.py", "kb/settings/library.py",
    ]  # fmt: skip
    (item,) = filled.items()
    ledger = tmp_path / "ledger.json"
    filled.kb("publish", item["id"], "--to", "ledger", KB_LEDGER=str(ledger))
    assert list(json.loads(ledger.read_text())) == [item["id"]]
    assert "ledger" in filled.python(
        "import json; from kb.service.option_suggestions import option_suggestions\n"
        "print(json.dumps(option_suggestions('sinks')))"
    )


def test_a_recognizer_engine(copy: Copy, talk: Path) -> None:
    folder = "kb/asr/engines/echo"
    copy.add(f"{folder}/__init__.py", "")
    copy.add(f"{folder}/engine.py", new_engine.ENGINE)
    spec = new_engine.SPEC.replace('"PACKAGE"', '""')
    copy.add(f"{folder}/spec.py", spec.replace("echo_engine", "kb.asr.engines.echo"))
    copy.insert(
        "kb/asr/engines/__init__.py",
        '"qwen3-asr": "kb.asr',
        '    "echo": "kb.asr.engines.echo.spec:SPEC",',
    )
    # The folder and the line.
    assert {place.removeprefix(f"{folder}/") for place in copy.places} == {
        "__init__.py", "engine.py", "spec.py", "kb/asr/engines/__init__.py",
    }  # fmt: skip
    listed = json.loads(copy.kb("models", "--json"))
    rows = listed["models"] if isinstance(listed, dict) else listed
    assert {row["engine"] for row in rows if row["name"] == "echo-large"} == {"echo"}
    heard = copy.kb("transcribe", str(talk), "--engine", "echo", "--model", "echo-large")
    assert "echo" in heard


def test_a_preset(copy: Copy, talk: Path) -> None:
    copy.append(
        "presets.yaml",
        "\ncareful:\n  label: CAREFUL\n  batch_size: 3\n  chunk_s: 25\n  overlap_s: 1\n"
        "  workers: 1\n  timestamps: word\n  vram_budget_gb: 8\n",
    )
    assert copy.places == ["presets.yaml"]
    assert '"careful"' in copy.kb("presets", "--json")
    assert copy.kb("transcribe", str(talk), "--preset", "careful").startswith("[00:0")


def test_a_setting(filled: Copy) -> None:
    filled.append(
        "kb/settings/recognition.py",
        '    signature: str = Field("", alias="KB_SIGNATURE", description="Last line.")\n',
    )
    filled.append(
        "kb/transcript/formats/plain_text.py",
        "\n\n_render = render\n\n\n"
        "def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:\n"
        "    from kb.settings import get_settings\n\n"
        '    return _render(transcript, item=item) + get_settings().signature + "\\n"\n',
    )
    assert filled.places == ["kb/settings/recognition.py", "kb/transcript/formats/plain_text.py"]
    (item,) = filled.items()
    text = filled.kb("export", item["id"], "--format", "txt", KB_SIGNATURE="the end")
    assert text.endswith("the end\n")
    example, groups = filled.python(
        "import json; from kb.settings import example_lines\n"
        "from kb.ui.tabs.settings.defaults import grouped\n"
        "print(json.dumps([list(example_lines()), grouped()]))"
    )
    assert "KB_SIGNATURE=" in example and "# Last line." in example
    assert "signature" in groups["recognition"]


def test_an_option_of_a_run(copy: Copy, talk: Path) -> None:
    """`tests/test_options.py` looks at the field of the form."""
    copy.insert(
        "kb/options.py",
        "keep: Keep | None = option(",
        '    remark: str | None = option(None, help="A remark.", library_only=True)',
    )
    copy.insert(
        "kb/jobs/worker/item_steps.py",
        "context.library.amend(self._id, decision.metadata())",
        '            context.library.amend(self._id, {"remark": options.remark})',
    )
    for label, place in (("Remark", "EN: dict"), ("Bemerkung", "DE: dict")):
        copy.insert("kb/ui/i18n/ingest.py", place, f'    "option_remark": "{label}",')
    assert copy.places == [
        "kb/options.py", "kb/jobs/worker/item_steps.py", "kb/ui/i18n/ingest.py",
    ]  # fmt: skip
    assert "--remark" in copy.kb("ingest", "--help")
    copy.kb("ingest", str(talk), "--wait", "--remark", "from the archive")
    stored = copy.python(
        "import json; from kb.service import Service\n"
        "service = Service()\n"
        "(row,) = service.queue.rows([each.id for each in service.items.statuses()])\n"
        "print(json.dumps(row.options))"
    )
    assert stored["remark"] == "from the archive"
    written = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (copy.home / "media").glob("*.json")
    ]
    assert "from the archive" in json.dumps(written)


def test_a_command(filled: Copy) -> None:
    filled.append(
        "kb/cli/commands/review.py",
        "\n\ndef words() -> None:\n"
        '    """The number of words in the library."""\n'
        "    console.out.print(Service().items.words())\n",
    )
    filled.insert(
        "kb/cli/commands/review.py", "    for command in (", "        app.command()(words)"
    )
    filled.insert(
        "kb/service/items.py",
        "    # As text",
        "\n    def words(self) -> int:\n"
        "        ids = [entry.item.id for entry in self.library.entries()]\n"
        "        return sum(len(s.words) for id in ids for s in self.transcript(id).segments)\n",
    )
    assert filled.places == ["kb/cli/commands/review.py", "kb/service/items.py"]
    assert "words" in filled.kb("--help")
    assert int(filled.kb("words")) > 0
