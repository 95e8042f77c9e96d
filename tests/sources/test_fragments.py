"""Media in fragments: a medium is whole when all fragments arrived, and in the right language."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import MediaUnavailable
from kb.jobs.queue.source_factory import measure
from kb.settings import Settings
from kb.sources.base import FetchResult
from kb.sources.web import WebSource
from kb.sources.ytdlp.client import ffmpeg_path
from kb.sources.ytdlp.download import Downloader
from kb.sources.ytdlp.tracks import fetched_language, format_selector, with_track_language
from kb.types import MediaItem
from tests.fakes.media import FakeMedia

pytestmark = pytest.mark.slow

SECONDS, SEGMENT_S = 20, 2
HLS = "application/vnd.apple.mpegurl"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of an HLS and of a DASH presentation of noise."""
    folder = tmp_path_factory.mktemp("parts")
    noise = ["-f", "lavfi", "-i", f"anoisesrc=d={SECONDS}:a=0.1:seed=1:r=16000", "-c:a", "aac"]
    command = [str(ffmpeg_path()), "-loglevel", "error", *noise, "-b:a", "32k"]
    hls = ["-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", "0", "list.m3u8"]
    dash = ["-f", "dash", "-seg_duration", str(SEGMENT_S), "manifest.mpd"]
    for output in (hls, dash):
        subprocess.run([*command, *output], check=True, cwd=folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def site(parts: dict[str, bytes]) -> Iterator[FakeMedia]:
    with FakeMedia(b"") as running:
        for name, body in parts.items():
            kind = HLS if name.endswith("m3u8") else "application/octet-stream"
            kind = "application/dash+xml" if name.endswith("mpd") else kind
            running.files[f"/{name}"] = (200, kind, body)
        yield running


def fetch(
    tmp_path: Path,
    site: FakeMedia,
    name: str,
    keep: str = "audio",
    *,
    attempts: int = 1,
    **facts: Any,
) -> FetchResult:
    settings = Settings(
        KB_HOME=tmp_path / "home",
        YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
        KB_DOWNLOAD_PAUSE_S=0,
        KB_DOWNLOAD_RETRIES=0,
        KB_DOWNLOAD_ATTEMPTS=attempts,
    )
    database = Database.open(settings)
    item = MediaItem(
        **{
            "id": f"web:{name}",
            "source": "web",
            "url": f"{site.url}/{name}",
            "title": "Talk",
            "published": "",
            "duration_s": float(SECONDS),
            **facts,
        }
    )
    downloader = Downloader(settings, database, measure=measure)
    try:
        return downloader.fetch(item, tmp_path / "fetched", keep=keep)
    finally:
        database.close()


def segments(parts: dict[str, bytes], suffix: str) -> list[str]:
    return sorted(f"/{name}" for name in parts if name.endswith(suffix) and "init" not in name)


@pytest.mark.parametrize("keep", ["audio", "mp3", "mp4"])
def test_whole_fragments_are_fetched(tmp_path: Path, site: FakeMedia, keep: str) -> None:
    fetched = fetch(tmp_path, site, "list.m3u8", keep)
    assert abs(measure(fetched.path).duration_s - SECONDS) < 0.5


LOST: dict[str, tuple[str, list[int], int, str]] = {
    "one in the middle, 404": ("list.m3u8", [4], 404, "audio"),
    "one in the middle, 403": ("list.m3u8", [4], 403, "audio"),
    "one in the middle, 500": ("list.m3u8", [4], 500, "audio"),
    "two in the middle": ("list.m3u8", [4, 5], 404, "audio"),
    "every third": ("list.m3u8", [1, 4, 7], 404, "audio"),
    "the first": ("list.m3u8", [0], 404, "audio"),
    "the last": ("list.m3u8", [-1], 404, "audio"),
    "one, as mp3": ("list.m3u8", [4], 404, "mp3"),
    "one, as mp4": ("list.m3u8", [4], 410, "mp4"),
    "one of DASH": ("manifest.mpd", [4], 404, "audio"),
    "the last of DASH": ("manifest.mpd", [-1], 404, "audio"),
}


@pytest.mark.parametrize(("name", "lost", "status", "keep"), LOST.values(), ids=LOST)
def test_a_lost_fragment_fails_the_download(
    tmp_path: Path,
    site: FakeMedia,
    parts: dict[str, bytes],
    name: str,
    lost: list[int],
    status: int,
    keep: str,
) -> None:
    names = segments(parts, ".ts" if name.endswith("m3u8") else ".m4s")
    kept = {path: site.files[path] for path in names}
    for number in lost:
        site.files[names[number]] = (status, "text/plain", b"no")
    with pytest.raises(MediaUnavailable) as caught:
        fetch(tmp_path, site, name, keep)
    assert caught.value.code != "download.too_short"
    # Once the fragments are there, the download goes on and is whole.
    site.files.update(kept)
    assert abs(measure(fetch(tmp_path, site, name, keep).path).duration_s - SECONDS) < 0.5


class Scripted(dict[str, tuple[int, str, bytes]]):
    """Answers by path; those in `first` are sent once, before the others."""

    first: dict[str, list[tuple[int, str, bytes]]]

    def __getitem__(self, path: str) -> tuple[int, str, bytes]:
        return self.first[path].pop(0) if self.first.get(path) else super().__getitem__(path)


WRONG_BODIES = {
    "a page": (200, "text/html", b"<!doctype html><title>Sign in</title>" * 9),
    "zeros": (200, "video/mp2t", bytes(9_400)),
    "nothing": (200, "video/mp2t", b""),
}


@pytest.mark.parametrize("wrong", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_fragment_with_another_content_is_fetched_again(
    tmp_path: Path, site: FakeMedia, parts: dict[str, bytes], wrong: tuple[int, str, bytes]
) -> None:
    site.files = Scripted(site.files)
    site.files.first = {segments(parts, ".ts")[4]: [wrong]}
    found = measure(fetch(tmp_path, site, "list.m3u8", attempts=3).path)
    assert found.lost_s == 0 and abs(found.duration_s - SECONDS) < 0.5


def test_a_hole_of_the_source_is_kept_and_measured(
    tmp_path: Path, site: FakeMedia, parts: dict[str, bytes]
) -> None:
    path = segments(parts, ".ts")[4]
    site.files[path] = WRONG_BODIES["a page"]
    found = measure(fetch(tmp_path, site, "list.m3u8", attempts=3).path)
    assert 1.5 < found.lost_s < 2.5
    # Twice the same bytes: the third attempt would bring nothing else.
    assert len([each for each in site.requests_of("file") if each.id == path]) == 2


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<!doctype html><title>Sign in</title><p>Please sign in"),
        ("application/json", b'{"error": {"code": 403, "message": "expired"}}'),
        ("audio/webm", b"<!doctype html><title>Sign in</title>" * 500),
        ("audio/mpeg", b'{"status": "error"}' * 500),
        ("audio/mpeg", b"\x00" * 20_000),
        ("audio/mpeg", b""),
    ],
    ids=["a page", "JSON", "a page as a medium", "JSON as a medium", "zeros", "nothing"],
)
@pytest.mark.parametrize("keep", ["audio", "mp3"])
def test_a_body_that_is_no_medium_is_refused(
    tmp_path: Path, site: FakeMedia, kind: str, body: bytes, keep: str
) -> None:
    site.files["/talk.mp3"] = (200, kind, body)
    with pytest.raises(MediaUnavailable):
        fetch(tmp_path, site, "talk.mp3", keep)


