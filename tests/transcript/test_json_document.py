"""The exact transcript as JSON: every field comes back, damage is named by its field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kb.errors import LibraryError, TranscriptionError
from kb.transcript import render
from kb.transcript.formats import json_document
from kb.types import (
    ExpectedErrors,
    Segment,
    SoundFacts,
    UnsurePassage,
    Word,
)
from tests.support.random_transcripts import SEEDS, make_transcript, random_transcript


@pytest.mark.parametrize("seed", SEEDS)
def test_json_is_exact(seed: int) -> None:
    transcript = random_transcript(seed, timestamps="word" if seed % 2 else "segment")
    document = json.loads(render(transcript, "json"))
    assert json_document.from_document(document) == transcript
    assert json_document.to_document(json_document.from_document(document)) == document


def test_json_has_the_promised_fields() -> None:
    segment = Segment(0.0, 1.0, "Hi", (Word(0.1, 0.9, "Hi", 0.5),))
    document = json_document.to_document(make_transcript((segment,)))
    assert document["media"] == {
        "path": "talks/Größe.mp4",
        "sha256": "ab" * 32,
        "duration_s": 4000.5,
    }
    assert document["segments"] == [
        {
            "start": 0.0,
            "end": 1.0,
            "text": "Hi",
            "words": [{"start": 0.1, "end": 0.9, "text": "Hi", "probability": 0.5}],
        }
    ]
    assert set(document["coverage"]) == {
        *("speech_s", "covered_s", "ratio", "gaps", "repaired", "suspect_s", "trusted", "grade")
    }
    assert {"load_s", "decode_s", "vad_s", "asr_s", "total_s", "rtfx"} <= set(document["timing"])
    assert {"language", "engine", "model", "preset", "chunk_s", "timestamps", "warnings"} <= set(
        document
    )
    assert document["truncated"] is False


def damaged() -> Iterator[tuple[str, Any]]:
    good = json_document.to_document(random_transcript(5))
    yield "segments", {**good, "segments": None}
    yield "segments", {key: value for key, value in good.items() if key != "segments"}
    yield "segments[0]", {**good, "segments": ["text"]}
    yield "start", {**good, "segments": [{"end": 1, "text": "x"}]}
    yield "text", {**good, "segments": [{"start": 0, "end": 1, "text": 5}]}
    yield (
        "words[0]",
        {
            **good,
            "segments": [{"start": 0, "end": 1, "text": "x", "words": [{"start": "0"}]}],
        },
    )
    yield "speech_s", {**good, "coverage": {"speech_s": True}}
    yield "timestamps", {**good, "timestamps": "letters"}
    yield "warnings", {**good, "warnings": [1]}
    yield "truncated", {**good, "truncated": "yes"}
    yield "chunk_s", {**good, "chunk_s": float("nan")}
    yield "media", {**good, "media": []}


@pytest.mark.parametrize(("field", "document"), list(damaged()))
def test_damaged_json_names_file_and_field(field: str, document: dict[str, Any]) -> None:
    with pytest.raises(LibraryError) as caught:
        json_document.from_document(document, source="talk.transcript.json")
    assert "talk.transcript.json" in caught.value.message
    assert field in caught.value.message
    assert caught.value.hint


def test_json_of_an_older_version_and_of_a_newer_one() -> None:
    transcript = json_document.from_document(
        {"segments": [{"start": 0, "end": 1, "text": "x"}], "a": 1}
    )
    assert transcript.text == "x" and transcript.chunk_s == 30.0


@pytest.mark.parametrize(
    ("warning", "truncated"),
    [
        ("The file ends at 0:03 of 0:06 declared: it looks truncated.", True),
        ("The sound ends at 0:03 of 0:06 declared: the file may be truncated.", True),
        ("The file breaks off at 0:03: it looks truncated.", True),
        ("The file is damaged in places (truncated packet): words may be missing there.", False),
        ("No speech was found in this medium.", False),
    ],
)
def test_truncation_is_read_from_the_warning_of_a_document_without_the_key(
    warning: str, truncated: bool
) -> None:
    document = json_document.to_document(make_transcript(()))
    document["warnings"] = [warning]
    assert not json_document.from_document(document).truncated
    del document["truncated"]
    assert json_document.from_document(document).truncated is truncated


def test_json_keeps_that_a_medium_is_truncated() -> None:
    transcript = replace(make_transcript(()), truncated=True)
    assert json_document.from_document(json_document.to_document(transcript)).truncated


def test_json_refuses_what_is_no_number() -> None:
    with pytest.raises(TranscriptionError):
        render(make_transcript((Segment(float("nan"), 1.0, "x", ()),)), "json")


def test_json_of_a_name_that_is_no_utf8() -> None:
    transcript = make_transcript(())
    transcript = replace(transcript, media=replace(transcript.media, path="talk\udcff.mp4"))
    stored = render(transcript, "json").encode("utf-8", "backslashreplace")
    assert json_document.from_document(json.loads(stored)) == transcript


@pytest.mark.parametrize(
    ("errors", "keys"),
    [
        (None, {"expected_errors": None}),
        (ExpectedErrors(0.0123), {"expected_errors": 0.0123}),
        (
            ExpectedErrors(0.24, (UnsurePassage(1.0, 3.5, 0.5), UnsurePassage(8.0, 9.0, 0.3))),
            {
                "expected_errors": 0.24,
                "unsure": [
                    {"start": 1.0, "end": 3.5, "share": 0.5},
                    {"start": 8.0, "end": 9.0, "share": 0.3},
                ],
            },
        ),
    ],
)
@pytest.mark.parametrize(
    "sound",
    [
        None,
        SoundFacts(),
        SoundFacts(-3.5, -20.0, 3500.0, 0.001, 0.12, 2.75, ("narrow_band", "fast")),
    ],
)
def test_expected_errors_and_the_sound_come_back(
    errors: ExpectedErrors | None, keys: dict[str, Any], sound: SoundFacts | None
) -> None:
    made = replace(random_transcript(3), expected_errors=errors, sound=sound)
    document = json.loads(render(made, "json"))
    assert {name: document.get(name) for name in keys} == keys
    assert json_document.from_document(document) == made


def test_a_document_without_expected_errors_is_one_that_was_not_measured() -> None:
    document = json_document.to_document(random_transcript(3))
    for name in ("expected_errors", "unsure", "sound"):
        document.pop(name, None)
    found = json_document.from_document(document)
    assert (found.expected_errors, found.sound) == (None, None)
    assert found == random_transcript(3)
