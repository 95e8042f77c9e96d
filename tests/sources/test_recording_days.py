"""The day of a recording: by its name, else its tags, else its file, on the local calendar."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kb.media.probe import probe
from kb.media.recording_facts import recording_facts
from kb.sources.base import Filters
from kb.sources.files import FileSource
from kb.sources.listing.filters import parse_day
from kb.sources.recording_name import day_in_name
from kb.sources.youtube.items import item_from_resource
from kb.sources.ytdlp.metadata import item_from_info
from kb.types import MediaItem

DAY = "2024-03-05"
TOMORROW = (date.today() + timedelta(days=3)).isoformat()


@pytest.fixture(params=["UTC"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the machine's time zone for a test."""
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of Windows cannot be set for one process")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("2024-03-05 Board meeting", "Board meeting"),
        ("2024-03-05_Board_meeting_notes", "Board_meeting_notes"),
        ("2024-03-05_Quarterly_development", "Quarterly_development"),
        ("2024-03-05_talk", "talk"),
        ("GMT20240305-140000_Recording", "Recording"),
        ("20240305_140000", "20240305_140000"),
        ("2024_03_05", "2024_03_05"),
        ("2024_03_05 Talk", "Talk"),
        ("2024.03.05 Talk", "Talk"),
        ("2024 03 05 Talk", "Talk"),
        ("2024-3-5 Talk", "Talk"),
        ("2024年3月5日 会議", "会議"),
        ("VID-20240305-WA0001", "VID-20240305-WA0001"),
        ("PTT-20240305-WA0012", "PTT-20240305-WA0012"),
        ("WhatsApp Audio 2024-03-05 at 14.00.00", "WhatsApp Audio"),
        ("WhatsApp Audio 2024-03-05 at 2.00.00 PM", "WhatsApp Audio"),
        ("WhatsApp Audio 2024-03-05 um 14.00.00", "WhatsApp Audio"),
        ("PXL_20240305_140000123", "PXL_20240305_140000123"),
        ("IMG_20240305_140000", "IMG_20240305_140000"),
        ("20240305140000", "20240305140000"),
        ("20240305T140000Z", "20240305T140000Z"),
        ("Screen Recording 2024-03-05 at 14.00.00", "Screen Recording"),
        ("Team Sync (2024-03-05 at 14 00 GMT-5)", "Team Sync"),
        ("Meeting-20240305_140000-Part one", "Meeting Part one"),
        ("Recording (2024_03_05 14_00_00)", "Recording"),
        ("signal-2024-03-05-14-00-00-123", "signal"),
        ("talk_20240305", "talk"),
        ("Talk - 2024-03-05", "Talk"),
        ("01_20240305_talk", "01 talk"),
        ("Episode 12 2024-03-05", "Episode 12"),
        ("20240305_140000_about winter", "about winter"),
        ("2024-03-05_14-00 Interview", "Interview"),
        ("2024-03-05 Review of 2019-01-01", "Review of 2019-01-01"),
        # Months by name
        ("5 March 2024 Board meeting", "Board meeting"),
        ("Board meeting 5 Mar 2024", "Board meeting"),
        ("5. März 2024 Sitzung", "Sitzung"),
        ("5. Ma\u0308rz 2024 Sitzung", "Sitzung"),
        ("Sitzung vom 5. Maerz 2024", "Sitzung vom"),
        ("Sitzung, 05. Mrz. 2024", "Sitzung"),
        ("March 5, 2024 - Hearing", "Hearing"),
        ("March 5th, 2024 Hearing", "Hearing"),
        ("5th March 2024 Hearing", "Hearing"),
        ("Hearing_Mar_05_2024", "Hearing"),
        ("05-Mar-2024", "05-Mar-2024"),
        ("05Mar2024_talk", "talk"),
        ("2024 March 5 Talk", "Talk"),
        ("2024-Mar-05 Talk", "Talk"),
        ("Talk (5 march 2024)", "Talk"),
        ("5 March 2024 14.00 Talk", "Talk"),
        ("01 5 March 2024 Talk", "01 Talk"),
        # Recorders
        ("zoom_20240305-140000", "zoom"),
        ("2024-03-05 14-00-00", "2024-03-05 14-00-00"),
        ("Recording_20240305_140000", "Recording"),
        ("Voice 20240305_140000", "Voice"),
        ("signal-2024-03-05-140000", "signal"),
        ("AUD-20240305-WA0003", "AUD-20240305-WA0003"),
        ("audio_2024-03-05_14-00-00", "audio"),
        ("Screenrecorder-2024-03-05-14-00-00-123", "Screenrecorder"),
        ("video1234567890_20240305", "video1234567890"),
    ],
)
def test_days_in_names(name: str, title: str) -> None:
    found = day_in_name(name)
    assert found is not None and (found.day, found.title) == (DAY, title)


