"""Reasons without a code, budgets, states and numbers of checks, on the page in German.

The reasons are read from the source as a syntax tree, so that a new one is found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu.devices import Device
from gpu.monitor import Sample
from gpu.preset_figures import Preset
from gpu.presets import load_presets
from gpu.status import BatchState, Machine, Snapshot
from gpu.throttle import Throttle
from kb.errors import KBError, restored
from kb.jobs.queue.item_states import STATES
from kb.service.health_check import HealthCheck
from kb.service.health_sources import key_clause
from kb.service.health_workers import check_crash_loop, check_worker
from kb.settings import PROJECT_ROOT
from kb.sources.keys.key_ring import KeyStatus
from kb.sources.youtube.refusals import KEY_NOT_ALLOWED
from kb.ui.i18n import MESSAGES, error_messages, machine_reasons
from tests.support.each_case import check_each

GB = 2**30
# Files that give reasons, and the least number of them.
SOURCES = {
    "gpu/devices.py": 6,
    "gpu/manager.py": 3,
    "gpu/throttle.py": 3,
    "kb/asr/batching/batch_size.py": 5,
    "kb/asr/batching/batcher.py": 1,
    "kb/inference/estimate.py": 5,
    "kb/inference/memory_fit.py": 2,
    "kb/inference/process.py": 1,
}
FAULT = "a product came out"  # a broken card: the text is for a report
ENGLISH = re.compile(r"\b(?:is|not|the|of|with|at|windows|ran|more|again|times|are|budget)\b")


def said(node: ast.expr | None) -> Iterator[str]:
    """Yield the sentences of an expression, with a figure for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values
        )
    elif isinstance(node, ast.BoolOp):
        for each in node.values:
            yield from said(each)
    elif isinstance(node, ast.IfExp):
        yield from said(node.body)
        yield from said(node.orelse)
    elif isinstance(node, ast.Tuple):
        for each in node.elts[1:]:
            yield from said(each)


