"""The table of models: its rows, the user's own rows before them, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.asr.engines.model_lookup import DEMO_FOLDER, resolve
from kb.asr.engines.model_registry import known_models
from kb.asr.engines.model_table import DEFAULT, load_models
from kb.errors import ModelUnavailable, SettingsError
from kb.inference.model_choice import check_machine, for_other_machines
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.service.models import Models
from kb.service.served_models import ServedModels
from kb.settings import Settings
from tests.support.raising import raises

OWN = """
quick:
  model: demo
  engine: faster-whisper
  aliases: [turbo, whisper-1]
  batch: 3
  languages: [en, de]
  translate: true
  idle_s: 60
default:
  aliases: [house]
"""


def settings(folder: Path, text: str = "", **more: str) -> Settings:
    file = folder / "own.yaml"
    file.write_text(text, encoding="utf-8")
    own = {"KB_MODELS_FILE": str(file)} if text else {}
    return Settings.model_validate({"KB_HOME": str(folder), "KB_DEVICE": "cpu", **own, **more})


def test_each_known_model_has_a_row_with_its_engine_and_short_name(tmp_path: Path) -> None:
    table = load_models(settings(tmp_path))
    rows = {row.id: row for row in table}
    known = {model.repository: model for model in known_models()}
    assert set(rows) == {*known, "demo", DEFAULT}
    for repository, model in known.items():
        row = rows[repository]
        assert row.engine == model.engine and model.name in row.aliases
        # A model of one language has nothing to translate; turbo was not trained to.
        one = row.languages == ("en",)
        assert one == (model.languages == 1) and not (one and row.translate)
    assert not rows["openai/whisper-large-v3-turbo"].translate and not rows["demo"].translate
    assert table.default("gpu").id == "openai/whisper-large-v3-turbo"
    assert table.default("cpu").id == "openai/whisper-base"


def test_rows_of_the_user_are_listed_and_named_where_a_model_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recognizer"
    folder.mkdir()
    for file in DEMO_FOLDER.iterdir():
        (folder / file.name).symlink_to(file)
    rows = {
        "minutes": "openai/whisper-large-v3\n  languages: [en, de]",
        "mine": str(folder),
        "short": "demo",
        "away": str(tmp_path / "none"),
    }
    text = "".join(f"{name}:\n  model: {model}\n" for name, model in rows.items())
    own = settings(tmp_path, f"{text}openai/whisper-tiny:\n  languages: [de]\n", KB_MODEL="short")
    found = Models(lambda: InferenceSession(own), own, None).list()  # type: ignore[arg-type]
    facts = {each.name: each for each in found}
    assert [each.name for each in found[:5]] == [*rows, "openai/whisper-tiny"]
    assert facts["minutes"].repository == "openai/whisper-large-v3"
    assert (facts["minutes"].languages, facts["minutes"].engine) == (2, "whisper")
    assert (facts["mine"].where, facts["mine"].disk_bytes > 1_000_000) == ("folder", True)
    assert facts["away"].state == "missing" and "tiny" not in facts
    assert [each.name for each in found if each.default] == ["short"]
    monkeypatch.setattr("kb.asr.engines.model_lookup.get_settings", lambda: own)
    with raises(ModelUnavailable, "model.unknown") as caught:
        resolve("nothing like it")
    assert ", ".join(rows) in caught.value.values["known"]


def test_rows_of_the_user_come_first(tmp_path: Path) -> None:
    table = load_models(settings(tmp_path, OWN))
    turbo, own = table.find("TURBO"), table.find("quick")
    assert turbo is own is not None and own.model == "demo"
    shipped = table.find("large-v3-turbo")
    assert shipped is not None and shipped.aliases == ("large-v3-turbo",)
    assert table.default_aliases == ("house",)


@pytest.mark.parametrize(
    ("text", "row", "field"),
    [
        ("quick:\n  batc: 2", "quick", "batc"),
        ("quick:\n  batch: two", "quick", "batch"),
        ("quick:\n  batch: 0", "quick", "batch"),
        ("quick:\n  batch: 300", "quick", "batch"),
        ("quick:\n  batch: true", "quick", "batch"),
        ("quick: 3", "quick", "model"),
        ("quick:\n  model: 3", "quick", "model"),
        ("quick:\n  id: other", "quick", "id"),
        ("quick:\n  engine: steam", "quick", "engine"),
        ("quick:\n  aliases: [a b]", "quick", "aliases"),
        ("quick:\n  aliases: turbo", "quick", "aliases"),
        ("a:\n  aliases: [x]\nb:\n  aliases: [X]", "b", "aliases"),
        ("a:\n  aliases: [b]\nb:\n  model: demo", "b", "aliases"),
        ("quick:\n  languages: [xx]", "quick", "languages"),
        ("quick:\n  translate: 1", "quick", "translate"),
        ("quick:\n  preload: yes please", "quick", "preload"),
        ("a:\n  preload: true\nb:\n  preload: true", "b", "preload"),
        ("quick:\n  idle_s: 0", "quick", "idle_s"),
        ("quick:\n  idle_s: .nan", "quick", "idle_s"),
        ("quick:\n  device: tpu", "quick", "device"),
        ("quick:\n  dtype: int3", "quick", "dtype"),
        ("quick:\n  default_on: mars", "quick", "default_on"),
        ("default:\n  batch: 3", "default", "batch"),
        ("a:b:\n  model: demo", "a:b", "id"),
    ],
)
def test_a_mistake_names_file_row_and_field(
    tmp_path: Path, text: str, row: str, field: str
) -> None:
    with raises(SettingsError, "models.row", row=row, field=field, path=tmp_path / "own.yaml"):
        load_models(settings(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "code"),
    [("[", "models.yaml"), ("- a", "models.no_rows"), ("a: {}\na: {}", "models.yaml")],
)
def test_a_file_that_is_no_table(tmp_path: Path, text: str, code: str) -> None:
    with raises(SettingsError, code):
        load_models(settings(tmp_path, text))
    with raises(SettingsError, "models.not_readable"):
        load_models(Settings.model_validate({"KB_MODELS_FILE": str(tmp_path / "none.yaml")}))


def test_a_name_of_the_table_is_taken_wherever_a_model_is_named(tmp_path: Path) -> None:
    for own, options in (
        (settings(tmp_path, OWN), RunOptions(model="turbo")),
        (settings(tmp_path, OWN, KB_MODEL="quick"), RunOptions()),
        (settings(tmp_path, OWN, KB_MODEL="quick"), RunOptions(model="house")),
    ):
        found = InferenceSession(own).transcription_options(options)
        assert (found.engine, found.model) == ("faster-whisper", "demo")
        assert found.preset.batch_size == 3 and found.languages == ("en", "de")
        assert found.idle_s == 60
        # A queue hands rows to machines that have other tables.
        named, facts = for_other_machines(options, own, lambda: "unused")
        assert (named.model, named.engine, named.batch_size) == ("demo", "faster-whisper", 3)
        assert (facts.languages, facts.device) == (("en", "de"), "any")


def test_a_model_for_other_machines_is_refused(tmp_path: Path) -> None:
    own = settings(tmp_path, "card:\n  model: demo\n  device: gpu\n", KB_MODEL="demo")
    session = InferenceSession(own)
    found = session.transcription_options(RunOptions(model="card"))
    with raises(SettingsError, "models.other_machine"):
        check_machine(found, "cpu")
    check_machine(found, "gpu")
    assert "card" not in ServedModels(session, own).names()


def test_rows_are_served_under_their_names(tmp_path: Path) -> None:
    own = settings(tmp_path, OWN, KB_MODEL="demo")
    served = ServedModels(InferenceSession(own), own)
    assert served.names()[0] == "demo" and "quick" in served.names()
    assert {"house", "turbo", "whisper-1"} <= set(served.aliases())
    quick = served.find("whisper-1")
    assert quick is not None and quick.may_translate
    assert quick.options == RunOptions(model="quick", engine="faster-whisper")
    plain = served.find("house")
    assert plain is not None and plain.options == RunOptions() and not plain.may_translate
    assert served.translating() == ("quick",)
    renamed = settings(tmp_path, OWN, KB_MODEL="quick")
    assert ServedModels(InferenceSession(renamed), renamed).names()[0] == "quick"
