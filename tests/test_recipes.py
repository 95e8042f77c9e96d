"""CONTRIBUTING's recipes: each is carried out in a copy of the code, and used as a user would.

Each test asserts the list of places: the files that a newcomer writes or changes, and the folders
of an engine and of a tab. Tests, documents and generated files are no places.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.support import new_engine
from tests.support.code_copy import PAGE, Copy
from tests.support.processes import processes_of
from tests.support.waiting import until
from tests.support.workers import write_talks

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = write_talks(tmp_path_factory.mktemp("talk"), 1, words=6)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code as it is, in a folder of its own."""
    root = tmp_path_factory.mktemp("base") / "code"
    for name in ("kb", "gpu"):
        shutil.copytree(PROJECT_ROOT / name, root / name)
    for name in ("presets.yaml", "models.yaml", "streamlit_app.py"):
        shutil.copy2(PROJECT_ROOT / name, root / name)
    (root / "models").symlink_to(PROJECT_ROOT / "models")
    return root


@pytest.fixture(scope="module")
def library(base: Path, talk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with one item that is done, made by the code as it is."""
    folder = tmp_path_factory.mktemp("library")
    made = Copy(base, folder, folder / "home")
    made.kb("ingest", str(talk), "--wait", KB_CPU_THREADS="1")
    until(lambda: not processes_of(made.home), "the end of its worker")  # before it is copied
    return made.home


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Copy:
    """A copy of the code with an empty library."""
    return Copy(base, tmp_path, tmp_path / "home")


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
    *helps, said = filled.kb_each(
        ["export", "--help"], ["transcribe", "--help"],
        ["export", filled.item_id, "--format", "shout"],
    )  # fmt: skip
    assert all("shout" in each for each in helps)
    assert said.strip() and said == said.upper()
    assert "shout" in filled.kb("export", filled.item_id, "--format", "nonsense", code=2)


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
    scanned, _, status, exported = copy.kb_each(
        ["scan", f"tape:{talk}"],
        ["ingest", f"tape:{talk}", "--wait", "--to", "local"],
        ["status", "--json"],
        ["export", "tape:0001", "--format", "md"],
    )
    assert "A tape" in scanned
    (item,) = json.loads(status)["items"]
    assert (item["id"], item["state"]) == ("tape:0001", "done")
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
    ledger = tmp_path / "ledger.json"
    filled.kb("publish", filled.item_id, "--to", "ledger", KB_LEDGER=str(ledger))
    assert list(json.loads(ledger.read_text())) == [filled.item_id]
    assert "ledger" in filled.python(
        "import json; from kb.service.option_suggestions import option_suggestions\n"
        "print(json.dumps(option_suggestions('sinks')))"
    )


def test_a_recognizer_engine(copy: Copy, talk: Path) -> None:
    folder = "kb/asr/engines/echo"
    spec = new_engine.SPEC.replace('"PACKAGE"', '""')
    copy.add_folder(
        folder,
        {
            "__init__.py": "",
            "engine.py": new_engine.ENGINE,
            "spec.py": spec.replace("echo_engine", "kb.asr.engines.echo"),
        },
    )
    copy.insert(
        "kb/asr/engines/__init__.py",
        '"qwen3-asr": "kb.asr',
        '    "echo": "kb.asr.engines.echo.spec:SPEC",',
    )
    assert copy.places == [folder, "kb/asr/engines/__init__.py"]
    models, heard = copy.kb_each(
        ["models", "--json"],
        ["transcribe", str(talk), "--engine", "echo", "--model", "echo-large"],
    )
    listed = json.loads(models)
    rows = listed["models"] if isinstance(listed, dict) else listed
    assert {row["engine"] for row in rows if row["name"] == "echo-large"} == {"echo"}
    assert "echo" in heard


STEP = '''"""A step that counts the bytes of the medium."""

from kb.enrich.base import Step


class Bytes(Step):
    name = "bytes"
    model = "bytes 1"

    def missing(self):
        return None

    def run(self, given, progress):
        progress(0.5)
        return {"bytes": given.medium.stat().st_size}
'''


def test_a_step_after_the_words(filled: Copy, talk: Path) -> None:
    filled.add("kb/enrich/bytes.py", STEP)
    filled.insert("kb/enrich/__init__.py", "STEPS: dict", '    "bytes": "kb.enrich.bytes:Bytes",')
    assert filled.places == ["kb/enrich/bytes.py", "kb/enrich/__init__.py"]
    filled.kb("enrich", "--all", "--steps", "bytes", "--wait", KB_CPU_THREADS="1")
    (found,) = filled.home.glob("extras/*/bytes.json")
    document = json.loads(found.read_text("utf-8"))
    assert document["bytes"] == talk.stat().st_size
    (status,) = json.loads(filled.kb_each(["status", "--json"])[0])["items"]
    assert [(step["step"], step["status"]) for step in status["steps"]] == [("bytes", "done")]


def test_a_preset(copy: Copy, talk: Path) -> None:
    copy.append(
        "presets.yaml",
        "\ncareful:\n  label: CAREFUL\n  batch_size: 3\n  chunk_s: 25\n  overlap_s: 1\n"
        "  workers: 1\n  timestamps: word\n  vram_budget_gb: 8\n",
    )
    assert copy.places == ["presets.yaml"]
    presets, said = copy.kb_each(
        ["presets", "--json"], ["transcribe", str(talk), "--preset", "careful"]
    )
    assert '"careful"' in presets
    assert said.startswith("[00:0")


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
    text = filled.kb("export", filled.item_id, "--format", "txt", KB_SIGNATURE="the end")
    assert text.endswith("the end\n")
    example, groups = filled.python(
        "import json; from kb.settings.example import example_lines\n"
        "from kb.ui.tabs.settings.defaults import grouped\n"
        "print(json.dumps([list(example_lines()), grouped()]))"
    )
    assert "KB_SIGNATURE=" in example and "# Last line." in example
    assert "signature" in groups["recognition"]


def test_an_option_of_a_run(copy: Copy, talk: Path) -> None:
    copy.insert(
        "kb/options.py",
        "keep: Keep | None = option(",
        '    remark: str | None = option(None, help="A remark.", library_only=True)',
    )
    copy.insert(
        "kb/jobs/worker/item_steps.py",
        "self._library.amend(self._id, decision.metadata())",
        '            self._library.amend(self._id, {"remark": options.remark})',
    )
    for label, place in (("Remark", "EN: dict"), ("Bemerkung", "DE: dict")):
        copy.insert("kb/ui/i18n/ingest.py", place, f'    "option_remark": "{label}",')
    assert copy.places == [
        "kb/options.py", "kb/jobs/worker/item_steps.py", "kb/ui/i18n/ingest.py",
    ]  # fmt: skip
    described, _ = copy.kb_each(
        ["ingest", "--help"], ["ingest", str(talk), "--wait", "--remark", "from the archive"]
    )
    assert "--remark" in described
    stored, labels = copy.python(
        PAGE + "from kb.service import Service\n"
        "service = Service()\n"
        "(row,) = service.queue.rows([each.id for each in service.items.statuses()])\n"
        "labels = []\n"
        "for lang in ('en', 'de'):\n"
        "    app = page(tab='Add', lang=lang)\n"
        "    fields = (*app.text_input, *app.selectbox)\n"
        "    labels += [each.label for each in fields if each.key == 'run_remark']\n"
        "print(json.dumps([row.options, labels]))"
    )
    assert labels == ["Remark", "Bemerkung"]
    assert stored["remark"] == "from the archive"
    assert "from the archive" in json.dumps(copy.metadata())


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
    filled.replace("kb/cli/commands/__init__.py", '"review": (', '"review": ("words", ')
    filled.insert(
        "kb/service/items.py",
        "    # As text",
        "\n    def words(self) -> int:\n"
        "        ids = [entry.item.id for entry in self.library.entries()]\n"
        "        return sum(len(s.words) for id in ids for s in self.transcript(id).segments)\n",
    )
    assert filled.places == [
        "kb/cli/commands/review.py", "kb/cli/commands/__init__.py", "kb/service/items.py",
    ]  # fmt: skip
    described, count = filled.kb_each(["--help"], ["words"])
    assert "words" in described
    assert int(count) > 0


TAB = '''"""The Notes tab: the number of items in the library."""

import streamlit as st

from kb.ui import session
from kb.ui.i18n import text


def render() -> None:
    st.info(text("notes_count", count=len(session.library_listing().entries)))
'''


def test_a_tab(filled: Copy) -> None:
    filled.add_folder("kb/ui/tabs/notes", {"__init__.py": "", "tab.py": TAB})
    filled.insert(
        "kb/ui/session.py",
        '"tab_settings": "kb.ui',
        '    "tab_notes": "kb.ui.tabs.notes.tab:render",',
    )
    for place, label, count in (
        ("EN: dict", "Notes", "Items so far: {count}"),
        ("DE: dict", "Notizen", "Bisher: {count}"),
    ):
        filled.insert(
            "kb/ui/i18n/frame.py",
            place,
            f'    "tab_notes": "{label}",\n    "notes_count": "{count}",',
        )
    assert filled.places == ["kb/ui/tabs/notes", "kb/ui/session.py", "kb/ui/i18n/frame.py"]
    drawn = filled.python(
        PAGE + "drawn = []\n"
        "for query in ({}, {'tab': 'notes'}, {'tab': 'Notes', 'lang': 'de'}):\n"
        "    app = page(**query)\n"
        "    drawn.append([app.tabs[-1].label, app.session_state['tab'],\n"
        "                  [each.value for each in app.info]])\n"
        "print(json.dumps(drawn))"
    )
    closed, english, german = drawn
    assert closed[:2] == ["Notes", "Library"] and "Items so far: 1" not in closed[2]
    assert english == ["Notes", "Notes", ["Items so far: 1"]]
    assert german == ["Notizen", "Notizen", ["Bisher: 1"]]


# Prints message and hint of an error's record as the page shows them in German.
TRANSLATE = """
import json
from streamlit.testing.v1 import AppTest

app = AppTest.from_string(f'''
import streamlit as st
from kb.errors import restored
from kb.ui.i18n.error_messages import translate_error

record = {json.loads(RECORD)!r}
st.session_state["lang"] = "de"
for part in translate_error(restored(record["error"], record["hint"], record["problem"])):
    st.text(part)
''').run(timeout=240)
print(json.dumps([each.value for each in app.text]))
"""


def test_an_error(filled: Copy) -> None:
    change = "                revision = self.revisions.change("
    filled.replace(
        "kb/service/corrections.py",
        change,
        "                if len(right) > 20:\n"
        "                    raise UsageError(\n"
        '                        "correct.too_long",\n'
        '                        "The correction {right!r} has {count} letters, at most 20.",\n'
        '                        hint="Correct {right!r} in parts.",\n'
        "                        right=right,\n"
        "                        count=len(right),\n"
        f"                    )\n{change}",
    )
    filled.insert(
        "kb/ui/i18n/errors_service.py",
        "DE: dict",
        '    "correct.too_long": (\n'
        '        "Die Korrektur {right!r} hat {count} Zeichen, erlaubt sind 20.",\n'
        '        "{right!r} in Teilen korrigieren.",\n'
        "    ),",
    )
    assert filled.places == ["kb/service/corrections.py", "kb/ui/i18n/errors_service.py"]
    right = "x" * 21
    printed = filled.kb("correct", "*", "word", right, "--apply", "--json", code=1)
    (failed,) = json.loads(printed)["failed"]
    assert failed["error"] == f"The correction '{right}' has 21 letters, at most 20."
    assert failed["problem"] == {
        "code": "correct.too_long",
        "values": {"right": right, "count": 21},
    }
    shown = filled.python(f"RECORD = {json.dumps(failed)!r}\n{TRANSLATE}")
    assert shown == [
        f"Die Korrektur '{right}' hat 21 Zeichen, erlaubt sind 20.",
        f"'{right}' in Teilen korrigieren.",
    ]


def test_an_error_with_a_class_of_its_own(filled: Copy) -> None:
    filled.append(
        "kb/errors.py",
        "\n\nclass ChannelClosed(KBError):\n"
        '    """A channel takes no corrections; another one may."""\n\n'
        "    exit_code = 5\n",
    )
    filled.replace(
        "kb/service/corrections.py",
        "from kb.errors import KBError, ",
        "from kb.errors import ChannelClosed, KBError, ",
    )
    filled.insert(
        "kb/service/corrections.py",
        "        channel_key = channel.casefold()",
        '        if channel_key == "closed":\n'
        "            raise ChannelClosed(\n"
        '                "correct.closed",\n'
        '                "The channel {channel!r} takes no corrections.",\n'
        '                hint="Name another channel than {channel!r}.",\n'
        "                channel=channel,\n"
        "            )",
    )
    filled.insert(
        "kb/ui/i18n/errors_service.py",
        "DE: dict",
        '    "correct.closed": (\n'
        '        "Der Kanal {channel!r} nimmt keine Korrekturen an.",\n'
        '        "Einen anderen Kanal als {channel!r} nennen.",\n'
        "    ),",
    )
    assert filled.places == [
        "kb/errors.py", "kb/service/corrections.py", "kb/ui/i18n/errors_service.py",
    ]  # fmt: skip
    printed = filled.kb("correct", "Closed", "word", "other", code=5)
    assert "The channel 'Closed' takes no corrections." in printed
    record = {
        "error": "", "hint": "",
        "problem": {"code": "correct.closed", "values": {"channel": "Closed"}},
    }  # fmt: skip
    assert filled.python(f"RECORD = {json.dumps(record)!r}\n{TRANSLATE}") == [
        "Der Kanal 'Closed' nimmt keine Korrekturen an.",
        "Einen anderen Kanal als 'Closed' nennen.",
    ]


def test_a_text_of_the_page(copy: Copy) -> None:
    queue = "kb/ui/i18n/queue.py"
    texts = {
        "Nothing has been queued yet.": "The queue has no items yet.",
        "Noch ist nichts eingereiht.": "Die Warteschlange hat noch keine Einträge.",
    }
    for old, new in texts.items():
        copy.replace(queue, old, new)
    assert copy.places == [queue]
    english, german = copy.python(
        PAGE + "print(json.dumps([[each.value for each in page(tab='Activity', lang=lang).info]\n"
        "                  for lang in ('en', 'de')]))"
    )
    assert "The queue has no items yet." in english[0]
    assert "Die Warteschlange hat noch keine Einträge." in german[0]
