"""Checks of settings that accept a few values; the error names them."""

from __future__ import annotations

import re

from pydantic import AfterValidator

# Codes of the languages that the engines know, Whisper's and Qwen3-ASR's.
LANGUAGES = (
    "af", "am", "ar", "as", "az", "ba", "be", "bg", "bn", "bo", "br", "bs", "ca", "cs",
    "cy", "da", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fil", "fo", "fr", "gl",
    "gu", "ha", "haw", "he", "hi", "hr", "ht", "hu", "hy", "id", "is", "it", "ja", "jw",
    "ka", "kk", "km", "kn", "ko", "la", "lb", "ln", "lo", "lt", "lv", "mg", "mi", "mk",
    "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn", "no", "oc", "pa", "pl", "ps",
    "pt", "ro", "ru", "sa", "sd", "si", "sk", "sl", "sn", "so", "sq", "sr", "su", "sv",
    "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "uk", "ur", "uz", "vi", "yi",
    "yo", "yue", "zh",
)  # fmt: skip
COMPUTE_TYPES = (
    *("int8", "int8_float32", "int8_float16", "int8_bfloat16", "int16"),
    *("float16", "bfloat16", "float32"),
)
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_DEVICE = re.compile(r"auto|cpu|mps|(cuda|rocm|hip)(:\d{1,3})?")


def one_of(*known: str) -> AfterValidator:
    """Return a validator that accepts these values in any case and returns them in lower case."""

    def check(value: str) -> str:
        plain = value.strip().lower()
        if plain not in known:
            raise ValueError(f"one of these is expected: {', '.join(known)}")
        return plain

    return AfterValidator(check)


def _device(value: str) -> str:
    if not _DEVICE.fullmatch(value.strip().lower()):
        raise ValueError("one of these is expected: auto, cuda, cuda:N, mps, cpu")
    return value


DEVICE = AfterValidator(_device)


MOST_READERS = 64


def _readers(value: str) -> str:
    plain = value.strip().lower()
    if plain != "auto" and not (
        plain.isascii() and plain.isdecimal() and int(plain) <= MOST_READERS
    ):
        raise ValueError(f"auto or a number from 0 to {MOST_READERS} is expected")
    return plain


READERS = AfterValidator(_readers)
