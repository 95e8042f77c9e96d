"""Translations on this machine, by tiny models with random weights: lengths, order, languages.

What such a model says means nothing: the quality of a translation is not tested anywhere.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kb.enrich import get_step
from kb.enrich.base import FURTHER, ItemText, StepInput
from kb.enrich.translation.local_model import (
    LocalTranslator,
    choose,
    licence_of,
    missing,
    missing_files,
)
from kb.enrich.translation.pieces import open_pieces, read_model
from kb.errors import ModelUnavailable, UsageError
from kb.hub.client import HubFile
from kb.transcript.translation import read_translation
from kb.types import Segment
from tests.enrich.test_llm_client import settings
from tests.enrich.test_notes import transcript
from tests.support.items import item
from tests.support.raising import raises
from tests.support.tiny_translators import make_marian, make_nllb, sentence_pieces

TEXTS = ["The ferry leaves at noon.", "Yes!", "", "Welcome to the talk of today " * 60]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "marian": make_marian(folder / "opus-mt-en-de", folder / "w1"),
        "nllb": make_nllb(folder / "nllb-tiny", folder / "w2", ("eng_Latn", "deu_Latn")),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["marian", "nllb"])
def test_texts_stay_in_order_alone_and_together(name: str, models: dict[str, Path]) -> None:
    translator = LocalTranslator(str(models[name]), ("en", "de"))
    together = translator.translate(TEXTS)
    assert len(together) == len(TEXTS)
    assert [bool(each) for each in together] == [True, True, False, True]
    assert "Latn" not in " ".join(together) and "\u2581" not in " ".join(together)
    assert len(together[3]) > 3 * len(together[1])  # a long text was divided and joined
    # A text that spells the marks of the model is a text like any other.
    assert translator.translate(["The ferry</s> deu_Latn leaves", "</s>"])[0]


@pytest.mark.slow
def test_the_step_keeps_segments_and_names_model_and_licence(
    models: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    made = settings(tmp_path, KB_TRANSLATE_VIA="local", KB_TRANSLATE_MODEL=str(models["marian"]))
    texts = ["The ferry leaves", "at noon of today.", "  ", "Welcome to the talk."]
    segments = tuple(Segment(n * 3.0, n * 3.0 + 2.5, text, ()) for n, text in enumerate(texts))
    said = replace(transcript(segments), language="en")
    text = ItemText(item(1), said, made)
    data = StepInput(None, "abc", None, {"into": "de"}, text)
    shares: list[float] = []
    document = get_step("translate").run(data, shares.append)[FURTHER]["de.transcript"]
    found = read_translation(json.loads(json.dumps(document)), "de")
    assert [(each.start_s, each.end_s) for each in found.segments] == [
        (each.start_s, each.end_s) for each in segments
    ]
    assert [bool(each.text) or bool(each.mark) for each in found.segments] == [
        True, True, False, True,
    ]  # fmt: skip
    assert (found.model, found.licence, found.place) == ("opus-mt-en-de", "CC-BY 4.0", "")
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert str(tmp_path) not in json.dumps(document)
    wrong = StepInput(None, "abc", None, {"into": "fr"}, text)
    with raises(UsageError, "translation.not_its_language"):
        get_step("translate").run(wrong, lambda _: None)


@pytest.mark.slow
def test_languages_that_a_model_has_not_are_named(models: dict[str, Path]) -> None:
    for languages in (("en", "fr"), ("", "de"), ("bo", "de")):
        with raises(UsageError, "translation.not_its_language"):
            LocalTranslator(str(models["nllb"]), languages)


@pytest.mark.slow
def test_a_model_that_is_damaged_is_named(models: dict[str, Path], tmp_path: Path) -> None:
    for name in ("model.bin", "source.spm"):
        folder = tmp_path / name
        folder.mkdir()
        for path in models["marian"].iterdir():
            whole = path.read_bytes()
            (folder / path.name).write_bytes(whole[: len(whole) // 3] if path.name == name
                                             else whole)  # fmt: skip
        with raises(ModelUnavailable, "translation.not_loaded"):
            LocalTranslator(str(folder), ("en", "de"))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    problem = missing(settings(tmp_path))
    assert problem is not None and problem.code == "translation.no_model"
    empty = tmp_path / "empty"
    empty.mkdir()
    problem = missing(settings(tmp_path, KB_TRANSLATE_MODEL=str(empty)))
    assert problem is not None and "model.bin" in problem.message
    assert "source.spm" in problem.message and len(missing_files(empty)) == 4
    # One of the hub is fetched when it is used.
    assert missing(settings(tmp_path, KB_TRANSLATE_MODEL="someone/opus-mt-en-de-ct2")) is None


def test_models_of_another_format_are_refused() -> None:
    names = "config.json model.bin source.spm target.spm run.py README.md"
    converted = [HubFile(name, 9, "") for name in names.split()]
    assert [each.name for each in choose("a/b", converted)] == [
        "config.json", "model.bin", "source.spm", "target.spm",
    ]  # fmt: skip
    for other in (("config.json", "pytorch_model.bin"), ("config.json", "model.safetensors")):
        with raises(ModelUnavailable, "translation.other_format"):
            choose("a/b", [HubFile(name, 9, "") for name in other])


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("facebook/nllb-200-distilled-600M", "CC-BY-NC 4.0"),
        ("/models/NLLB-tiny/", "CC-BY-NC 4.0"),
        ("Helsinki-NLP/opus-mt-en-de", "CC-BY 4.0"),
        ("C:\\models\\opus-mt-de-en", "CC-BY 4.0"),
        ("someone/other", ""),
    ],
)
def test_the_licence_is_that_of_the_family(name: str, licence: str) -> None:
    assert licence_of(name) == licence


def test_words_are_cut_into_the_pieces_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "source.spm").write_bytes(sentence_pieces())
    pieces = open_pieces(tmp_path)
    assert pieces.cut("the  ferry, 12") == ["▁the", "▁ferry", ",", "▁", "1", "2"]
    assert pieces.join(pieces.cut("the ferry, 12")) == "the ferry, 12"
    assert "</s>" not in pieces.cut("</s> the")


@pytest.mark.parametrize("size", [1, 2, 7, 40, 400])
def test_a_file_that_is_cut_off_is_no_model(size: int, tmp_path: Path) -> None:
    data = sentence_pieces()[:size]
    try:
        read_model(data)  # it may end between two pieces
    except ValueError:
        (tmp_path / "source.spm").write_bytes(data)
        with pytest.raises(ValueError, match=r"cut off|unigram"):
            open_pieces(tmp_path)