def reasons_in(file: str) -> set[str]:
    """Return the reasons of a file: what is raised, returned, or set as a reason."""
    found: list[str] = []
    for node in ast.walk(ast.parse((PROJECT_ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("_DeviceUnusable", "_halve"):
                found += said(node.args[-1])
        elif isinstance(node, ast.Assign):
            target = ast.unparse(node.targets[0])
            if "reason" in target or target.isupper():
                found += said(node.value)
        elif isinstance(node, ast.Return):
            found += said(node.value)
        elif isinstance(node, ast.List):
            for each in node.elts:
                found += said(each if isinstance(each, ast.Tuple) else None)
    return {each.replace("ROCm7", "ROCm") for each in found if not each.startswith(FAULT)}


def reasons() -> Iterator[str]:
    for file, least in SOURCES.items():
        found = reasons_in(file)
        assert len(found) >= least, (file, found)
        yield from sorted(found)


def machine(reason: str = "", *, gpu: bool = True, used: float = 0, **batch: int) -> Machine:
    device = Device("cuda:0", "CUDA", "Card", "bfloat16", "", 22 * GB)
    if not gpu:
        device = Device("cpu", "CPU", "Processor", "float32", reason)
    state = BatchState(**{"size": 8, "ceiling": 8, "batches": 1, **batch}, reason=reason)
    now = Sample(1.0, 0.1, GB, 4 * GB, own_peak=int(used * GB)) if used else None
    snapshot = Snapshot(device, model="base", batch=state, throttle=Throttle(0.25, reason))
    trouble = reason if gpu and not used else ""
    return Machine("one", "here", True, 1.0, snapshot, now, rtfx_hour=1234.5, trouble=trouble)


def shown(check: HealthCheck, language: str) -> str:
    problem = restored(check.detail, check.fix, check.problem)
    return error_messages.translate_error(problem, language).message


def presets() -> list[Preset]:
    return list(load_presets(PROJECT_ROOT / "presets.yaml").values())


def test_a_worker_says_each_reason_in_german() -> None:
    check_each(reasons(), the_worker_says_it_in_german)


def the_worker_says_it_in_german(reason: str) -> None:
    for has_card in (True, False):
        check = check_worker(machine(reason, gpu=has_card), [])
        assert reason in check.detail
        english = shown(check, "en")
        assert reason.split(" (kb ")[0] in english and "kb " not in english
        german = shown(check, "de")
        assert reason not in german and not ENGLISH.search(german), german


def test_a_reason_of_two_clauses_and_one_within_another() -> None:
    said = "KB_DEVICE=cuda cannot be used: this PyTorch is built without CUDA and ROCm"
    assert machine_reasons.translated(said, "de") == (
        "KB_DEVICE=cuda geht nicht: dieses PyTorch ist ohne CUDA und ROCm gebaut"
    )
    failed = f"the GPU failed 3 times in a row, last with: {said}"
    assert (
        "3-mal" in (german := machine_reasons.translated(failed, "de")) and "geht nicht" in german
    )
    assert machine_reasons.translated("1.5 GB are left for windows of 0.25 GB each", "de") == (
        "1,5 GB sind frei für Fenster von je 0,25 GB"
    )
    assert machine_reasons.translated("anything else", "de") == "anything else"
    assert machine_reasons.translated(said, "en") == said


def test_each_known_reason_is_in_the_source() -> None:
    places = [PROJECT_ROOT / file for file in (*SOURCES, "kb/sources/youtube/api.py")]
    places.append(PROJECT_ROOT / "kb/sources/youtube/refusals.py")
    source = "".join(re.sub(r'"\s+f?"', "", path.read_text("utf-8")) for path in places)

    def check(english: str) -> None:
        for part in re.split(r"\{\w+\}", english):
            assert part.strip() in source, part

    check_each(machine_reasons.DE, check)


BUDGETS = {
    "full": machine("x", used=21),
    "work": machine("x", used=5.5),
    "device": machine("memory ran out with 8 windows", used=5.5, last=4, size=4),
    "preset": machine("the preset's most is 8", used=5.5, last=8, window_bytes=GB),
    "preset without more": machine("the preset's most is 8", used=5.5, last=8),
    "largest": machine("the preset's most is 8", used=5.5, last=999, size=999, ceiling=999),
}


def test_a_budget_is_german() -> None:
    check_each(BUDGETS, the_budget_is_german)


def the_budget_is_german(name: str) -> None:
    found = BUDGETS[name]
    use = found.budget
    assert use is not None and use.limit == name.split()[0].replace("largest", "preset")
    check = check_worker(found, presets())
    assert use.describe(presets()) in check.detail  # `kb status` says it in one string
    german = shown(check, "de")
    assert not ENGLISH.search(german.replace("x", "")), german
    assert ("21,0" if name == "full" else "5,5") in german and "1.234×" in german


KEY_REASONS = [
    "",
    "its daily allowance is used up",
    "the service does not know it (wrong, expired or deleted)",
    *sorted(set(KEY_NOT_ALLOWED.values())),
]


def test_each_state_of_a_key_is_german() -> None:
    cases = [
        KeyStatus("AIza…0001", state, units, None, reason)
        for state in ("ready", "exhausted", "invalid")
        for units in (1_234, 20_000)
        for reason in KEY_REASONS
    ]
    check_each(cases, the_key_is_german)


def the_key_is_german(status: KeyStatus) -> None:
    check = HealthCheck.of("Keys", "ok", KBError("check.keys", "{keys}", keys=key_clause(status)))
    keys = KBError(
        "check.keys",
        "{ready} of {count} ready: {keys}",
        ready=1,
        count=1,
        keys=key_clause(status),
    )
    german = shown(HealthCheck.of("Keys", "ok", keys), "de")
    assert status.state in check.detail and status.state not in german
    assert ("1.234" if status.units_today == 1_234 else "20.000") in german
    assert not ENGLISH.search(german) and not re.search(r"\b(?:it|its|key|units)\b", german), german


def test_the_state_of_an_item_is_german() -> None:
    check_each(STATES, the_state_is_german)


def the_state_is_german(state: str) -> None:
    lost = KBError("finding.row_without_files", "It is {state} and has no files.", state=state)
    german = error_messages.translate_error(lost, "de").message
    assert f"„{MESSAGES['de'][f'state_{state}']}“" in german and state not in german


def test_a_text_that_is_no_reason_stays_as_it_is() -> None:
    """A name may have the words of a reason."""
    words = "short requests are expected"
    error = KBError("media.empty", "{path} is empty (0 bytes).", path=words)
    assert words in error_messages.translate_error(error, "de").message


NUMBERS: dict[str, tuple[KBError, str, str]] = {
    "disk": (
        KBError("check.disk", "{free:,.0f} GB free at {folder}", free=1234.5, folder="/a.b"),
        "1,234 GB free at /a.b",
        "1.234 GB frei in /a.b",
    ),
    "card": (
        KBError(
            "clause.card_memory",
            "{total:.1f} GB of memory, {reserve:g} GB in reserve",
            total=23.6,
            reserve=0.5,
        ),
        "23.6 GB of memory, 0.5 GB in reserve",
        "23,6 GB Speicher, 0,5 GB als Reserve",
    ),
    "size": (
        KBError("clause.fetch_share", " ({done} of {size})", done="1.5 MB", size="2.0 GB"),
        " (1.5 MB of 2.0 GB)",
        " (1,5 MB von 2,0 GB)",
    ),
    "count": (
        KBError("clause.items", "{count:item|items}", count=12_345),
        "12,345 items",
        "12.345 Einträge",
    ),
    "version": (
        KBError("clause.driver", "driver {version}", version="550.54"),
        "driver 550.54",
        "Treiber 550.54",
    ),
}


def test_numbers_have_the_marks_of_the_language() -> None:
    check_each(NUMBERS, its_numbers_are_of_the_language)


def its_numbers_are_of_the_language(name: str) -> None:
    error, english, german = NUMBERS[name]
    assert error_messages.translate_error(error, "en").message == english
    assert error_messages.translate_error(error, "de").message == german


def test_numbers_stored_as_text_by_an_earlier_version_are_shown_in_english() -> None:
    old = restored(
        "12 GB free at /x",
        "",
        {"code": "check.disk", "values": {"free": "12", "folder": "/x"}},
    )
    assert error_messages.translate_error(old, "de").message == "12 GB free at /x"


@pytest.mark.parametrize("count", [1, 3])
def test_a_worker_that_ends_again_and_again(count: int, tmp_path: Path) -> None:
    from kb.jobs.queue.hung_worker import CrashLoop
    from kb.settings import Settings

    loop = CrashLoop("one", count, 0.0, 600.0, 2)
    german = shown(check_crash_loop(loop, Settings(home=tmp_path)), "de")
    assert german.startswith(f"wurde {count} Mal in 10 min") and "beendet" in german
