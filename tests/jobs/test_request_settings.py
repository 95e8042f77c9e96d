"""A request carries the settings that decide about its words; a worker has those of its machine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kb.errors import KBError, LibraryError, SettingsError
from kb.inference.model_choice import check_aligner
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import RowFacts, TranscriptionOptions
from kb.jobs.queue.item_states import WAITING, LibraryRow
from kb.jobs.queue.request_settings import (
    ASKED,
    OF_THE_MACHINE,
    OF_THE_WORDS,
    SHOWN,
    asked_of,
    completed,
    names_of_settings,
    shown_settings,
    with_settings,
)
from kb.jobs.queue.source_factory import SourceFactory
from kb.jobs.worker import enrich_steps
from kb.jobs.worker.caption_steps import CaptionSteps
from kb.jobs.worker.item_steps import ItemSteps
from kb.jobs.worker.retry_policy import decide
from kb.options import RunOptions
from kb.service import Service
from kb.settings import PROJECT_ROOT, Settings
from kb.settings.recognition import RecognitionSettings
from kb.settings.repair import RepairSettings
from kb.types import LocalMedia, Transcript
from tests.support.inline_worker import WORDS, InlineWorker
from tests.support.items import item
from tests.support.raising import raises
from tests.support.workers import write_talks

ASKER = Settings(KB_LANGUAGE="en", KB_PRESET="optimiert", KB_MODEL="demo", KB_HOLD_BELOW="0.5",
                 KB_REPAIR_SHARE="0", KB_SINKS="local,folder", KB_DEVICE="cuda")  # fmt: skip
WORKER = Settings(KB_LANGUAGE="de", KB_PRESET="max", KB_MODEL="large-v3", KB_DEVICE="cpu",
                  KB_CPU_THREADS="3", KB_WORKERS="1", KB_SUSPECT_REPEATS="9",
                  KB_NORMALIZE_LOUDNESS="true")  # fmt: skip


def stored(**options: Any) -> dict[str, Any]:
    return with_settings(RunOptions(**options).as_dict(), ASKER)


def test_the_worker_s_settings_decide_about_its_machine_alone() -> None:
    asked = asked_of(stored(), WORKER)
    assert asked is not None
    for name in names_of_settings():
        assert getattr(asked.settings, name) == getattr(ASKER, name), name
    for name in {*OF_THE_MACHINE, "home", "workers", "database_url", "in_flight"}:
        assert getattr(asked.settings, name) == getattr(WORKER, name), name


def test_the_transcription_is_the_asker_s() -> None:
    options = stored(chunk_s=25.0)
    asked = asked_of(options, WORKER)
    assert asked is not None
    found = InferenceSession(WORKER).transcription_options(
        RunOptions.from_dict(options), asked.settings, asked.preset
    )
    assert (found.language, found.model, found.preset.name) == ("en", "demo", "optimiert")
    assert (found.preset.chunk_s, found.normalize) == (25.0, False)
    assert found.preset.workers == 1  # of the machine
    assert found.settings is asked.settings


@pytest.mark.parametrize(
    ("name", "value"),
    [("language", "fr"), ("model", "large-v3"), ("engine", "parakeet"), ("preset", "stabil"),
     ("keep", "mp4")],
)  # fmt: skip
def test_an_option_of_the_run_is_what_is_stored(name: str, value: str) -> None:
    options = stored(**{name: value})
    asked = asked_of(options, WORKER)
    assert asked is not None and getattr(asked.settings, name) == value
    if name != "keep":
        assert shown_settings(options)[name] == value


def test_sinks_of_the_run_are_stored_too() -> None:
    asked = asked_of(stored(sinks=("local", "odin")), WORKER)
    assert asked is not None and asked.settings.sink_names == ("local", "odin")


def test_a_preset_that_the_worker_does_not_know_is_used() -> None:
    options = stored()
    options[ASKED]["preset"]["name"] = "only at the asker"
    asked = asked_of(options, WORKER)
    assert asked is not None and asked.preset.name == "only at the asker"


def test_an_unknown_preset_is_refused_where_it_is_asked_for() -> None:
    with pytest.raises(SettingsError):
        stored(preset="nowhere")


def test_a_request_of_the_version_before_has_the_worker_s_settings() -> None:
    assert asked_of(RunOptions().as_dict(), WORKER) is None
    assert shown_settings(RunOptions().as_dict()) == {}


def test_a_request_of_the_version_before_has_the_worker_s_aligner() -> None:
    """It named no aligner: one of the machine's settings must not be refused as another one."""
    worker = WORKER.replace(qwen_aligner="/models/own")
    options = with_settings(RunOptions().as_dict(), ASKER.replace(engine="qwen3-asr"))
    now = asked_of({ASKED: {**options[ASKED], "row": {}}}, worker)
    before = asked_of({ASKED: {n: v for n, v in options[ASKED].items() if n != "row"}}, worker)
    assert now and before and before.row is None
    assert now.settings.qwen_aligner == Settings().qwen_aligner
    session = InferenceSession(worker)
    check_aligner(
        session.transcription_options(RunOptions(), before.settings, before.preset), worker
    )


