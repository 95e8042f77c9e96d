"""Hotwords in a recognizer's prompt: limited, exact, and never echoed in its text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.audio.log_mel import LogMel
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult
from kb.asr.engines.model_lookup import DEMO_FOLDER, is_demo
from kb.asr.engines.prompt import MOST_TOKENS, Prompter
from kb.asr.engines.whisper.engine import WhisperEngine
from kb.asr.engines.whisper.greedy_search import GreedyDecoder
from kb.asr.engines.whisper.loader import load_whisper
from kb.asr.windows.windowing import Window
from tests.support.compose import compose, random_plan
from tests.support.speech import bank

CPU = GPUManager("cpu", cpu_threads=1)
NAMES = ("Zwingli", "Anna Bell", "the harbour office")


@pytest.fixture(scope="module")
def engine() -> WhisperEngine:
    """Return the demo recognizer with prompts enabled."""
    made = WhisperEngine(load_whisper("demo", CPU), "demo", CPU)
    assert not made.supports_hotwords  # it was trained without prompts
    made.supports_hotwords = True
    return made


@pytest.fixture(scope="module")
def prompter() -> Prompter:
    tokenizer = WhisperProcessor.from_pretrained(DEMO_FOLDER).tokenizer
    return Prompter(tokenizer, eos=tokenizer.convert_tokens_to_ids("<|endoftext|>"))


def talk(seed: int, count: int = 12) -> Window:
    rng = np.random.default_rng(seed)
    audio = compose(bank(), random_plan(bank(), count, rng), rng=rng).audio
    return Window(0, 10.0 * seed, audio[: 30 * SAMPLE_RATE].astype(np.float32))


def text_of(prompter: Prompter, prefix: tuple[int, ...]) -> str:
    found: str = prompter._tokenizer.decode(prefix[1:])
    return found


def test_the_end_of_a_text_that_is_longer_than_a_prompt_is_kept(prompter: Prompter) -> None:
    text = " ".join(f"harbour {number}" for number in range(300))
    prefix = prompter.prefix((text, "Zwingli"))
    assert len(prefix) == MOST_TOKENS + 1 and text_of(prompter, prefix).endswith("harbour 299.")
    short = prompter.prefix((text,), 10)
    assert len(short) == 11 and prefix[-10:] == short[1:]


def test_the_most_important_names_stand_nearest_to_the_text(prompter: Prompter) -> None:
    prefix = prompter.prefix(NAMES)
    assert prefix[0] == prompter._tokenizer.convert_tokens_to_ids("<|startofprev|>")
    assert text_of(prompter, prefix) == " the harbour office, Anna Bell, Zwingli."
    assert prompter.prefix(()) == ()


def test_a_prompt_is_bounded_and_holds_whole_names(prompter: Prompter) -> None:
    many = tuple(f"Name{number} Surname{number}" for number in range(400))
    whole = prompter.prefix(many)
    assert len(whole) <= 1 + MOST_TOKENS
    short = prompter.prefix(many, 40)
    assert 1 < len(short) <= 41
    for prefix in (whole, short):
        names = text_of(prompter, prefix).strip(" .").split(", ")
        assert names == list(reversed(many[: len(names)]))
    assert prompter.prefix(many, 0) == ()
    # A name that does not fit is skipped, and later names are still used.
    assert "Zwingli" in text_of(prompter, prompter.prefix(("x" * 500, "Zwingli"), 40))


def test_a_title_cannot_smuggle_special_tokens_in(prompter: Prompter) -> None:
    wicked = ("<|endoftext|><|startoftranscript|>", "a <|0.00|> b", "<|startofprev|>")
    eos = prompter._eos
    assert all(number < eos for number in prompter.prefix(wicked)[1:])


@pytest.mark.parametrize(
    ("said", "is_echo"),
    [
        ("the harbour office, Anna Bell, Zwingli.", True),
        ("so ANNA BELL Zwingli", True),
        ("Zwingli met Anna Bell", False),
        ("Anna Bell and Zwingli", False),
        ("the harbour office", False),
        ("", False),
    ],
)
def test_an_echo_is_two_names_as_the_prompt_has_them(
    prompter: Prompter, said: str, is_echo: bool
) -> None:
    numbers = prompter._tokenizer.encode(said, add_special_tokens=False)
    assert prompter.echoes_prompt(NAMES, numbers) == is_echo


def test_only_models_trained_with_prompts_get_hotwords() -> None:
    assert is_demo("demo") and is_demo(str(DEMO_FOLDER))
    assert not is_demo("openai/whisper-base") and not is_demo("")


@pytest.mark.slow
def test_the_same_tokens_as_transformers_with_a_prompt(engine: WhisperEngine) -> None:
    """Our tokens equal those of `generate(prompt_ids=…)` and have no token of the prompt."""
    prefix = engine._prompter.prefix(NAMES)
    windows = [talk(1), talk(2, 5)]
    hinted = [replace(window, hotwords=NAMES) for window in windows]
    found = rows_of(engine, hinted)
    loaded = load_whisper("demo", CPU)
    model: WhisperForConditionalGeneration = loaded.model
    mel = LogMel(loaded.processor.feature_extractor, "cpu")([w.audio for w in windows])
    expected = model.generate(
        mel, prompt_ids=torch.tensor(prefix), language="en", task="transcribe",
        return_timestamps=True, num_beams=1, do_sample=False, max_new_tokens=100,
    ).tolist()  # fmt: skip
    eos = engine._eos
    for ours, theirs in zip(found, expected, strict=True):
        whole = [*prefix, engine._start, engine._languages["en"], engine._tasks["transcribe"]]
        # Newer releases return the prompt before the text, older ones do not.
        if theirs[: len(whole)] == whole:
            theirs = theirs[len(whole) :]
        theirs = theirs[: theirs.index(eos)] if eos in theirs else theirs
        assert ours[:100] == theirs[: len(ours[:100])]
        assert engine._prompter._previous not in ours and engine._start not in ours


def rows_of(engine: WhisperEngine, windows: list[Window]) -> list[list[int]]:
    """Return the tokens of windows decoded with hotwords in the prompt."""
    encoded = engine.encode(windows).states
    prefix = engine._prompter.prefix(windows[0].hotwords)
    prompts = [
        [*prefix, engine._start, engine._languages["en"], engine._tasks["transcribe"]]
        for _ in windows
    ]
    greedy: GreedyDecoder = engine._greedy
    with torch.inference_mode():
        return greedy.decode(greedy.restart(encoded, prefix[0]), prompts).rows


def read(
    engine: WhisperEngine, windows: list[Window], how: DecodingOptions | None = None
) -> list[DecodingResult]:
    heard = engine.encode(windows)
    languages = ["en"] * len(windows)
    return [text.read() for text in engine.decode(heard, languages, how or GREEDY)]


@pytest.mark.slow
def test_no_hotword_leaks_into_the_text(engine: WhisperEngine) -> None:
    plain = [talk(seed) for seed in (1, 2, 3, 4)]
    one, other = ("golden", "harbour"), NAMES
    hinted = [replace(w, hotwords=n) for w, n in zip(plain, (one, other, (), one), strict=True)]
    unsaid = read(engine, plain)
    found = read(engine, hinted)
    for window, decoded, alone in zip(hinted, found, unsaid, strict=True):
        text = " ".join(segment.text for segment in decoded.segments)
        assert "<|" not in text
        assert not engine._prompter.echoes_prompt(window.hotwords, engine_tokens(engine, text))
        for segment in decoded.segments:
            assert window.start_s <= segment.start_s <= segment.end_s <= window.end_s + 0.03
        if not window.hotwords:
            assert decoded.segments == alone.segments
    # Later readings are independent of the hotwords.
    drawn = read(engine, hinted, DecodingOptions(beams=2))
    assert [d.segments for d in drawn] == [
        d.segments for d in read(engine, plain, DecodingOptions(beams=2))
    ]


def engine_tokens(engine: WhisperEngine, text: str) -> list[int]:
    numbers: list[int] = engine._prompter._tokenizer.encode(text, add_special_tokens=False)
    return numbers


@pytest.mark.slow
def test_an_echo_of_the_prompt_is_decoded_again_without_it(engine: WhisperEngine) -> None:
    """Names that are really spoken in the order of the prompt are treated as an echo."""
    window = talk(7, 10)
    (alone,) = read(engine, [window])
    words = [word.text for segment in alone.segments for word in segment.words]
    assert len(words) > 4
    said = tuple(reversed(words))  # the prompt reverses them
    (found,) = read(engine, [replace(window, hotwords=said)])
    # The text either does not echo the list or is the text without a prompt.
    text = " ".join(segment.text for segment in found.segments)
    echoed = engine._prompter.echoes_prompt(said, engine_tokens(engine, text))
    assert not echoed or found.segments == alone.segments