# Several sound tracks


def master(default: str, order: tuple[str, ...] = ("de", "en")) -> bytes:
    tracks = {
        language: f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",LANGUAGE="{language}",NAME="{language}",'
        f"DEFAULT={'YES' if language == default else 'NO'},AUTOSELECT=YES,"
        f'URI="/{language}.m3u8"'
        for language in order
    }
    lines = ["#EXTM3U", *tracks.values()]
    lines += [
        '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="avc1.42e01e,mp4a.40.2",AUDIO="a"',
        "/list.m3u8",
    ]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("default", ["de", "en"])
@pytest.mark.parametrize("order", [("de", "en"), ("en", "de")])
@pytest.mark.parametrize(
    ("declared", "expected"), [("de", "de"), ("en", "en"), ("de-DE", "de"), ("DE", "de")]
)
def test_the_track_in_the_declared_language_is_fetched(
    tmp_path: Path,
    site: FakeMedia,
    default: str,
    order: tuple[str, ...],
    declared: str,
    expected: str,
) -> None:
    site.files["/master.m3u8"] = (200, HLS, master(default, order))
    for language in order:
        site.files[f"/{language}.m3u8"] = site.files["/list.m3u8"]
    fetched = fetch(tmp_path, site, "master.m3u8", language=declared)
    requested = {request.id for request in site.requests_of("file")}
    assert f"/{expected}.m3u8" in requested
    assert fetched.item.language == declared and fetched.item.extra["track_language"] == expected