@pytest.mark.parametrize(
    "broken",
    [{"settings": {"language": 7}, "preset": {}}, {"settings": {}}, {"preset": None},
     {"settings": {"repair_share": "much"}, "preset": {}}],
)  # fmt: skip
def test_damaged_settings_name_the_next_step(broken: dict[str, Any]) -> None:
    with raises(LibraryError, "options.asked") as caught:
        asked_of({ASKED: broken}, WORKER)
    assert "--again" in caught.value.hint


def test_a_setting_of_a_newer_version_is_left_out() -> None:
    options = stored()
    options[ASKED]["settings"]["of_tomorrow"] = 1
    assert asked_of(options, WORKER) is not None


def test_every_setting_of_recognition_is_either_the_machine_s_or_the_request_s() -> None:
    """A new setting must be entered in one of the two lists."""
    assert set(RecognitionSettings.model_fields) == {*OF_THE_MACHINE, *OF_THE_WORDS}
    assert not OF_THE_MACHINE & set(OF_THE_WORDS)
    assert set(RepairSettings.model_fields) < set(names_of_settings())


# Settings of words that a worker's process may read, and the reason.
OWN_USE = {
    ("kb/inference/estimate.py", "engine"): "for a form where the run is asked for",
    ("kb/inference/estimate.py", "model"): "for a form where the run is asked for",
    ("kb/asr/engines/qwen3/engine.py", "qwen_aligner"): "a request with another one waits",
    ("kb/asr/engines/qwen3/spec.py", "qwen_aligner"): "a request with another one waits",
}
READ_BY_WORKERS = ("kb/asr", "kb/inference", "kb/jobs/worker", "kb/media", "kb/sources", "gpu")
OF_THE_PROCESS = re.compile(
    r"(get_settings\(\)|context\.settings|(?<![\w])self\._?settings)\.(\w+)"
)


def test_no_work_reads_what_a_request_carries_from_its_own_process() -> None:
    """A source gets its settings from `SourceFactory.asked_by`, a recognizer from its request."""
    found: set[tuple[str, str]] = set()
    asked = set(names_of_settings()) | {"sink_names"}
    for folder in READ_BY_WORKERS:
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
            place = path.relative_to(PROJECT_ROOT).as_posix()
            of_a_source = place.startswith("kb/sources/ytdlp/")
            for owner, name in OF_THE_PROCESS.findall(path.read_text(encoding="utf-8")):
                if name in asked and not (of_a_source and owner == "self._settings"):
                    found.add((place, name))
    assert found == set(OWN_USE)


def test_a_source_has_the_request_s_settings(service: Service) -> None:
    asker = ASKER.replace(captions="de", keep="mp4", thumbnail=True, witness=False)
    worker = WORKER.replace(captions="fr", keep="mp3", max_hours=1.0, proxy="http://127.0.0.1:9")
    options = with_settings(RunOptions().as_dict(), asker)
    factory = SourceFactory(worker, service.queue.database)
    made = factory.asked_by(options)
    for name in ("captions", "keep", "thumbnail", "witness", "max_hours"):
        assert getattr(made.settings, name) == getattr(asker, name), name
    assert made.settings.proxy == worker.proxy  # of the machine
    assert factory.asked_by(RunOptions().as_dict()).settings == worker


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(ASKER.replace(home=tmp_path / "home"))
    yield made
    made.close()


