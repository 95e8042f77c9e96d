"""The GPU tab: live figures, and the editing of presets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gpu.devices import Device
from gpu.monitor import Sample
from gpu.presets import load_presets
from gpu.status import BatchState, BudgetUse, Machine, Snapshot
from kb.database import Database
from kb.jobs.queue.telemetry import TelemetryWriter, record_throughput
from kb.service import Service
from kb.service.presets import Presets
from kb.settings import PROJECT_ROOT, get_settings
from kb.types import Timing
from kb.ui import session
from kb.ui.i18n import text
from kb.ui.tabs.gpu import tab
from kb.ui.widgets import metric_cards
from tests.support.error_source import sentence
from tests.support.library_pages import add_item, page, page_text, rows_of, run_page
from tests.support.live_worker import live_worker

GB = 2**30


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set an empty library and a separate presets file."""
    path = tmp_path / "presets.yaml"
    path.write_bytes((PROJECT_ROOT / "presets.yaml").read_bytes())
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_PRESETS_FILE", str(path))
    get_settings.cache_clear()
    yield path
    get_settings.cache_clear()


def field(app: AppTest, key: str) -> str:
    """Return the full key of a field of the preset form."""
    found = [e.key for e in (*app.number_input, *app.text_input, *app.selectbox) if e.key]
    return next(name for name in found if name.startswith(f"preset-{key}-"))


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == text(label)).click()
    return run_page(app)


def test_this_machine_is_shown_without_a_worker(presets: Path) -> None:
    app = page(tab="GPU")
    assert text("gpu_cpu") in page_text(app)
    assert text("gpu_ram") in page_text(app)
    assert text("gpu_no_worker") in page_text(app)
    assert text("gpu_batch_idle") in page_text(app)


def test_speeds_have_titles_and_lead_to_their_items(presets: Path) -> None:
    item_id = add_item()
    service = Service()
    transcript = service.items.transcript(item_id)
    timing = Timing(asr_s=2.0, total_s=20.0, media_s=60.0)
    record_throughput(service.queue.database, "w", item_id, 1, replace(transcript, timing=timing))
    app = page(tab="GPU")
    (row,) = rows_of(app)
    assert (row["item"], row["rtfx"], row["all"]) == ("The harbour in winter", "30.0×", "3.0×")
    assert row["id"].startswith(f"{item_id}|")
    service.close()


def test_what_a_machine_does_not_tell_is_left_out() -> None:
    now = Sample(at=1.0, cpu=0.25, ram_used=8 * GB, ram_total=16 * GB)
    snapshot = Snapshot(Device("cpu", "CPU", "a processor"), sample=now)
    machine = Machine("", "here", True, 1.0, snapshot, now)
    shown = {figure.key: figure.formatted(now) for figure in tab.figures_of(machine)}
    assert shown == {"gpu_cpu": "25 %", "gpu_ram": "8.0 GB"}


FULL = BatchState(16, 16, "the preset's most is 16", last=16, waiting=20, batches=3)


@pytest.mark.parametrize(
    ("worker", "live", "model", "batch", "key"),
    [
        ("", True, "", None, "bound_no_worker"), ("", False, "", None, "bound_no_worker"),
        ("w", True, "", None, "bound_idle"), ("w", True, "demo", None, "bound_loading"),
        ("w", True, "demo", FULL, "bound_recognition"),
        ("w", True, "demo", replace(FULL, last=3, waiting=0), "bound_idle"),
        ("w", True, "demo", replace(FULL, last=3, waiting=0, items=2), "bound_preparation"),
        ("w", False, "", None, ""), ("w", False, "demo", FULL, ""),
    ],
)  # fmt: skip
def test_what_keeps_it_from_being_faster_is_said_where_it_is_known(
    worker: str, live: bool, model: str, batch: BatchState | None, key: str
) -> None:
    snapshot = Snapshot(Device("cpu", "CPU", "a processor"), model=model, batch=batch)
    machine = Machine(worker, "here", live, 1.0, snapshot, None)
    assert tab.bound_text(machine) == (text(key) if key else "")


def test_a_card_is_shown_with_memory_budget_and_peak() -> None:
    now = Sample(
        at=20.0, cpu=0.5, ram_used=GB, ram_total=4 * GB, gpu=0.93, memory_used=21 * GB,
        memory_total=24 * GB, own_used=18 * GB, own_peak=19 * GB, temperature_c=71.0,
        power_w=402.0, power_limit_w=450.0,
    )  # fmt: skip
    device = Device("cuda:0", "CUDA", "a card", "bfloat16", budget_bytes=20 * GB)
    batch = BatchState(size=16, ceiling=16, reason="it is the preset's own figure")
    machine = Machine("w", "here", True, 20.0, Snapshot(device, batch=batch, sample=now), now)
    figures = {figure.key: figure for figure in tab.figures_of(machine)}
    shown = {key: figure.formatted(now) for key, figure in figures.items()}
    assert shown["gpu_busy"] == "93 %"
    assert shown["gpu_own"] == "18.0 GB"
    assert "19.0 GB" in figures["gpu_own"].help
    assert "20.0 GB" in figures["gpu_own"].help
    assert shown["gpu_power"] == "402 W"
    assert "450" in figures["gpu_power"].help


def test_the_page_names_what_would_use_more_of_the_memory(presets: Path) -> None:
    use = BudgetUse(int(5.5 * GB), 22 * GB, "preset", "the preset's most is 16", 16, 74)
    service = Presets(get_settings())
    said = tab.budget_text(use, service.readable())
    assert "5.5 of 22.0 GB" in said and "25 %" in said
    for word in ("16 windows", "schnell", "74"):
        assert word in said
    assert text("gpu_budget_work") in tab.budget_text(replace(use, limit="work"), ())
    presets.write_text("a mistake", encoding="utf-8")
    said = tab.budget_text(use, service.readable())
    assert "schnell" not in said and "16 windows" in said


