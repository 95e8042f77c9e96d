"""A request carries the settings that decide about its words; a worker has those of its machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.errors import LibraryError, SettingsError
from kb.inference.session import InferenceSession
from kb.jobs.queue.request_settings import (
    ASKED,
    OF_THE_MACHINE,
    asked_of,
    names_of_settings,
    shown_settings,
    with_settings,
)
from kb.jobs.queue.source_factory import SourceFactory
from kb.options import RunOptions
from kb.service import Service
from kb.settings import PROJECT_ROOT, Settings
from kb.settings.recognition import RecognitionSettings
from kb.settings.repair import RepairSettings
from tests.support.items import item
from tests.support.raising import raises

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
    declared = {*RecognitionSettings.model_fields, *RepairSettings.model_fields}
    assert declared == (declared & OF_THE_MACHINE) | (declared & set(names_of_settings()))
    assert declared >= OF_THE_MACHINE


# Settings of words that a worker's process may read, and the reason.
OWN_USE = {
    ("kb/inference/estimate.py", "engine"): "for a form where the run is asked for",
    ("kb/inference/session.py", "readers"): "processes of the machine, not words",
    ("kb/inference/estimate.py", "model"): "for a form where the run is asked for",
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