def test_the_queue_stores_them(service: Service) -> None:
    service.queue.submit([item(1)], RunOptions(language="de"))
    (row,) = service.queue.rows([item(1).id])
    assert shown_settings(row.options) == {
        "preset": "optimiert", "model": "demo", "engine": "whisper", "language": "de",
    }  # fmt: skip


def test_a_machine_without_a_model_in_its_settings_names_one(tmp_path: Path) -> None:
    made = Service(Settings(home=tmp_path / "home", device="cpu"))
    assert made.queue.stored(RunOptions())[ASKED]["settings"]["model"] == "openai/whisper-base"
    made.close()


# Two machines: what decides about the words is that of the one where it was asked.

ASKERS_MODELS = """
house:
  model: demo
  engine: faster-whisper
  languages: [de, en]
  dtype: float32
  device: gpu
  batch: 5
openai/whisper-small:
  languages: [fr]
"""
WORKERS_MODELS = """
house:
  model: openai/whisper-tiny
  languages: [ru]
mine:
  model: demo
  engine: parakeet
  dtype: bfloat16
openai/whisper-small:
  engine: faster-whisper
  languages: [it]
  device: gpu
turbo:
  model: openai/whisper-base
"""
ASKERS_PRESETS = """
careful:
  label: Careful
  batch_size: 4
  chunk_s: 22
  overlap_s: 3
  workers: 2
  timestamps: word
  vram_budget_gb: 5
"""
# Settings where it is asked, and options of the run; all of the worker's are others.
REQUESTS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({}, {}),
    ({"KB_LANGUAGE": "en"}, {}),
    ({"KB_LANGUAGE": "en"}, {"language": "fr"}),
    ({"KB_MODEL": "large-v3"}, {}),
    ({"KB_MODEL": "demo"}, {}),
    ({"KB_MODEL": "demo", "KB_ENGINE": "faster-whisper"}, {}),
    ({"KB_MODEL": "house"}, {}),
    ({"KB_MODEL": "house"}, {"batch_size": 2}),
    ({"KB_MODEL": "demo"}, {"model": "house"}),
    ({"KB_MODEL": "demo"}, {"model": "house", "engine": "whisper"}),
    ({"KB_MODEL": "demo"}, {"model": "turbo"}),
    ({"KB_MODEL": "openai/whisper-small"}, {}),
    ({"KB_MODEL": "whisper-1"}, {}),
    ({"KB_MODEL": "demo"}, {"model": "whisper-1"}),
    ({"KB_PRESET": "careful"}, {}),
    ({}, {"preset": "careful"}),
    ({"KB_PRESET": "careful"}, {"chunk_s": 31.0, "overlap_s": 1.0, "timestamps": "segment"}),
    ({"KB_NORMALIZE_LOUDNESS": "true", "KB_LONGEST_PAUSE_S": "0"}, {}),
    ({"KB_PROMPT_TOKENS": "7", "KB_MAX_HOURS": "3"}, {}),
    ({"KB_REPAIR_SHARE": "0", "KB_REPAIR_ENGINE": "whisper:demo"}, {}),
    ({"KB_QWEN_ALIGNER": "/models/aligner"}, {}),
    ({}, {"detect_speech": False, "track": "2"}),
]  # fmt: skip