@pytest.mark.slow
@pytest.mark.usefixtures("lasting_signs")
def test_what_a_worker_tells_of_its_budget_is_on_the_page(presets: Path) -> None:
    settings = get_settings()
    catalogue = Database.open(settings)
    now = Sample(at=time.time(), cpu=0.5, ram_used=GB, ram_total=4 * GB, own_peak=11 * GB)
    device = Device("cuda:0", "CUDA", "a card", "bfloat16", budget_bytes=20 * GB)
    batch = BatchState(16, 16, "the preset's most is 16", last=5, batches=3)
    snapshot = Snapshot(device, "whisper", "large-v3", "optimiert", batch, sample=now)
    with live_worker(settings, catalogue) as presence:
        TelemetryWriter(catalogue, presence.executor).write(snapshot, [now], 0, "")
        words = page_text(page(tab="GPU"))
    catalogue.close()
    assert text("gpu_budget", used="11.0", budget="20.0", share="55") in words
    assert text("gpu_budget_work") in words


@pytest.mark.slow
def test_a_preset_is_changed_made_and_removed(presets: Path) -> None:
    app = page(tab="GPU")
    app.selectbox("preset_edit").select("max")
    run_page(app)
    app.number_input(field(app, "batch_size")).set_value(48)
    press(app, "gpu_preset_save")
    assert text("gpu_preset_saved", name="max") in page_text(app)
    assert load_presets(presets)["max"].batch_size == 48
    assert "# Performance presets" in presets.read_text(encoding="utf-8")

    app.selectbox("preset_edit").select("")
    run_page(app)
    app.text_input(field(app, "name")).set_value("nacht")
    app.text_input(field(app, "label")).set_value("🌙 NACHT")
    app.number_input(field(app, "workers")).set_value(1)
    press(app, "gpu_preset_save")
    assert load_presets(presets)["nacht"].workers == 1
    assert app.selectbox("preset_edit").value == "nacht"
    press(app, "gpu_preset_remove")
    assert text("gpu_preset_remove_sure", name="nacht") in page_text(app)
    press(app, "sure_no")
    assert "nacht" in load_presets(presets)
    press(app, "gpu_preset_remove")
    press(app, "gpu_preset_remove")
    assert "nacht" not in load_presets(presets)
    # The form shows the preset that the box names.
    assert app.selectbox("preset_edit").value == "optimiert"
    assert app.text_input(field(app, "name")).value == "optimiert"


@pytest.mark.slow
def test_mistakes_are_reported_with_line_and_field_and_change_nothing(presets: Path) -> None:
    before = presets.read_text(encoding="utf-8")
    app = page(tab="GPU")
    app.selectbox("preset_edit").select("max")
    run_page(app)
    app.number_input(field(app, "overlap_s")).set_value(40.0)
    press(app, "gpu_preset_save")
    lines = before.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.strip() == "max:")
    number = next(n for n in range(begin, len(lines)) if "overlap_s" in lines[n]) + 1
    assert f"line {number}" in app.error[0].value
    mistake = sentence("preset.overlap", half=30.0, value=40)
    assert f"overlap_s {mistake}" in app.error[0].value.replace("\\", "")
    for place in ("tab_library", "tab_settings"):  # what was wrong before is not shown again
        app.session_state[session.TAB] = text(place)
        run_page(app)
    assert not app.error
    app.selectbox("preset_edit").select("optimiert")
    run_page(app)
    press(app, "gpu_preset_remove")
    press(app, "gpu_preset_remove")
    assert sentence("page.preset_in_use", name="optimiert") in page_text(app)
    app.selectbox("preset_edit").select("")
    run_page(app)
    app.text_input(field(app, "name")).set_value("max")
    press(app, "gpu_preset_save")
    assert sentence("page.preset_taken", name="max") in page_text(app)
    assert presets.read_text(encoding="utf-8") == before


def test_the_file_as_text_is_checked_before_it_is_written(presets: Path) -> None:
    before = presets.read_text(encoding="utf-8")
    app = page(tab="GPU")
    app.text_area("preset_text").set_value(before.replace("workers: 6", "workers: 99"))
    press(app, "gpu_preset_text_save")
    mistake = sentence("preset.whole", low=1, high=32, value=99)
    assert f"workers {mistake}" in page_text(app)
    assert presets.read_text(encoding="utf-8") == before
    app.text_area("preset_text").set_value(before.replace("workers: 6", "workers: 5"))
    press(app, "gpu_preset_text_save")
    assert load_presets(presets)["max"].workers == 5


def test_a_broken_file_can_be_mended_in_the_page(presets: Path) -> None:
    good = presets.read_text(encoding="utf-8")
    presets.write_text(good.replace("workers: 6", "workers: six"), encoding="utf-8")
    app = page(tab="GPU")
    mistake = sentence("preset.whole", low=1, high=32, value="“six”")
    assert f"workers {mistake}" in page_text(app)
    app.text_area("preset_text").set_value(good)
    press(app, "gpu_preset_text_save")
    assert not app.error
    assert load_presets(presets)["max"].workers == 6


def test_a_curve_says_what_it_shows_and_keeps_its_peaks() -> None:
    values = [0.0] * 2000
    values[777] = 5.0
    assert max(metric_cards.downsample(values)) == 5.0
    assert len(metric_cards.downsample(values)) <= 160
    assert 'alt="&lt;b&gt;"' in metric_cards.sparkline([1.0], "<b>")
    assert "nan" not in metric_cards.sparkline([2.0, 2.0, 2.0], "flat")
