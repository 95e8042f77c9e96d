"""Tokens read by the own table: the words equal those of transformers, in every script."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES, _combine_tokens_into_words

from benchmarks.support.weights import make_tokenizer
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.asr.engines.whisper.token_text import TokenText

SCRIPTS = {
    "en": " It's “quoted” (once), isn't it? Yes: 3.5 % – well…",
    "de": " Straße, Übermut und „Grüße“ – 1.000 € (etwa)!",
    "fr": " L’été, où ça ? « Déjà » : à l'œuvre.",
    "es": " ¿Qué pasó? ¡Nada! El niño comió piña.",
    "ru": " Привет, мир! Как дела? «Хорошо».",
    "el": " Καλημέρα, τι κάνεις; Όλα καλά.",
    "ar": " مرحبا بالعالم، كيف حالك؟",
    "he": " שלום עולם, מה שלומך?",
    "hi": " नमस्ते दुनिया, आप कैसे हैं?",
    "ta": " வணக்கம் உலகம்!",
    "ka": " გამარჯობა, მსოფლიო.",
    "am": " ሰላም ልዑል።",
    "ko": " 안녕하세요, 세계! 잘 지내요?",
    "zh": "你好,世界。今天天气怎么样?「很好」、谢谢!",
    "ja": "こんにちは、世界。お元気ですか?カタカナと漢字。",
    "th": "สวัสดีชาวโลก สบายดีไหม",
    "lo": "ສະບາຍດີ ໂລກ",
    "my": "မင်္ဂလာပါ ကမ္ဘာ",
    "yue": "你食咗飯未呀?食咗喇!",
    "vi": " Xin chào thế giới, bạn có khỏe không?",
    "xx": " 👩‍👩‍👧‍👦🏳️‍🌈 😀e\u0301a\u0308 \u200b\ufeff\ufffd\t\n<|1.00|> <|x|> "
    "𝔘𝔫𝔦 \U0001f1e9\U0001f1ea",
}


@cache
def tokenizer(name: str) -> Any:
    if name == "demo":
        return AutoTokenizer.from_pretrained(DEMO_FOLDER, local_files_only=True)
    if name == "bytes":  # a token for every byte, so that a character has up to four
        return make_tokenizer(300)
    # Byte pairs of all scripts: tokens that end within characters, and whole words.
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trained.train_from_iterator([text for text in SCRIPTS.values() for _ in range(3)], trainer)
    vocabulary = trained.get_vocab()
    vocabulary["<|endoftext|>"] = len(vocabulary)
    pairs = WhisperTokenizer(vocab=vocabulary, merges=[], pad_token="<|endoftext|>")
    specials = ["<|startoftranscript|>", "<|ünïcode 语|>", "<|notimestamps|>"]
    pairs.add_special_tokens({"additional_special_tokens": specials})
    return pairs


TOKENIZERS = ("demo", "bytes", "pairs")


def by_transformers(name: str, tokens: list[int], language: str) -> list[tuple[str, int, int]]:
    texts, _, places = _combine_tokens_into_words(
        tokenizer(name), list(tokens), LANGUAGES.get(language, "english")
    )
    return [(text, own[0], own[-1] + 1) for text, own in zip(texts, places, strict=True)]


def by_ours(name: str, tokens: list[int], language: str) -> list[tuple[str, int, int]]:
    groups = TokenText(tokenizer(name)).words(tokens, language)
    return [(group.text, group.first, group.end) for group in groups]


def pieces(name: str, text: str) -> list[int]:
    """Return tokens of a text: random ones of those that begin its bytes (no merges needed)."""
    known = tokenizer(name).get_vocab()
    rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    rng = random.Random(text)
    tokens: list[int] = []
    for word, _ in rest:
        while word:
            sizes = [n for n in range(1, min(len(word), 12) + 1) if word[:n] in known]
            size = rng.choice(sizes) if sizes else 1
            if sizes:
                tokens.append(known[word[:size]])
            word = word[size:]
    return tokens


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("language", SCRIPTS)
def test_words_of_a_script_are_those_of_transformers(name: str, language: str) -> None:
    tokens = pieces(name, SCRIPTS[language])
    assert by_ours(name, tokens, language) == by_transformers(name, tokens, language)
    text = TokenText(tokenizer(name)).text(tokens)
    assert text == tokenizer(name).decode(tokens)
    if name != "demo":  # the demo recognizer has no tokens for some characters
        assert text == SCRIPTS[language].replace("<|1.00|>", "")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", TOKENIZERS)
def test_words_of_random_tokens_are_those_of_transformers(name: str, seed: int) -> None:
    rng = random.Random(f"{name} {seed}")
    known = tokenizer(name)
    before_timestamps = known.all_special_ids[-1] + 1
    for language in ("en", "zh"):
        tokens: list[int] = []
        for _ in range(rng.randrange(1, 6)):
            if rng.random() < 0.5:
                tokens += pieces(name, rng.choice(list(SCRIPTS.values())))[: rng.randrange(1, 12)]
            else:  # also special tokens and bytes that are no text
                tokens += [rng.randrange(before_timestamps) for _ in range(rng.randrange(1, 6))]
        assert by_ours(name, tokens, language) == by_transformers(name, tokens, language)
        assert TokenText(known).text(tokens) == known.decode(tokens)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        (" Hello world.", "en", [" Hello", " world."]),
        (" (once) “twice”", "en", [" (once)", " “twice”"]),
        ("你好。", "zh", ["你", "好。"]),
        (" naïve 😀!", "en", [" naïve", " 😀!"]),
        ("", "en", []),
    ],
)
def test_words_keep_their_punctuation(text: str, language: str, words: list[str]) -> None:
    groups = TokenText(tokenizer("bytes")).words(pieces("bytes", text), language)
    assert [group.text for group in groups] == words
    assert [group.first for group in groups[1:]] == [group.end for group in groups[:-1]]


def test_tokens_without_a_name_have_no_text() -> None:
    reader = TokenText(tokenizer("bytes"))
    assert reader.text([10**6]) == ""
    assert reader.words([10**6], "en") == []
