"""The JSON of Whisper and its relatives and of OpenAI's service: words, times, language.

The forms are those that the programs write: openai-whisper 20250625 (`WriteJSON`), faster-whisper
1.2 (its dataclasses) and 0.10 (named tuples), WhisperX 3.4, whisper-timestamped 1.15, stable-ts
2.19, Transformers 4 and 5, whisper.cpp 1.7 (`-oj`, `-ojf`), OpenAI's API reference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kb.errors import LibraryError
from kb.library.transcript_names import is_transcript
from kb.transcript.foreign import reader
from kb.types import MediaRef, Transcript

MEDIA = MediaRef("media/talk.wav", "", 20.0)
WORDS = ["Mountain,", "garden", "harbour.", "River", "village", "island."]
STARTS = [0.5, 1.5, 2.5, 5.0, 6.0, 7.0]
TEXTS = [" ".join(WORDS[:3]), " ".join(WORDS[3:])]
TEXT = " ".join(TEXTS)


def word(
    n: int, key: str = "word", chance: str = "probability", space: str = " "
) -> dict[str, Any]:
    return {key: f"{space}{WORDS[n]}", "start": STARTS[n], "end": STARTS[n] + 0.5, chance: 0.9}


def segment(n: int, **more: Any) -> dict[str, Any]:
    first = STARTS[3 * n]
    return {"id": n, "start": first, "end": first + 2.5, "text": f" {TEXTS[n]}", **more}


def whisper_segment(n: int, **more: Any) -> dict[str, Any]:
    return segment(
        n, seek=0, tokens=[50364, 1], temperature=0.0, avg_logprob=-0.2, compression_ratio=1.1,
        no_speech_prob=0.01, **more,
    )  # fmt: skip


def of(n: int, **how: str) -> list[dict[str, Any]]:
    return [word(3 * n + place, **how) for place in range(3)]


def bare(n: int) -> dict[str, Any]:
    """A word as OpenAI's service gives it: without marks and probability."""
    return {"word": WORDS[n].strip(",."), "start": STARTS[n], "end": STARTS[n] + 0.5}


def milliseconds(n: int) -> dict[str, Any]:
    start = int(1000 * STARTS[n])
    return {"text": WORDS[n], "start": start, "end": start + 500, "confidence": 0.9}


def named_tuple(n: int) -> list[Any]:
    words = [[STARTS[i], STARTS[i] + 0.5, f" {WORDS[i]}", 0.9] for i in range(3 * n, 3 * n + 3)]
    start = STARTS[3 * n]
    return [n + 1, 0, start, start + 2.5, f" {TEXTS[n]}", [50364], 0.0, -0.2, 1.1, 0.01, words]