@pytest.fixture
def machines(tmp_path: Path) -> Callable[..., tuple[Settings, Settings]]:
    """Return a function that gives the settings of the asker (with more) and of the worker."""

    def made(**more: str) -> tuple[Settings, Settings]:
        for name, text in (
            ("askers", ASKERS_MODELS), ("workers", WORKERS_MODELS), ("presets", ASKERS_PRESETS),
        ):  # fmt: skip
            (tmp_path / f"{name}.yaml").write_text(text)
        home = {"KB_HOME": str(tmp_path / "home"), "KB_DEVICE": "cpu"}
        asker = {"KB_MODELS_FILE": str(tmp_path / "askers.yaml")}
        if "careful" in more.values():
            asker["KB_PRESETS_FILE"] = str(tmp_path / "presets.yaml")
        others = {
            "KB_LANGUAGE": "de", "KB_MODEL": "mine", "KB_PRESET": "max", "KB_ENGINE": "parakeet",
            "KB_MODELS_FILE": str(tmp_path / "workers.yaml"), "KB_SUSPECT_REPEATS": "9",
            "KB_REPAIR_TEMPERATURES": "0.9", "KB_WITNESS_BELOW": "0.1",
        }  # fmt: skip
        return Settings.model_validate({**home, **asker, **more}), Settings.model_validate(
            {**home, **others}
        )

    return made


def words_of(found: TranscriptionOptions, settings: Settings) -> dict[str, Any]:
    """Return all of the options of a transcription that decide about its words."""
    own = found.settings or settings
    return {
        **{name: getattr(found, name) for name in (
            "engine", "model", "language", "detect_speech", "normalize", "track", "languages",
            "dtype", "device", "task", "temperature",
        )},
        "preset": replace(found.preset, workers=1),
        **{name: getattr(own, name) for name in names_of_settings() if name not in SHOWN},
    }  # fmt: skip


@pytest.mark.parametrize(("environment", "options"), REQUESTS)
def test_the_words_are_decided_where_they_are_asked_for(
    machines: Callable[..., tuple[Settings, Settings]],
    environment: dict[str, str],
    options: dict[str, Any],
) -> None:
    if options.get("preset") == "careful":
        environment = {**environment, "KB_PRESET": "careful"}
    asker, worker = machines(**environment)
    if "preset" in options:
        asker = asker.replace(preset="stabil")
    run = RunOptions(**options)
    here = InferenceSession(asker)
    expected = here.transcription_options(run)
    service = Service(asker)
    stored = service.queue.stored(run)
    service.close()
    assert RunOptions.from_dict(json.loads(json.dumps(stored))) == run
    asked = asked_of(json.loads(json.dumps(stored)), worker)
    assert asked is not None
    found = InferenceSession(worker).transcription_options(
        run, asked.settings, asked.preset, asked.row
    )
    assert words_of(found, worker) == words_of(expected, asker)
    shown = shown_settings(stored)
    assert (shown["model"], shown["engine"]) == (expected.model, expected.engine)
    assert shown["language"] == expected.language and shown["preset"] == expected.preset.name


def test_a_follow_carries_the_same_as_an_item(
    machines: Callable[..., tuple[Settings, Settings]], tmp_path: Path
) -> None:
    asker, _ = machines(KB_MODEL="house", KB_PRESET="careful", KB_LANGUAGE="en")
    (tmp_path / "talks").mkdir()
    service = Service(asker)
    item_options = service.queue.stored(RunOptions(language="fr"))
    followed = service.subscriptions.follow(
        str(tmp_path / "talks"), options=RunOptions(language="fr").as_dict()
    )
    assert followed.options[ASKED] == item_options[ASKED]
    assert followed.options[ASKED]["settings"]["model"] == "demo"
    service.close()


@pytest.mark.parametrize("wanted", ["Qwen/Qwen3-ForcedAligner-0.6B-hf", "/models/other"])
def test_another_model_of_word_times_is_refused(wanted: str) -> None:
    asker = ASKER.replace(qwen_aligner=wanted, engine="qwen3-asr")
    asked = asked_of(with_settings(RunOptions().as_dict(), asker), WORKER)
    assert asked is not None
    found = InferenceSession(WORKER).transcription_options(
        RunOptions(), asked.settings, asked.preset, RowFacts()
    )
    if wanted == WORKER.qwen_aligner:
        check_aligner(found, WORKER)
        return
    with raises(KBError, "models.other_aligner", wanted=wanted) as caught:
        check_aligner(found, WORKER)
    decision = decide(caught.value, 0, systemic=False, now=0.0)
    assert decision.state == WAITING and decision.attempts == 0


