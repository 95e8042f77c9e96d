"""Checks of this machine and findings of the library's check, in both languages of the page."""

from __future__ import annotations

import ast
import json
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from kb.enrich import get_step
from kb.errors import KBError, restored
from kb.hub import cache, fetch_state, records
from kb.hub import errors as hub_errors
from kb.hub.fetch_state import FetchState, State
from kb.hub.records import ReadyRecord
from kb.service import Service
from kb.service.health import HealthCheck, check_all
from kb.service.health_check import with_commas, with_semicolons
from kb.service.health_models import check_models
from kb.settings import PROJECT_ROOT, get_settings
from kb.settings.env_sources import Origin
from kb.sinks.local.embedding_choice import (
    HUB_MODEL,
    NANO,
    chosen_model,
    missing_part,
    model_to_add,
)
from kb.sinks.local.nano_e5 import NAME as NANO_NAME
from kb.sinks.local.nano_e5 import processor_fits
from kb.ui.i18n import MESSAGES, error_messages, errors, page_places
from tests.support.each_case import check_each
from tests.support.error_source import Raised
from tests.support.error_source import constructions as error_constructions
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
    # It takes over what an error has; a check is made by `HealthCheck.of`.
    assert {file for file, _ in constructions("Finding")} == {"check_run.py"}
    assert {file for file, _ in constructions("HealthCheck")} == set()


@pytest.mark.slow
def test_each_check_of_this_machine_is_german_on_a_german_page(home: Path) -> None:
    service = Service()
    checks = check_all(service.settings, service.inference_session)
    service.close()
    assert len(checks) > 12
    check_each(checks, is_translated, lambda check: check.name)


def is_translated(check: HealthCheck) -> None:
    assert check.problem is not None, check.detail
    assert check.problem["code"] in errors.DE, check.problem["code"]
    german = shown(check, "de")
    assert german.message and bool(german.hint) == bool(check.fix)
    for words in (" is ", " not ", " the ", " of ", "without"):
        assert words not in german.message, german.message


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
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    place = cache.repository_folder(NAME)
    (place / "blobs").mkdir(parents=True)
    if case.state is None:
        damage(place)
    else:
        problem = hub_errors.hub_status(NAME, 503).error.record() if case.state == "failed" else {}
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


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("count", [1, 2, 250])
def test_a_finding_of_many_clauses_is_a_flat_list(count: int, language: str) -> None:
    """Its size is in proportion to their number, and so is the time to show it."""
    origins = [Origin(f"KB_SETTING_{n}", Path("/home/anna/library/.env"), n) for n in range(count)]
    places = with_semicolons([each.clause() for each in origins])
    check = HealthCheck.of("Settings", "ok", KBError("check.settings", "{places}", places=places))
    document = json.dumps(asdict(check))
    assert len(document) < 2_000 + 700 * count
    assert len(document) < 200_000
    assert depth(asdict(check)["problem"]) < 10
    stored = json.loads(document)
    said = error_messages.translate_error(
        restored(stored["detail"], stored["fix"], stored["problem"]), language
    )
    line = "Zeile" if language == "de" else "line"
    parts = said.message.split("; ")
    assert len(parts) == count and all(line in part for part in parts)


def depth(value: Any) -> int:
    """Return how deep lists and objects are within each other."""
    parts = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth, parts), default=0)


def test_a_list_of_clauses_may_be_nested_and_hold_texts() -> None:
    direct = KBError("clause.direct", "directly")
    parts = with_commas(["TF32", with_semicolons([direct, "x"]), direct])
    check = HealthCheck.of("Hardware", "ok", KBError("check.hardware", "{facts}", facts=parts))
    assert check.detail == "TF32, directly; x, directly"
    assert shown(check, "de").message == "TF32, direkt; x, direkt"
    assert with_commas([]) == "" and with_commas(["one"]) == "one"


