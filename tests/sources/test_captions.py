"""Captions: their selection, their parsers, and their comparison with a transcript."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.errors import LibraryError
from kb.sources.ytdlp.captions import select_track
from kb.transcript.caption_agreement import FLAG, add_caption_agreement, compare
from kb.transcript.caption_parser import read, spoken_text
from kb.transcript.formats import json_document
from kb.types import (
    CaptionFile,
    Coverage,
    MediaRef,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    WindowReport,
    Word,
)
from tests.support.raising import raises

MEDIA = MediaRef("talk.wav", "0" * 64, 180.0)


def formats(*exts: str) -> list[dict[str, str]]:
    return [{"ext": ext, "url": f"http://127.0.0.1/{ext}"} for ext in exts]


@pytest.mark.parametrize(
    ("info", "language", "automatic", "chosen"),
    [
        ({"subtitles": {"de": formats("vtt", "json3")}}, "de", False, ("de", False, "json3")),
        ({"subtitles": {"en-GB": formats("vtt"), "en": formats("srt")}}, "en-US", False,
         ("en", False, "srt")),
        ({"subtitles": {"de": formats("vtt")}, "language": "de-DE"}, None, False,
         ("de", False, "vtt")),
        # A translation is no evidence, human or automatic.
        ({"subtitles": {"fr": formats("vtt")}}, "de", False, None),
        ({"subtitles": {"fr": formats("vtt")}}, None, False, ("fr", False, "vtt")),
        ({"subtitles": {"fr": formats("vtt"), "de": formats("vtt")}}, None, False, None),
        # Chats and formats that are not supported.
        ({"subtitles": {"live_chat": formats("json")}}, None, True, None),
        ({"subtitles": {"de": formats("srv1", "ttml")}}, "de", True, None),
        # Automatic captions only on request, and no translations.
        ({"automatic_captions": {"en": formats("vtt")}}, "en", False, None),
        ({"automatic_captions": {"en": formats("vtt"), "de": formats("vtt")}}, "de", True,
         ("de", True, "vtt")),
        ({"automatic_captions": {"en": formats("vtt"), "de-orig": formats("vtt")}}, None, True,
         ("de-orig", True, "vtt")),
        ({"automatic_captions": {"en": formats("vtt"), "de": formats("vtt")}}, None, True, None),
        ({"subtitles": {"de": formats("vtt")}, "automatic_captions": {"de-orig": formats("vtt")}},
         "de", True, ("de", False, "vtt")),
        ({"subtitles": None, "automatic_captions": {}}, "en", True, None),
    ],
)  # fmt: skip
def test_selection_of_captions(
    info: dict[str, Any], language: str | None, automatic: bool, chosen: tuple[Any, ...] | None
) -> None:
    offer = select_track(info, language, automatic=automatic)
    assert (offer and (offer.language, offer.automatic, offer.ext)) == chosen


def lines(found: Transcript) -> list[tuple[float, float, str]]:
    return [(s.start_s, s.end_s, s.text) for s in found.segments]


def test_srt_and_vtt_without_notes_and_styles(tmp_path: Path) -> None:
    srt = tmp_path / "a.en.srt"
    srt.write_text(
        "1\r\n00:00:01,000 --> 00:00:03,500\r\n<i>The harbour</i>\r\nfreezes.\r\n\r\n"
        "2\r\n00:00:04,000 --> 00:00:05,000\r\n[Music]\r\n\r\n"
        "3\r\n00:00:06,000 --> 00:00:07,000\r\n- ANNA BELL: Yes.\r\n\r\n"
        "4\r\n00:00:07,500 --> 00:00:08,000\r\nYes.\r\n",
        encoding="utf-8-sig",
    )
    found = read(CaptionFile(srt, "en-GB", automatic=False), MEDIA)
    assert lines(found) == [
        (1.0, 3.5, "The harbour freezes."), (6.0, 7.0, "Yes."), (7.5, 8.0, "Yes."),
    ]  # fmt: skip
    assert (found.language, found.engine, found.model) == ("en", "captions", "captions by people")
    assert "captions by people" in found.warnings[0]
    vtt = tmp_path / "a.de.vtt"
    vtt.write_text(
        "WEBVTT - a title\n\nNOTE not spoken\n\nSTYLE\n::cue {}\n\n"
        "eins\n00:01.000 --> 00:02.000 align:start\n<v Anna>Tee &amp; Kaffee</v>\n\n"
        "1:00:01.250 --> 1:00:02.000\n♪ la la ♪\nUnd <00:00:01.500><c>weiter</c>\n",
        encoding="utf-8",
    )
    found = read(CaptionFile(vtt, "de", automatic=False), MEDIA)
    assert lines(found) == [(1.0, 2.0, "Tee & Kaffee"), (3601.25, 3602.0, "Und weiter")]


def test_rolling_automatic_captions_are_read_once(tmp_path: Path) -> None:
    vtt = tmp_path / "a.en.auto.vtt"
    vtt.write_text(  # as YouTube rolls them over the screen
        "WEBVTT\nKind: captions\nLanguage: en\n\n"
        "00:00:00.000 --> 00:00:02.500 align:start position:0%\n \n"
        "so<00:00:00.400><c> the</c><00:00:00.800><c> harbour</c>\n\n"
        "00:00:02.500 --> 00:00:02.510 align:start position:0%\nso the harbour\n \n\n"
        "00:00:02.510 --> 00:00:05.000 align:start position:0%\nso the harbour\nfreezes over\n",
        encoding="utf-8",
    )
    found = read(CaptionFile(vtt, "en", automatic=True), MEDIA)
    assert lines(found) == [(0.0, 2.5, "so the harbour"), (2.51, 5.0, "freezes over")]
    assert found.model == "automatic captions"
    three = tmp_path / "a.en-orig.auto.json3"
    three.write_text(
        json.dumps(
            {
                "events": [
                    {"tStartMs": 0, "dDurationMs": 9000},
                    {"tStartMs": 100, "dDurationMs": 4000, "segs": [
                        {"utf8": "so"}, {"utf8": " the", "tOffsetMs": 400},
                        {"utf8": " harbour", "tOffsetMs": 900},
                    ]},
                    {"tStartMs": 2000, "dDurationMs": 2100, "aAppend": 1, "segs": [{"utf8": "\n"}]},
                    {"tStartMs": 2100, "dDurationMs": 3000, "segs": [{"utf8": "[Applause]"}]},
                ]
            }
        ),
        encoding="utf-8",
    )  # fmt: skip
    found = read(CaptionFile(three, "en-orig", automatic=True), MEDIA)
    assert lines(found) == [(0.1, 2.1, "so the harbour")]
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("so", 0.1, 0.5), ("the", 0.5, 1.0), ("harbour", 1.0, 2.1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("a.vtt", "no captions", "captions.damaged"), ("a.json3", "{", "captions.damaged"),
     ("a.json3", '{"events": [{"segs": 3}]}', "captions.damaged"),
     ("a.json3", "[]", "captions.damaged"), ("a.srt", "1\nnothing\n", "captions.damaged"),
     ("a.ttml", "<tt/>", "captions.unknown_kind"), ("a.vtt", None, "captions.not_readable")],
)  # fmt: skip
def test_unreadable_captions_are_named_in_the_error(
    tmp_path: Path, name: str, content: str | None, code: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with raises(LibraryError, code, path=tmp_path / name) as caught:
        read(CaptionFile(tmp_path / name, "en", automatic=False), MEDIA)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "said"),
    [(">> Good evening.", "Good evening."), ("DR. WHO: Run!", "Run!"), ("(LAUGHTER)", ""),
     ("a (quiet) word", "a (quiet) word"), ("So: what now?", "So: what now?"), ("- No.", "No.")],
)  # fmt: skip
def test_spoken_text_of_a_cue_line(line: str, said: str) -> None:
    assert spoken_text(line) == said


def transcript(words: list[str], *, start_s: float = 0.0, step_s: float = 1.5) -> Transcript:
    """Return one word every 1.5 s: 40 a minute; segments of ten."""
    segments = []
    for first in range(0, len(words), 10):
        own = tuple(
            Word(start_s + n * step_s, start_s + n * step_s + 1.0, words[n], 0.9)
            for n in range(first, min(first + 10, len(words)))
        )
        text = " ".join(w.text for w in own)
        segments.append(Segment(own[0].start_s, own[-1].end_s, text, own, "en"))
    windows = (WindowReport(0.0, 60.0, 50.0, 50.0), WindowReport(60.0, 180.0, 99.0, 99.0))
    return Transcript(
        MEDIA, tuple(segments), "en", "whisper", "demo", "stabil",
        Coverage(120.0, 118.0, (SpeechSpan(170.0, 172.0),)), Timing(), windows=windows,
    )  # fmt: skip


def as_captions(words: list[str], delay_s: float = 0.0) -> Transcript:
    """Return cues of five words without word times, shown a little late."""
    delayed = transcript(words, start_s=delay_s)
    cues = []
    for segment in delayed.segments:
        for first in range(0, len(segment.words), 5):
            own = segment.words[first : first + 5]
            text = " ".join(w.text for w in own).upper() + ","
            cues.append(Segment(own[0].start_s, own[-1].end_s, text, (), "en"))
    return replace(delayed, segments=tuple(cues), language="en-GB")


# Three minutes of words, every one different.
SAID = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in ("rim", "san", "to", "lup")][:120]


def test_matching_captions_confirm_the_transcript() -> None:
    made = transcript(SAID)
    found = add_caption_agreement(made, as_captions(SAID, delay_s=1.0), "talk.en.vtt", 0.5)
    assert found.witness is not None
    assert found.witness.source == "talk.en.vtt"
    assert found.witness.agreement > 0.98
    assert [m.agreement is not None and m.agreement > 0.97 for m in found.witness.minutes[:3]] == [
        True, True, True,
    ]  # fmt: skip
    assert [m.words for m in found.witness.minutes][:3] == [40, 40, 40]
    assert replace(found, witness=None) == made
    assert json_document.from_document(json.loads(json_document.render(found))) == found


def test_only_the_minute_of_invented_words_is_doubtful() -> None:
    invented = [*SAID[:44], *("thank you for watching " * 8).split(), *SAID[76:]]
    found = add_caption_agreement(transcript(invented), as_captions(SAID), "x.vtt", 0.5)
    assert found.witness is not None
    first, second, third = (m.agreement for m in found.witness.minutes[:3])
    assert first is not None and second is not None and third is not None
    assert first > 0.9 and third > 0.9 and second < 0.5
    (sign,) = [s for w in found.windows for s in w.flags]
    assert (sign.name, sign.value, sign.limit) == (FLAG, second, 0.5)
    # Words 44 to 75 were invented: from 66.0 s to 113.5 s.
    assert sign.start_s == pytest.approx(66.0, abs=3.1)
    assert sign.end_s == pytest.approx(113.5, abs=3.1)
    assert found.windows[1].flags == (sign,)
    assert found.coverage.suspect_s == pytest.approx(sign.end_s - sign.start_s, abs=0.01)
    assert found.coverage.grade == "C"
    assert sign.start_s in [d.start_s for d in found.doubtful_spans]


def test_a_minute_missing_in_the_transcript_is_doubtful() -> None:
    holed = transcript(SAID)
    kept = tuple(s for s in holed.segments if not 60 <= s.start_s < 120)
    found = add_caption_agreement(replace(holed, segments=kept), as_captions(SAID), "x.vtt", 0.5)
    (sign,) = [s for w in found.windows for s in w.flags]
    assert 60 <= sign.start_s < 66 and 112 < sign.end_s <= 122
    assert sign.value < 0.1


def test_short_or_foreign_captions_prove_nothing() -> None:
    one = transcript(["yes"])
    found = add_caption_agreement(one, as_captions(["no"]), "x.vtt", 0.5)
    assert found.witness is not None
    assert found.witness.minutes[0].agreement is None
    assert found.windows == one.windows
    german = replace(as_captions(SAID), language="de")
    assert compare(transcript(SAID), german, "x.vtt") is None
    assert add_caption_agreement(transcript(SAID), german, "x.vtt", 0.5) == transcript(SAID)
    assert compare(transcript(SAID), replace(as_captions(SAID), segments=()), "x.vtt") is None


def test_scripts_without_spaces_are_compared_by_character() -> None:
    text = "東京都に行くつもりですがまだ決めていません"
    ours = replace(transcript(["x"]), language="ja", segments=(Segment(0.0, 20.0, text, (), "ja"),))
    theirs = replace(ours, segments=(Segment(0.5, 20.0, text[:-3] + "ない", (), "ja"),))
    found = compare(ours, theirs, "x.vtt")
    assert found is not None and 0.8 < found.agreement < 1.0