class Watched(Settings):
    """Settings of a worker that note who reads what a request carries."""

    def __getattribute__(self, name: str) -> Any:
        if name in WATCHED:
            frame: FrameType | None = sys._getframe(1)
            places = []
            while frame is not None:
                places.append(frame.f_code.co_filename)
                frame = frame.f_back
            # A copy of all settings is made for a request, and its own are then put in.
            if "/pydantic/" not in places[0] and not places[0].endswith("kb/settings/settings.py"):
                READ.add((Path(places[0]).relative_to(PROJECT_ROOT).as_posix(), name))
        return super().__getattribute__(name)


WATCHED: frozenset[str] = frozenset()
READ: set[tuple[str, str]] = set()
OF_EACH_MACHINE = "min_free_gb"  # read by the work itself, which shows that the watch sees it


class SaidSteps(ItemSteps):
    """The steps of an item; the recognizer gets its options and says a fixed text."""

    def _decode(self, media: LocalMedia, options: TranscriptionOptions, crashes: int) -> Transcript:
        return WORDS


def test_no_step_of_a_worker_reads_its_own_settings_of_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test of the source text cannot see: settings in a variable, or passed on."""
    (medium,) = write_talks(tmp_path / "in", 1)
    own = Watched.model_validate({"KB_HOME": str(tmp_path / "home"), "KB_LANGUAGE": "de"})
    asker = Service(ASKER.replace(home=tmp_path / "home", sinks="local", hold_below=0.0))
    (item_id,) = asker.ingest.run([str(medium)], RunOptions()).enqueued
    worker = InlineWorker(own)
    worker.steps = SaidSteps
    watched = frozenset((*names_of_settings(), OF_EACH_MACHINE))
    monkeypatch.setattr(sys.modules[__name__], "WATCHED", watched)
    assert worker.work() == 1
    CaptionSteps(worker.context, item_id).run()
    with worker.context.items.database.begin() as connection:
        row = worker.context.items.read(item_id)
        assert row is not None and row.state == "done"
        enrich_steps.submit(worker.context, connection, row, ("speakers",))
    monkeypatch.undo()
    worker.close()
    asker.close()
    assert {name for _, name in READ} == {OF_EACH_MACHINE}, READ


@pytest.fixture
def adopted(tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A service with an item that came from the folder: it has no request of its own."""
    service = Service(ASKER.replace(home=tmp_path))
    found = item(1)
    service.queue.items.adopt([LibraryRow(found, "failed", "an error")])
    yield service, found.id
    service.close()


def options_of(service: Service, item_id: str) -> Mapping[str, Any]:
    row = service.queue.items.read(item_id)
    assert row is not None
    return row.options


def test_an_item_from_the_folder_gets_the_settings_of_whom_tries_it_again(
    adopted: tuple[Service, str],
) -> None:
    service, item_id = adopted
    assert options_of(service, item_id) == {}
    assert service.queue.retry([item_id]) == [item_id]
    asked = asked_of(options_of(service, item_id), WORKER)
    assert asked is not None and asked.settings.language == "en"
    assert asked.preset.name == "optimiert"
    # Another who tries it later changes nothing.
    other = Service(WORKER.replace(home=service.settings.home))
    other.queue.cancel([item_id])
    other.queue.retry([item_id])
    assert asked_of(options_of(service, item_id), WORKER) == asked
    other.close()


@pytest.mark.parametrize("given", [{}, {"model": "large-v3"}, {ASKED: {"settings": {}}}])
def test_settings_are_added_where_there_are_none(given: dict[str, Any]) -> None:
    def ask(options: Mapping[str, Any]) -> dict[str, Any]:
        return with_settings(options, ASKER)

    options = completed(given, ask)
    assert {**options, ASKED: None} == {**given, ASKED: None}
    assert (options[ASKED] == {"settings": {}}) == (ASKED in given)
    expected = {"large-v3"} if "model" in given else {"demo"}
    assert ASKED in given or {options[ASKED]["settings"]["model"]} == expected
