"""Checks of this machine and findings of the library's check, in both languages of the page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kb.errors import KBError, restored
from kb.hub import cache, errors, fetch_state, records
from kb.hub.fetch_state import FetchState, State
from kb.hub.records import ReadyRecord
from kb.service import Service
from kb.service.health import HealthCheck, check_all
from kb.service.health_check import with_semicolons
from kb.settings import PROJECT_ROOT, get_settings
from kb.ui.i18n import MESSAGES, error_messages, machine_reasons
from kb.ui.i18n import errors as tables
from tests.support.each_case import check_each
from tests.support.hub_cache import use_hub
from tests.support.page_library import home as home

NAME = "openai/whisper-tiny"


def constructions(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a class in the service, with its file."""
    for path in sorted((PROJECT_ROOT / "kb" / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield path.name, node


def test_each_check_and_finding_is_made_of_an_error_or_a_sentence_with_a_code() -> None:
    """Each code in the source has its German: see `test_error_table`."""
    # Both take over what an error, or a check of the sources, has.
    assert {file for file, _ in constructions("Finding")} == {"check_run.py"}
    assert {file for file, _ in constructions("HealthCheck")} == {"health.py"}
    made = [call for _, call in constructions("SourceCheck")]
    assert len(made) > 10
    assert all(isinstance(call.args[-1], ast.Starred) for call in made)


@pytest.mark.slow
def test_each_check_of_this_machine_is_german_on_a_german_page(home: Path) -> None:
    service = Service()
    checks = check_all(service.settings, service.inference_session)
    service.close()
    assert len(checks) > 12
    check_each(checks, is_translated, lambda check: check.name)


def is_translated(check: HealthCheck) -> None:
    assert check.problem is not None, check.detail
    assert check.problem["code"] in tables.DE, check.problem["code"]
    german = shown(check, "de")
    assert german.message and bool(german.hint) == bool(check.fix)
    for words in (" is ", " not ", " the ", " of ", "without"):
        assert words not in german.message.replace("of the", ""), german.message


def shown(check: HealthCheck, language: str) -> error_messages.Translation:
    return error_messages.translate_error(
        restored(check.detail, check.fix, check.problem), language
    )


@dataclass(frozen=True)
class Case:
    """A state of a model on this machine, and the key of the button that its row has."""

    name: str
    state: State | None
    button: str


CASES = (
    Case("damaged", None, "models_remove"),
    Case("paused", "paused", "fetch_resume"),
    Case("stopped", "stopped", "fetch_resume"),
    Case("failed", "failed", "fetch_resume"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_model_that_is_not_ready_names_the_button_of_its_row(
    case: Case, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb.service.health_models import check_models

    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    place = cache.repository_folder(NAME)
    (place / "blobs").mkdir(parents=True)
    if case.state is None:
        damage(place)
    else:
        problem = errors.hub_status(NAME, 503).error.record() if case.state == "failed" else {}
        fetch_state.write_state(
            place,
            FetchState(NAME, "https://hub", str(place), case.state, 10**9, 10**6, problem=problem),
        )
    monkeypatch.setenv("KB_MODEL", "tiny")
    get_settings.cache_clear()
    service = Service()
    check = check_models(service.settings, service.inference_session)[0]
    service.close()
    assert check.state == "warn" and "kb models" in check.fix
    for language in ("en", "de"):
        hint = shown(check, language).hint
        assert MESSAGES[language][case.button] in hint, hint
        assert "kb " not in hint


def damage(place: Path) -> None:
    """Record a model, and change one of its files."""
    snapshot = place / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    config = snapshot / "config.json"
    config.write_text("{}")
    files = {"config.json": records.recorded(config, "", "")}
    records.write(place, ReadyRecord(NAME, "abc", snapshot, files, 1.0))
    config.write_text("{ }")


def test_a_check_without_a_code_is_shown_in_its_english() -> None:
    """It was stored by an earlier version."""
    old = HealthCheck("Model", "warn", "It is away.", "Fetch it.")
    assert shown(old, "de") == ("It is away.", "Fetch it.")
    assert KBError("It is away.").problem is None


def clauses() -> Iterator[str]:
    """Yield the reasons for the CPU in the source, with a figure for each value."""
    tree = ast.parse((PROJECT_ROOT / "gpu" / "devices.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "_DeviceUnusable":
            continue
        said = node.args[0]
        if isinstance(said, ast.Constant):
            yield str(said.value)
        elif isinstance(said, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "7" for part in said.values
            )


def test_the_reasons_for_the_cpu_are_german() -> None:
    found = [each for each in clauses() if not each.startswith("a product came out")]
    assert len(found) > 5
    check_each(found, lambda each: not_english(each.replace("ROCm7", "ROCm")))


def not_english(clause: str) -> None:
    assert machine_reasons.in_german(clause) != clause


def test_each_known_reason_is_in_the_source() -> None:
    places = [*(PROJECT_ROOT / "gpu").glob("*.py"), PROJECT_ROOT / "kb/inference/memory_fit.py"]
    source = "".join(re.sub(r'"\s+f?"', "", path.read_text("utf-8")) for path in places)

    def check(english: str) -> None:
        for part in re.split(r"\{\w+\}", english):
            assert part.strip() in source, part

    check_each(machine_reasons.DE, check)


def test_a_reason_within_another_is_german_too() -> None:
    said = "KB_DEVICE=cuda cannot be used: this PyTorch is built without CUDA and ROCm"
    assert machine_reasons.in_german(said) == (
        "KB_DEVICE=cuda geht nicht: dieses PyTorch ist ohne CUDA und ROCm gebaut"
    )
    assert machine_reasons.in_german("anything else") == "anything else"


def test_a_long_chain_of_clauses_is_translated_in_one_pass() -> None:
    """Each level once: forty levels, twice at each, would never end."""
    parts: list[KBError | str] = [KBError("clause.direct", "directly") for _ in range(40)]
    chain = with_semicolons(parts)
    check = HealthCheck.of("Settings", "ok", KBError("check.settings", "{places}", places=chain))
    assert shown(check, "de").message == "; ".join(["direkt"] * 40)


def test_a_step_names_the_button_that_fetches_its_other_model() -> None:
    more = KBError(
        "clause.engine_more", "{engine}: kb models add {part}", engine="one", part="nemotron"
    )
    check = HealthCheck.of("Step speakers", "ok", KBError("check.step_on", "{about}", about=more))
    for language in ("en", "de"):
        said = shown(check, language).message
        assert MESSAGES[language]["models_fetch"] in said and "kb models" not in said