def cpp(n: int) -> dict[str, Any]:
    start = int(1000 * STARTS[3 * n])
    return {
        "timestamps": {"from": "00:00:00,500", "to": "00:00:03,000"},
        "offsets": {"from": start, "to": start + 2500},
        "text": f" {TEXTS[n]}",
        "tokens": [{"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}, "id": 50364, "p": 0.9}],
    }


# With a time for each word
WITH_WORDS: dict[str, Any] = {
    "openai-whisper": {
        "text": f" {TEXT}", "language": "en",
        "segments": [whisper_segment(n, words=of(n)) for n in (0, 1)],
    },
    "faster-whisper": [whisper_segment(n, words=of(n)) for n in (0, 1)],
    "faster-whisper, named tuples": [named_tuple(0), named_tuple(1)],
    "whisperx": {
        "segments": [
            {**segment(n, words=of(n, chance="score", space="")), "speaker": f"SPEAKER_0{n}"}
            for n in (0, 1)
        ],
        "word_segments": [word(n, chance="score", space="") for n in range(6)],
        "language": "en",
    },
    "whisper-timestamped": {
        "text": f" {TEXT}", "language": "en",
        "segments": [
            whisper_segment(n, words=of(n, key="text", chance="confidence", space=""),
                            confidence=0.9)
            for n in (0, 1)
        ],
    },
    "stable-ts": {
        "text": f" {TEXT}", "language": "en", "ori_dict": {"text": TEXT, "segments": []},
        "segments": [whisper_segment(n, words=of(n)) for n in (0, 1)],
    },
    "verbose_json": {
        "task": "transcribe", "language": "english", "duration": 20.0, "text": TEXT,
        "segments": [whisper_segment(n) for n in (0, 1)], "words": [bare(n) for n in range(6)],
    },
    "verbose_json, words only": {
        "task": "transcribe", "language": "english", "duration": 20.0, "text": TEXT,
        "words": [bare(n) for n in range(6)], "usage": {"type": "duration", "seconds": 20},
    },
    "transformers, words": {
        "text": f" {TEXT}", "language": "english",
        "chunks": [
            {"text": f" {WORDS[n]}", "timestamp": [STARTS[n], STARTS[n] + 0.5]} for n in range(6)
        ],
    },
    "words without a head": [word(n) for n in range(6)],
    "words alone": {"words": [word(n) for n in range(6)], "language": "en"},
    "word segments alone": {"word_segments": [word(n, chance="score") for n in range(6)]},
    "assembly": {
        "id": "x", "language_code": "en_us", "audio_url": "https://example.org/a",
        "audio_duration": 20, "text": TEXT, "words": [milliseconds(n) for n in range(6)],
        "utterances": None, "confidence": 0.9,
    },
}  # fmt: skip
# With a time for each segment
WITH_SEGMENTS: dict[str, Any] = {
    "openai-whisper": {
        "text": f" {TEXT}", "segments": [whisper_segment(n) for n in (0, 1)], "language": "en",
    },
    "diarized_json": {
        "task": "transcribe", "duration": 20.0, "text": TEXT,
        "segments": [
            {**segment(n), "id": f"seg_{n}", "type": "transcript.text.segment", "speaker": "A"}
            for n in (0, 1)
        ],
    },
    "whisper.cpp, full": {
        "systeminfo": "x", "model": {"type": "base"}, "params": {"language": "auto"},
        "result": {"language": "en"}, "transcription": [cpp(0), cpp(1)],
    },
    "insanely-fast-whisper": {
        "speakers": [], "text": f" {TEXT}",
        "chunks": [
            {"timestamp": [STARTS[0], 3.0], "text": f" {TEXTS[0]}"},
            {"timestamp": [STARTS[3], None], "text": f" {TEXTS[1]}"},
        ],
    },
    "gladia": {"utterances": [segment(n, language="en", confidence=0.9) for n in (0, 1)]},
    "ids as text": {"segments": [{**segment(n), "id": str(n)} for n in (0, 1)]},
}  # fmt: skip
# Without any time
TEXT_ONLY: dict[str, Any] = {
    "openai json": {"text": TEXT},
    "openai json with usage": {"text": TEXT, "usage": {"type": "tokens", "total_tokens": 9}},
    "transformers": {"text": f" {TEXT}"},
}
ALL = {
    **{f"words: {name}": value for name, value in WITH_WORDS.items()},
    **{f"segments: {name}": value for name, value in WITH_SEGMENTS.items()},
    **{f"text: {name}": value for name, value in TEXT_ONLY.items()},
}


def read(folder: Path, document: object) -> Transcript:
    path = folder / "talk.json"
    path.write_text(json.dumps(document), "utf-8")
    return reader.read(path, MEDIA)


@pytest.mark.parametrize("form", WITH_WORDS)
def test_words_keep_their_times_and_marks(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, WITH_WORDS[form])
    assert found.text == TEXT
    assert [w.start_s for w in found.words] == STARTS
    assert [w.end_s for w in found.words] == [start + 0.5 for start in STARTS]
    assert [w.text.strip(",.") for w in found.words] == [w.strip(",.") for w in WORDS]
    assert {w.probability for w in found.words} <= {0.9, 1.0}
    assert found.language == ("" if form in ("faster-whisper", "faster-whisper, named tuples",
                                             "words without a head", "word segments alone")
                              else "en")  # fmt: skip


@pytest.mark.parametrize("form", WITH_SEGMENTS)
def test_segments_keep_their_times(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, WITH_SEGMENTS[form])
    assert [segment.text for segment in found.segments] == TEXTS
    assert [segment.start_s for segment in found.segments] == [0.5, 5.0]
    assert found.words == ()


@pytest.mark.parametrize("form", TEXT_ONLY)
def test_a_text_alone_fills_the_medium(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, TEXT_ONLY[form])
    assert found.text == TEXT and "estimated" in found.warnings[0]


@pytest.mark.parametrize("form", ALL)
def test_no_form_passes_for_metadata(form: str) -> None:
    assert is_transcript(ALL[form])


@pytest.mark.parametrize(
    "document",
    [
        {"text": "", "segments": [], "language": "en"},
        {"text": ""},
        [],
        {"segments": []},
        {"task": "transcribe", "duration": 20.0, "text": "", "words": [], "segments": []},
        {"transcription": []},
        {"text": " ", "chunks": []},
        {"events": []},
    ],
)
def test_an_empty_one_is_named_and_is_no_metadata(tmp_path: Path, document: object) -> None:
    assert is_transcript(document)
    with pytest.raises(LibraryError) as raised:
        read(tmp_path, document)
    assert raised.value.code == "transcript.not_read" and "no words" in raised.value.message


DEEPGRAM = {"transcript": "hello", "words": [{"word": "hello", "start": 0.1, "end": 0.5}]}
NOT_READ: dict[str, object] = {
    "Deepgram": {"metadata": {}, "results": {"channels": [{"alternatives": [DEEPGRAM]}]}},
    "Deepgram, utterances": {"results": {"channels": [], "utterances": [DEEPGRAM]}},
    "Deepgram, silence": {
        "results": {"channels": [{"alternatives": [{"transcript": "", "words": []}]}]}
    },
    "Amazon": {
        "jobName": "a", "results": {"transcripts": [{"transcript": "hello"}], "items": []},
    },
    "Google": {"results": [{"alternatives": [DEEPGRAM]}]},
    "Speechmatics": {
        "format": "2.9",
        "results": [{"type": "word", "start_time": 0.1, "alternatives": [{"content": "hello"}]}],
    },
    "Rev": {"monologues": [{"speaker": 0, "elements": [{"type": "text", "value": "hello"}]}]},
    "Azure": {"combinedPhrases": [{"text": "hello"}], "phrases": [{"text": "hello"}]},
    "Azure, batch": {"recognizedPhrases": [{"nBest": [{"display": "hello"}]}]},
    "segments with other keys": {"segments": [{"content": "hello"}]},
    "words with other keys": {"words": [{"content": "hello"}]},
    "a word as a segment": {"segments": [{"word": "hello", "start": 0.1, "end": 0.5}]},
    "a list of others": [{"content": "hello"}],
    "a list of numbers": [1, 2],
    "an object": {"a": 1},
    "a text": "hello",
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_READ)
def test_the_json_of_another_service_is_not_called_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(LibraryError) as raised:
        read(tmp_path, NOT_READ[name])
    assert raised.value.code == "transcript.not_read"
    assert "of a form that is not read" in raised.value.message


def test_the_words_of_vosk_have_their_times(tmp_path: Path) -> None:
    words = [{"conf": 1.0, "start": 0.1, "end": 0.5, "word": "hello"}]
    (segment,) = read(tmp_path, {"result": words, "text": "hello"}).segments
    assert (segment.start_s, segment.end_s, len(segment.words)) == (0.1, 0.5, 1)


@pytest.mark.parametrize(
    "document",
    [
        {"title": "A talk", "text": "its description", "duration": 20},
        {"id": "x", "title": "A talk", "webpage_url": "https://example.org", "chapters": []},
        {"uploader": "Anna", "transcript": "https://example.org/transcript"},
        {"version": 1, "item": {"id": "file:x"}},
        {"formats": [{"url": "x"}], "subtitles": {"en": [{"ext": "vtt"}]}},
        {},
        "text",
        None,
        7,
    ],
)
def test_metadata_is_no_transcript(document: object) -> None:
    assert not is_transcript(document)


def test_words_that_are_not_those_of_the_text_keep_their_times(tmp_path: Path) -> None:
    """The service counts in words what its text writes in figures."""
    document = {
        "language": "english", "text": "In 2024. We left.",
        "segments": [
            {"start": 1.0, "end": 3.0, "text": "In 2024."},
            {"start": 4.0, "end": 5.0, "text": "We left."},
        ],
        "words": [
            {"word": "In", "start": 1.0, "end": 1.2}, {"word": "twenty", "start": 1.3, "end": 1.7},
            {"word": "We", "start": 4.0, "end": 4.3}, {"word": "left", "start": 4.4, "end": 4.9},
        ],
    }  # fmt: skip
    found = read(tmp_path, document)
    assert [segment.text for segment in found.segments] == ["In 2024.", "We left."]
    assert [[w.text for w in s.words] for s in found.segments] == [["In", "twenty"], ["We", "left"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_encodings_of_shells(tmp_path: Path, encoding: str) -> None:
    """A redirection of PowerShell writes UTF-16."""
    path = tmp_path / "talk.json"
    path.write_bytes(json.dumps({"text": "Größe"}, ensure_ascii=False).encode(encoding))
    assert reader.read(path, MEDIA).text == "Größe"