def test_a_translated_track_alone_is_named_by_its_own_language(
    tmp_path: Path, site: FakeMedia
) -> None:
    site.files["/master.m3u8"] = (200, HLS, master("en", ("en",)))
    site.files["/en.m3u8"] = site.files["/list.m3u8"]
    item = fetch(tmp_path, site, "master.m3u8", language="de").item
    assert (item.language, item.extra["declared_language"]) == ("en", "de")


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ({"language": "en-US"}, "en-US"),
        ({"language": "und"}, ""),
        ({"language": None}, ""),
        ({"language": "de", "requested_formats": []}, "de"),
        (
            {
                "language": "en+de",
                "requested_formats": [
                    {"acodec": "none", "language": "en"},
                    {"acodec": "opus", "language": "de"},
                ],
            },
            "de",
        ),
        ({"language": "en", "requested_downloads": [{"requested_formats": None}]}, "en"),
    ],
)
def test_the_language_of_the_fetched_track(info: dict[str, Any], language: str) -> None:
    assert fetched_language(info) == language


@pytest.mark.parametrize("keep", ["audio", "mp3", "mp4"])
@pytest.mark.parametrize("language", [None, "", "de", "pt-BR", "und", "x'] or [a"])
def test_the_original_has_precedence_over_the_language(keep: str, language: str | None) -> None:
    import yt_dlp

    def track(number: int, **more: Any) -> dict[str, Any]:
        return {
            "format_id": str(number),
            "url": "http://127.0.0.1/x",
            "ext": "m4a",
            "acodec": "mp4a",
            "vcodec": "none",
            "abr": 64,
            **more,
        }

    picture = track(9, ext="mp4", acodec="none", vcodec="avc1", height=360)
    formats = [
        track(1, language="en", language_preference=-1, abr=128),
        track(2, language="fr", language_preference=10),
        track(3, language="de", language_preference=5, abr=128),
        picture,
    ]
    with yt_dlp.YoutubeDL({"quiet": True}) as ydl:
        selector = ydl.build_format_selector(format_selector(keep, language))
        chosen = list(selector({"formats": formats, "incomplete_formats": False}))
    tracks = list(chosen[-1].get("requested_formats", chosen))
    assert "2" in [each["format_id"] for each in tracks]


def test_a_language_without_another_is_kept() -> None:
    item = MediaItem(id="web:x", source="web", url="", title="", published="")
    assert with_track_language(item, "fr").language == "fr"
    same = with_track_language(replace(item, language="pt_BR"), "pt-PT")
    assert same.language == "pt_BR" and "declared_language" not in same.extra


def test_the_listing_of_an_address_that_cannot_be_reached_hides_its_password(
    tmp_path: Path,
) -> None:
    settings = Settings(
        KB_HOME=tmp_path / "home",
        YT_API_KEYS_FILE=str(tmp_path / "none.txt"),
        KB_DOWNLOAD_PAUSE_S=0,
        KB_DOWNLOAD_RETRIES=0,
    )
    secret = "hidden" + "word"
    source = WebSource(settings, Database.open(settings))
    with pytest.raises(MediaUnavailable) as caught:
        list(source.items(f"http://user:{secret}@127.0.0.1:9/?access_token={secret}"))
    shown = f"{caught.value.message} {caught.value.hint} {caught.value.values}"
    assert secret not in shown and "127.0.0.1:9" in shown