@pytest.mark.parametrize(
    "name",
    [
        "05.03.2024 Talk", "Talk 03-05-2024", "5.3.2024", "2024-02-30 Talk", "2023-02-29",
        "2024-13-01 Talk", "2024-00-10", "20241305_140000", "2024-03-00", "31.04.2024",
        f"{TOMORROW} plan", "1066-10-14 Hastings", "+4920240305", "+49 2024 0305 12",
        "0049 20201215 1234", "030 20201215", "Call 555-20240305", "0171-2024-03-05",
        "+1 202-403-0512", "20240305-0a1b-4c2d-8e3f-0123456789ab", "a20240305f", "2024-03-0512",
        "0x20240305", "Talk [20240305-_A]", "2024.3.5", "v2024.03.05", "release version 2024.03.05",
        "order 20240305-99887766", "invoice 1234-2024-03-05", "201012345678", "1709647200000",
        "Review of 2019-01-01, 2024-03-05", "10.25.2024.1", "2024", "2024-03", "talk 12", "",
        "240305", "24-03-05 Talk", "05-03-24", "5.3.24", "5 March 24", "March 2024", "5. März",
        "5-7 March 2024", "5./6. März 2024", "5 and 6 March 2024", "March 5-7, 2024",
        "30 February 2024", "31. April 2024", f"3 March {date.today().year + 2}", "5 Marble 2024",
        "Smarch 5, 2024", "1999 March 5 2024", "Maybe 5 2024", "5 Mary 2024", "15 Marker 2024x",
        "200 March 2024", "2024 March 200", "Decker 5 2024", "5 Juno 2024", "Sunday 5 2024",
    ],
)  # fmt: skip
def test_names_without_a_sure_day(name: str) -> None:
    assert day_in_name(name) is None


@pytest.mark.parametrize(
    ("name", "day"),
    [("Talk 25.03.2024", "2024-03-25"), ("03-25-2024 Talk", "2024-03-25"),
     ("05.05.2023", "2023-05-05"),
     ("1945-05-08 Speech", "1945-05-08"), ("2024-02-29 Leap", "2024-02-29")],
)  # fmt: skip
def test_days_that_can_be_read_in_one_way(name: str, day: str) -> None:
    found = day_in_name(name)
    assert found is not None and found.day == day


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"], indirect=True)
def test_a_moment_in_a_name_gives_the_local_day(zone: str) -> None:
    days = {"America/New_York": ("2024-03-04", DAY), "Asia/Tokyo": (DAY, "2024-03-06")}[zone]
    found = [day_in_name(name) for name in ("GMT20240305-010000_R", "20240305T200000Z R")]
    assert tuple(each.day for each in found if each) == days
    local = day_in_name("20240305_010000 R")
    assert local is not None and local.day == DAY


# Tags


CODECS = {
    "m4a": "aac",
    "mp4": "aac",
    "mkv": "aac",
    "flac": "flac",
    "mp3": "mp3",
    "wav": "pcm_s16le",
}