NESTED_STEPS: dict[str, KBError] = {
    # A clause with the message and the next step of an error.
    "engine_lacks": KBError(
        "check.step_on",
        "{about}",
        about=KBError(
            "clause.engine_lacks",
            "{engine}. {cause} {cause.hint}",
            engine="one",
            cause=KBError(
                "speakers.incomplete",
                "The model {engine} in {path} lacks {files}.",
                hint="Put its files there again; or leave KB_SPEAKER_MODEL empty, remove the "
                "folder and fetch it: {command}",
                engine="nemotron",
                path="/there",
                files="config.json",
                command="kb models add nemotron",
            ),
        ),
    ),
    "engine_more": KBError(
        "check.step_on",
        "{about}",
        about=KBError(
            "clause.engine_more", "{engine}: kb models add {part}", engine="one", part="nemotron"
        ),
    ),
    "step_lacks": KBError(
        "check.step_lacks",
        "{cause} The step is left out until then.",
        hint="{cause.hint}",
        cause=KBError("Its model is not here.", hint="Fetch it: kb models add speakers"),
    ),
    "odin_unused": KBError(
        "check.odin_unused",
        "{host} answers, and the key fits project {project}; not among KB_SINKS, so only kb "
        "publish --to odin sends",
        host="https://odin",
        project="p",
    ),
    "voices_absent": KBError(
        "check.voices_absent",
        "None; texts cannot be read aloud. {cause.hint}",
        cause=KBError("It is not here.", hint="See what is here: kb doctor"),
    ),
    "odin_absent": KBError(
        "check.odin_absent",
        "not set up: without {names} nothing is published there",
        hint="Set API_KEY, API_SECRET and ODIN_PROJECT_ID in .env.",
        names="API_KEY",
    ),
}


def test_a_next_step_within_a_message_names_a_place_of_the_page() -> None:
    check_each(NESTED_STEPS, no_command_is_left)


def no_command_is_left(name: str) -> None:
    check = HealthCheck.of(name, "ok", NESTED_STEPS[name])
    for language in ("en", "de"):
        said = " ".join(shown(check, language))
        assert "kb " not in said and ".env" not in said, said


def test_each_message_of_a_check_has_places_for_commands() -> None:
    """Each sentence in the source, as the page shows it in English and German."""
    sentences = [
        each
        for each in error_constructions()
        if isinstance(each, Raised) and each.code.startswith(("check.", "clause."))
    ]
    check_each(sentences, its_message_has_places, lambda each: each.code)


def its_message_has_places(each: Raised) -> None:
    english = errors.EN_PAGE[each.code][0] if each.code in errors.EN_PAGE else each.template
    for message in (english, errors.DE[each.code][0]):
        shown = page_places.with_places(message, MESSAGES["en"].__getitem__, each.code)
        assert not re.search(r"\bkb [a-z]", shown), shown


def test_a_damaged_model_of_meaning_is_removed_then_fetched(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With KB_EMBEDDING_MODEL=auto nothing is fetched by itself after a removal."""
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    damage(cache.repository_folder(HUB_MODEL))
    monkeypatch.setenv("KB_EMBEDDING_MODEL", HUB_MODEL)
    get_settings.cache_clear()
    service = Service()
    checks = check_models(service.settings, service.inference_session)
    service.close()
    (check,) = [each for each in checks if each.name == "Embedding model"]
    for language in ("en", "de"):
        hint, words = shown(check, language).hint, MESSAGES[language]
        assert hint.index(words["models_remove"]) < hint.index(words["models_fetch"])
        assert HUB_MODEL in hint and words["part_models"] in hint


@pytest.mark.parametrize("machine", ["x86_64", "arm64"])
def test_of_auto_nothing_is_chosen_after_the_removal(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row under Settings, Models has the model that its button brings to this machine."""
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))  # without a model
    monkeypatch.setattr(platform, "machine", lambda: machine)
    get_settings.cache_clear()
    processor_fits.cache_clear()
    try:
        assert not processor_fits() or machine == "x86_64"
        brought = NANO if processor_fits() else HUB_MODEL
        name = NANO_NAME if processor_fits() else HUB_MODEL
        assert chosen_model("auto") == "" and model_to_add("auto") == brought
        assert (chosen_model("none"), model_to_add("none")) == ("", "")
        missing = missing_part("auto")
        assert missing is not None and "kb models add meaning" in missing.hint
        assert brought in missing.message
        (row,) = get_step("meaning").part_states()
        assert (row.model, row.path, bool(row.package)) == (name, None, brought == NANO)
        assert get_step("meaning").model == name
    finally:
        processor_fits.cache_clear()
        get_settings.cache_clear()
