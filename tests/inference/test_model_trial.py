"""The trial of a model before its first window, with engines that fail in it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpu.manager import GPUManager
from kb.asr.engines.base import DecodingResult, EncodedBatch
from kb.asr.engines.model_lookup import DEMO_FOLDER, has_passed
from kb.asr.windows.windowing import Window
from kb.errors import ModelUnavailable
from kb.inference.model_trial import TRIAL, try_model
from kb.types import Segment, Word

pytestmark = pytest.mark.slow

CPU = GPUManager("cpu", cpu_threads=1)


class Speaker:
    """An engine that says one text, or fails."""

    def __init__(self, text: str = "", error: Exception | None = None) -> None:
        self.text, self.error = text, error
        self.windows = 0

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        self.windows += len(windows)
        return EncodedBatch(tuple(windows), ({"de": -0.1, "en": -3.0},) * len(windows), (0.0, 0.0))

    def decode(self, encoded: EncodedBatch, languages: Sequence[str]) -> list[DecodingResult]:
        assert list(languages) == ["de", "de"]
        if self.error is not None:
            raise self.error
        words = tuple(Word(0.0, 0.1, part, 0.9) for part in self.text.split())
        segments = (Segment(0.0, 0.1, self.text, words, "de"),) if words else ()
        return [DecodingResult(segments, "de", -0.1, 0.0, 0.0)] * 2


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(shutil.copytree(DEMO_FOLDER, tmp_path / "model"))


def attempt(engine: Any, folder: str) -> str:
    try:
        try_model(engine, folder, CPU)
    except ModelUnavailable as error:
        assert error.hint
        return error.code
    return "passed"


@pytest.mark.parametrize("text", ["", "winter begins slowly", "12", "Ġorġ mar il-Belt", "???"])
def test_words_pass_once(folder: str, text: str) -> None:
    engine = Speaker(text)
    assert attempt(engine, folder) == "passed" and engine.windows == 2
    assert has_passed(folder, TRIAL)
    assert attempt(engine, folder) == "passed" and engine.windows == 2  # not a second time
    (Path(folder) / "config.json").write_text((Path(folder) / "config.json").read_text() + " ")
    assert attempt(engine, folder) == "passed" and engine.windows == 4  # other files


@pytest.mark.parametrize("text", ["<|6.06|> <|12.14|>", "Ġwinter Ġbegins", "▁the ▁end", "!" * 40])
def test_marks_of_a_tokenizer_do_not(folder: str, text: str) -> None:
    assert attempt(Speaker(text), folder) == "model.cannot_speak"
    assert not has_passed(folder, TRIAL)


@pytest.mark.parametrize(
    "error",
    [
        IndexError("index 51870 is out of range"), RuntimeError("mat1 and mat2 shapes"),
        KeyError("<|de|>"), ValueError(""), TypeError("Set `trust_remote_code=True`. Again."),
        ZeroDivisionError("division by zero"), AttributeError("no attribute"),
    ],
)  # fmt: skip
def test_a_failure_is_the_model_s(folder: str, error: Exception) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        try_model(Speaker(error=error), folder, CPU)  # type: ignore[arg-type]
    assert caught.value.code == "model.fails_itself" and not caught.value.retryable
    assert "trust_remote_code" not in caught.value.message


def test_the_bundled_model_has_passed() -> None:
    engine = Speaker("<|6.06|>")
    assert attempt(engine, "demo") == "passed" and engine.windows == 0