def record(
    path: Path, tags: dict[str, str], chapters: tuple[str, ...] = (), **options: str
) -> Path:
    """Write a second of silence with tags and chapters."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(CODECS[path.suffix[1:]], rate=16000)
        stream.layout = "mono"  # type: ignore[attr-defined]
        language = tags.pop("language", "")
        if language:
            stream.metadata["language"] = language
        container.metadata.update(tags)
        if chapters:
            container.set_chapters(
                [
                    {"id": n, "start": n * 300, "end": (n + 1) * 300,
                     "time_base": Fraction(1, 1000),
                     "metadata": {"title": title}}
                    for n, title in enumerate(chapters)
                ]
            )  # fmt: skip
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        frame.rate = 16000
        resampler = av.AudioResampler(stream.format, "mono", 16000)  # type: ignore[attr-defined]
        for each in resampler.resample(frame):
            container.mux(stream.encode(each))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


@pytest.mark.parametrize(
    ("suffix", "tags", "day"),
    [
        ("m4a", {"creation_time": "2023-07-08T12:00:00Z"}, "2023-07-08"),
        ("mkv", {"creation_time": "2023-07-08T12:00:00Z"}, "2023-07-08"),
        ("mp3", {"date": "2022-02-03"}, "2022-02-03"),
        ("mp3", {"date": "2022-02-03T10:00:00"}, "2022-02-03"),
        ("mp3", {"date": "2022"}, ""),
        ("mp3", {"date": "2022-02"}, ""),
        ("mp3", {"date": "2022-02-31"}, ""),
        ("flac", {"date": "2022-02-03"}, "2022-02-03"),
        ("mkv", {"DATE_RECORDED": "2022-02-03"}, "2022-02-03"),
        ("wav", {"date": "2022-02-03"}, "2022-02-03"),
        ("mkv", {"creation_time": "1904-01-01T00:00:00Z"}, ""),
        ("mkv", {"creation_time": "1970-01-01T00:00:00Z"}, ""),
        ("mp3", {"creation_time": "1970-01-01T00:00:00Z", "date": "2022-02-03"}, "2022-02-03"),
        ("mkv", {"creation_time": "1980-01-01T00:10:00Z"}, ""),
        ("mkv", {"creation_time": f"{TOMORROW}T00:00:00Z"}, ""),
        ("mkv", {"creation_time": "yesterday"}, ""),
        ("m4a", {"date": "20220203"}, "2022-02-03"),
        ("m4a", {}, ""),
    ],
)
def test_days_in_tags(tmp_path: Path, suffix: str, tags: dict[str, str], day: str) -> None:
    assert recording_facts(record(tmp_path / f"a.{suffix}", dict(tags))).recorded == day


def test_the_origination_date_of_a_broadcast_wave(tmp_path: Path) -> None:
    tags = {"origination_date": "2022-02-03", "origination_time": "14:00:00", "originator": "R"}
    assert (
        recording_facts(record(tmp_path / "a.wav", tags, write_bext="1")).recorded == "2022-02-03"
    )


@pytest.mark.parametrize("zone", ["America/New_York"], indirect=True)
def test_every_day_is_of_the_local_calendar(tmp_path: Path, zone: str) -> None:
    late = record(tmp_path / "late.m4a", {"creation_time": "2024-03-06T03:00:00Z"})
    plain = record(tmp_path / "plain.wav", {})
    os.utime(plain, (1709694000, 1709694000))  # 2024-03-06T03:00Z, the evening before there
    assert [item.published for item in items(tmp_path)] == [DAY, DAY]
    now = time.time()
    os.utime(plain, (now, now))
    source = FileSource()
    today = parse_day("today")
    assert [
        each.title for each in source.items(str(plain), Filters(after=today, before=today))
    ] == ["plain"]
    assert late.exists()


MOMENT = 1709694000  # 2024-03-06T03:00Z, the evening of the 5th in New York
SITES = {
    "a day and its moment": ({"upload_date": "20240306", "timestamp": MOMENT}, DAY),
    "a moment alone": ({"timestamp": MOMENT}, DAY),
    "a day alone": ({"upload_date": "20240306"}, "2024-03-06"),
    "the day of a release": (
        {"release_date": "20240306", "release_timestamp": MOMENT, "timestamp": MOMENT - 9e5}, DAY,
    ),
    "a day of another moment": ({"upload_date": "20240101", "timestamp": MOMENT}, "2024-01-01"),
    "a day that is none": ({"upload_date": "soon", "timestamp": MOMENT}, DAY),
    "a moment that is none": ({"upload_date": "20240306", "timestamp": "x"}, "2024-03-06"),
    "no day": ({}, ""),
    "no calendar": ({"timestamp": 1e300}, ""),
}  # fmt: skip
STATED = {
    "2024-03-06T03:00:00Z": DAY, "2024-03-06T05:00:00Z": "2024-03-06",
    "2024-03-06T03:00:00.123Z": DAY, "2024-03-06T03:00:00+00:00": DAY,
    "2024-03-06Tsoon": "2024-03-06", "": "",
}  # fmt: skip


@pytest.mark.parametrize("zone", ["America/New_York"], indirect=True)
def test_days_of_sites_are_on_the_same_calendar(zone: str) -> None:
    """As `today` and the days of files."""
    for case, (facts, day) in SITES.items():
        assert item_from_info({"id": "x", "title": "t", **facts}, "u").published == day, case
    for moment, day in STATED.items():
        video = {"id": "abcdefghijk", "snippet": {"title": "t", "publishedAt": moment}}
        assert item_from_resource(video).published == day, moment


# Items


def items(path: Path, source: FileSource | None = None) -> list[MediaItem]:
    source = source or FileSource()
    source.read_facts = recording_facts
    return list(source.items(str(path)))


@pytest.mark.parametrize(
    ("name", "tags", "modified", "published"),
    [
        ("2024-03-05 a", {"creation_time": "2023-07-08T12:00:00Z"}, 1577880000, DAY),
        ("05.03.2024 a", {"creation_time": "2023-07-08T12:00:00Z"}, 1577880000, "2023-07-08"),
        ("05.03.2024 a", {}, 1577880000, "2020-01-01"),
        ("a", {"creation_time": "1970-01-01T00:00:00Z"}, 1577880000, "2020-01-01"),
        ("a", {}, 0, ""),
        ("0000-00-00_a_0123456789ab", {"date": "2022-02-03"}, 1577880000, "2022-02-03"),
    ],
)
def test_the_order_of_days(
    tmp_path: Path, name: str, tags: dict[str, str], modified: int, published: str
) -> None:
    path = record(tmp_path / f"{name}.mp3", dict(tags))
    os.utime(path, (modified, modified))
    (item,) = items(path)
    assert item.published == published


@pytest.mark.parametrize("suffix", ["m4a", "mkv"])
def test_title_artist_chapters_and_language(tmp_path: Path, suffix: str) -> None:
    tags = {"title": "The winter  book", "artist": "A. Reader", "language": "deu"}
    path = record(tmp_path / f"book.{suffix}", tags, ("One", "", "C"))
    (item,) = items(path)
    assert (item.title, item.channel, item.language) == ("The winter book", "A. Reader", "deu")
    start_s = probe(path).start_s  # the zero of all times
    expected = [
        (max(0.0, at - start_s), title) for at, title in ((0, "One"), (0.3, "2"), (0.6, "C"))
    ]
    assert [(pytest.approx(each.start_s), each.title) for each in item.chapters] == expected


@pytest.mark.parametrize(
    ("tag", "title"),
    [("Track 01", "memo"), ("New Recording 5", "memo"), ("Aufnahme 3", "memo"), ("  ", "memo"),
     ("Untitled", "memo"), ("Track of the fox", "Track of the fox"), ("第一章", "第一章"),
     ("a\nb", "a b"), ("x" * 700, "x" * 500)],
)  # fmt: skip
def test_a_title_that_says_nothing_is_none(tmp_path: Path, tag: str, title: str) -> None:
    assert items(record(tmp_path / "memo.mkv", {"title": tag}))[0].title == title


def test_a_library_s_own_name_beats_the_tag(tmp_path: Path) -> None:
    path = record(tmp_path / "2021-07-09_A talk_0123456789ab.mp3", {"title": "Other"})
    (item,) = items(path)
    assert (item.title, item.published) == ("A talk", "2021-07-09")


def test_a_known_item_keeps_its_title_and_day(tmp_path: Path) -> None:
    path = record(tmp_path / "2024-03-05 Talk.mp3", {})
    (item,) = items(path)
    source = FileSource()
    source.known_item = lambda item_id: MediaItem(
        item_id, "file", "", "2024-03-05 Talk", "2024-11-26"
    )
    (again,) = items(path, source)
    assert (again.id, again.title, again.published) == (item.id, "2024-03-05 Talk", "2024-11-26")


@pytest.mark.parametrize(
    ("suffix", "title"), [("mkv", ""), ("mka", ""), ("mov", ""), ("webm", ""), ("opus", "Desktop")]
)
def test_the_name_of_a_sound_track_is_no_title(tmp_path: Path, suffix: str, title: str) -> None:
    path = tmp_path / f"Interview.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libopus" if suffix != "mov" else "aac", rate=48000)
        stream.metadata["title"] = "Desktop"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 48000
        for each in (frame, None):
            container.mux(stream.encode(each))  # type: ignore[attr-defined]
    assert recording_facts(path).title == title


@pytest.mark.parametrize(
    "content", [b"x", b"RIFF" + bytes(40), b"#EXTM3U\nhttp://127.0.0.1:1/\n", bytes(5000)]
)
def test_what_is_no_medium_has_no_facts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert recording_facts(path).title == ""
    assert len(items(path)) == 1
