"""Downloads through the real yt-dlp from a loopback site with all kinds of faults."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.database import Database
from kb.errors import Cancelled, KBError, LanePaused, MediaUnavailable, RetryLater, SettingsError
from kb.jobs.queue.source_factory import measure as factory_measure
from kb.media.decode import decode
from kb.service.health_sources import check_sources, ytdlp_age_days
from kb.settings import Settings
from kb.sources import get_source
from kb.sources.base import MISSING
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.web import WebSource
from kb.sources.youtube.items import placeholder_item
from kb.sources.youtube.source import YouTubeSource
from kb.sources.ytdlp.client import ffmpeg_path
from kb.sources.ytdlp.download import Downloader
from kb.sources.ytdlp.errors import classify
from kb.sources.ytdlp.length_check import Measured
from kb.types import Availability, AvailabilityState, MediaItem
from tests.fakes.media import FakeMedia, ScriptStep
from tests.support.keys import Clock, fake_key

LENGTH_S = 6.0
VTT = "WEBVTT\n\n00:00.000 --> 00:01.000\nHello there\n"
BOT = (403, "Sign in to confirm you're not a bot")


def measure(path: Path) -> Measured:
    """Return the decoded length as the worker does."""
    return factory_measure(path)


def measured(path: Path) -> float:
    """Return the decoded length in seconds, as the media stage does."""
    with decode(path) as sound:
        for _ in sound:
            pass
        return sound.duration_s


def make_sound(path: Path, seconds: float) -> bytes:
    noise = f"anoisesrc=d={seconds}:a=0.1:seed=1"
    command = [str(ffmpeg_path()), "-loglevel", "error", "-f", "lavfi", "-i", noise]
    subprocess.run([*command, "-c:a", "libopus", "-b:a", "64k", str(path)], check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_sound(tmp_path_factory.mktemp("sound") / "a.webm", LENGTH_S)


@pytest.fixture
def site(sound: bytes) -> Iterator[FakeMedia]:
    with FakeMedia(sound) as running:
        yield running


class Desk:
    """A downloader with its own library."""

    def __init__(self, tmp_path: Path, site: FakeMedia, **more: object) -> None:
        self.folder = tmp_path / "fetched"
        values = {
            "KB_HOME": tmp_path / "home",
            "YT_WATCH_URL": site.watch_url,
            "YT_API_KEYS_FILE": str(tmp_path / "none.txt"),
            "KB_DOWNLOAD_PAUSE_S": 0,
            "KB_DOWNLOAD_COOLDOWN_S": 100,
        }
        self.settings = Settings(**{**values, **more})  # type: ignore[arg-type]
        self.catalogue = Database.open(self.settings)
        self.clock = Clock(time.time())
        self.downloader = Downloader(
            self.settings,
            self.catalogue,
            measure=measure,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def fetch(self, name: str, progress: Callable[[int, int], None] | None = None, **more: object):
        item = replace(placeholder_item(name), duration_s=LENGTH_S)
        return self.downloader.fetch(item, self.folder, progress or (lambda *_: None), **more)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_download(tmp_path: Path, site: FakeMedia, sound: bytes) -> None:
    desk = Desk(tmp_path, site)
    seen: list[tuple[int, int]] = []
    fetched = desk.fetch("okokokok001", lambda done, total: seen.append((done, total)))
    assert fetched.path.read_bytes() == sound
    assert fetched.sha256 == hashlib.sha256(sound).hexdigest()
    assert fetched.temporary
    assert fetched.item.id == "youtube:okokokok001"
    assert fetched.item.title.startswith("Talk okokokok001")  # the missing title is filled in
    assert seen[-1] == (len(sound), len(sound))
    # A complete file is not fetched again.
    desk.fetch("okokokok001")
    assert len(site.requests_of("media", "okokokok001")) == 1


@pytest.mark.parametrize(("keep", "start"), [("mp3", (b"ID3", b"\xff")), ("mp4", (b"\0\0\0",))])
def test_formats_to_keep(
    keep: str, start: tuple[bytes, ...], tmp_path: Path, site: FakeMedia
) -> None:
    desk = Desk(tmp_path, site)
    fetched = desk.fetch("keepkeep001", keep=keep)
    assert fetched.path.suffix == f".{keep}"
    assert fetched.path.read_bytes().startswith(start)
    assert abs(measured(fetched.path) - LENGTH_S) < 0.2
    assert list(desk.folder.iterdir()) == [fetched.path]


def test_captions_and_picture_on_request(tmp_path: Path, site: FakeMedia) -> None:
    site.captions["captions001"] = VTT
    desk = Desk(tmp_path, site, KB_CAPTIONS="en, de", KB_THUMBNAIL="true", KB_WITNESS="false")
    fetched = desk.fetch("captions001")
    (picture,) = [Path(name) for name in fetched.item.extra["files"]]
    (captions,) = fetched.captions
    assert (picture.suffix, captions.path.suffix) == (".jpg", ".vtt")
    assert (captions.language, captions.automatic) == ("en", False)
    assert sorted(desk.folder.iterdir()) == sorted([fetched.path, picture, captions.path])


@pytest.mark.slow
def test_human_captions_are_saved_with_the_medium(tmp_path: Path, site: FakeMedia) -> None:
    site.captions["captions002"] = VTT
    reported: list[int] = []
    desk = Desk(tmp_path, site)
    fetched = desk.fetch("captions002", lambda done, _: reported.append(done))
    (captions,) = fetched.captions
    assert captions.path.read_text(encoding="utf-8") == VTT
    assert (captions.language, captions.automatic) == ("en", False)
    assert reported[-1] == fetched.path.stat().st_size  # not the size of the captions
    assert "files" not in fetched.item.extra
    # Switched off, or empty: the medium is fetched without captions.
    assert Desk(tmp_path / "b", site, KB_WITNESS="false").fetch("captions002").captions == ()
    site.captions["captions003"] = ""
    assert Desk(tmp_path / "c", site).fetch("captions003").captions == ()


def test_captions_alone(tmp_path: Path, site: FakeMedia) -> None:
    site.captions["captions004"] = VTT
    desk = Desk(tmp_path, site)
    item, (captions,) = desk.downloader.captions(placeholder_item("captions004"), desk.folder)
    assert captions.path.read_text(encoding="utf-8") == VTT
    assert item.title.startswith("Talk captions004")
    assert site.requests_of("media", "captions004") == []
    assert list(desk.folder.iterdir()) == [captions.path]
    assert desk.downloader.captions(placeholder_item("nothing0001"), desk.folder)[1] == ()
    site.pages["gone0000001"] = [(403, "Private video")]
    with pytest.raises(MediaUnavailable):
        desk.downloader.captions(placeholder_item("gone0000001"), desk.folder)


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        (["drop", "drop", "ok"], 3),
        ([500, 503, "ok"], 3),
        ([403, "ok"], 2),
        (["truncate", "ok"], 2),
        (["truncate", "drop", "ok"], 3),
    ],
)
def test_passing_faults_are_retried(
    words: list[ScriptStep], requests: int, tmp_path: Path, site: FakeMedia, sound: bytes
) -> None:
    desk = Desk(tmp_path, site)
    site.script["faulty00001"] = words
    fetched = desk.fetch("faulty00001")
    assert fetched.path.read_bytes() == sound
    assert len(site.requests_of("media", "faulty00001")) == requests
    assert list(desk.folder.iterdir()) == [fetched.path]


def test_a_broken_connection_requests_only_the_rest(
    tmp_path: Path, site: FakeMedia, sound: bytes
) -> None:
    desk = Desk(tmp_path, site)
    site.script["dropping001"] = ["drop", "ok"]
    assert desk.fetch("dropping001").path.read_bytes() == sound
    first, second = site.requests_of("media", "dropping001")
    assert (first.start, first.sent) == (0, len(sound) // 2)
    assert second.start > 0
    assert second.start + second.sent == len(sound)


@pytest.mark.parametrize("wrong", ["overlap", "misplaced"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_rest_from_another_place_is_not_joined(
    tmp_path: Path, site: FakeMedia, sound: bytes, wrong: str, times: int
) -> None:
    desk = Desk(tmp_path, site, KB_DOWNLOAD_RETRIES=2)
    site.script["ranges00001"] = ["drop", *[wrong] * times, "ok"]
    item = replace(placeholder_item("ranges00001"), duration_s=None)
    fetched = desk.downloader.fetch(item, desk.folder)
    assert fetched.path.read_bytes() == sound


def test_a_stopped_download_resumes(tmp_path: Path, site: FakeMedia, sound: bytes) -> None:
    desk = Desk(tmp_path, site)
    site.script["stopping001"] = ["slow", "ok"]

    def stop(done: int, _total: int) -> None:
        if done > len(sound) // 4:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        desk.fetch("stopping001", stop)
    (part,) = desk.folder.glob("*.part")
    there = part.stat().st_size
    assert 0 < there < len(sound)
    # The state is in the folder alone, so another process would resume too.
    again = Desk(tmp_path / "other", site)
    again.folder = desk.folder
    assert again.fetch("stopping001").path.read_bytes() == sound
    assert site.requests_of("media", "stopping001")[-1].start == there


def test_a_download_without_a_length_that_ends_early_is_fetched_again(
    tmp_path: Path, site: FakeMedia, sound: bytes
) -> None:
    desk = Desk(tmp_path, site)
    site.script["endsearly01"] = ["truncate", "ok"]
    item = replace(placeholder_item("endsearly01"), duration_s=None)
    fetched = desk.downloader.fetch(item, desk.folder)
    assert fetched.path.read_bytes() == sound
    assert len(site.requests_of("media", "endsearly01")) == 2


def test_a_file_that_ends_early_at_its_source_is_kept(tmp_path: Path, site: FakeMedia) -> None:
    desk = Desk(tmp_path, site)
    site.script["endsearly02"] = ["truncate"]
    item = replace(placeholder_item("endsearly02"), duration_s=None)
    fetched = desk.downloader.fetch(item, desk.folder)
    assert measure(fetched.path).truncated
    assert len(site.requests_of("media", "endsearly02")) == 2


def test_a_medium_that_stays_short_is_refused(tmp_path: Path, site: FakeMedia) -> None:
    desk = Desk(tmp_path, site)
    site.script["tooshort001"] = ["truncate"]
    with pytest.raises(MediaUnavailable) as caught:
        desk.fetch("tooshort001")
    assert caught.value.code == "download.too_short"
    assert caught.value.values["declared"] == 6.0
    assert 0 < caught.value.values["measured"] < 6.0
    assert caught.value.retryable
    assert len(site.requests_of("media", "tooshort001")) == 3
    assert all(request.start == 0 for request in site.requests_of("media", "tooshort001"))


@pytest.mark.parametrize(
    ("listed_s", "attempts", "requests"),
    [(LENGTH_S + 4, 3, 2), (600.0, 3, 2), (600.0, 1, 1), (LENGTH_S - 4, 3, 1), (None, 3, 1)],
)
def test_a_medium_of_another_length_than_listed_is_taken_as_it_is_now(
    listed_s: float | None, attempts: int, requests: int, tmp_path: Path, site: FakeMedia
) -> None:
    desk = Desk(tmp_path, site, KB_DOWNLOAD_ATTEMPTS=attempts)
    item = replace(placeholder_item("trimmed0001"), duration_s=listed_s)
    fetched = desk.downloader.fetch(item, desk.folder)
    assert len(site.requests_of("media", "trimmed0001")) == requests
    if listed_s is not None:
        assert fetched.item.duration_s == pytest.approx(LENGTH_S, abs=0.2)
        assert fetched.item.extra["listed_s"] == listed_s


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ((403, "Private video"), "download.private_or_removed"),
        ((403, "This video has been removed by the uploader"), "download.private_or_removed"),
        (
            (403, "Join this channel to get access to members-only content"),
            "download.members_only",
        ),
        (
            (403, "The uploader has not made this video available in your country"),
            "download.country_blocked",
        ),
        ((403, "Sign in to confirm your age"), "download.age_restricted"),
        (404, "download.not_found"),
        (410, "download.not_found"),
    ],
)
def test_an_unavailable_medium_names_its_cause(
    step: ScriptStep, code: str, tmp_path: Path, site: FakeMedia
) -> None:
    desk = Desk(tmp_path, site)
    site.pages["notthere001"] = [step]
    with pytest.raises(MediaUnavailable) as caught:
        desk.fetch("notthere001")
    assert not caught.value.retryable
    assert caught.value.code == code
    assert len(site.requests_of("watch", "notthere001")) == 1  # one request, no retry
    assert desk.downloader.rate_limiter.status().paused_until is None


def test_a_medium_that_is_not_out_yet(tmp_path: Path, site: FakeMedia) -> None:
    desk = Desk(tmp_path, site)
    site.pages["premiere001"] = [(403, "Premieres in 3 hours")]
    with pytest.raises(RetryLater) as caught:
        desk.fetch("premiere001")
    assert caught.value.code == "download.not_out_yet"
    assert caught.value.until == pytest.approx(desk.clock.now + 3 * 3600)
    assert not isinstance(caught.value, LanePaused)
    # Known from the listing: no request is made.
    soon = desk.clock.now + 500
    item = placeholder_item("premiere002", Availability(AvailabilityState.UPCOMING, starts_at=soon))
    with pytest.raises(RetryLater) as caught:
        desk.downloader.fetch(item, desk.folder)
    assert (caught.value.code, caught.value.until) == ("download.scheduled", soon)
    assert site.requests_of("watch", "premiere002") == []
    # Once it is out, the earlier state no longer counts.
    desk.clock.now = soon + 1
    fetched = desk.downloader.fetch(item, desk.folder)
    assert fetched.item.availability == Availability()
    gone = placeholder_item("removed0001", Availability(AvailabilityState.UNAVAILABLE, "deleted"))
    with pytest.raises(MediaUnavailable) as refused:
        desk.downloader.fetch(gone, desk.folder)
    assert not refused.value.retryable
    assert (refused.value.code, refused.value.values["state"]) == (
        "download.unavailable",
        "deleted",
    )
    missing = placeholder_item("missing0001", Availability(AvailabilityState.UNAVAILABLE, MISSING))
    with pytest.raises(MediaUnavailable) as refused:
        desk.downloader.fetch(missing, desk.folder)
    assert refused.value.code == "download.missing"


@pytest.mark.slow
@pytest.mark.parametrize("word", [BOT, 429, (403, "Our systems have detected unusual traffic")])
def test_too_many_requests_pause_the_lane_for_all_processes(
    word: ScriptStep, tmp_path: Path, site: FakeMedia
) -> None:
    desk = Desk(tmp_path, site, KB_DOWNLOAD_COOLDOWN_MAX_S=350)
    lane = desk.downloader.rate_limiter
    for cooldown in (100, 200, 350, 350):
        site.pages["toomuch0001"] = [word]
        with pytest.raises(LanePaused) as caught:
            desk.fetch("toomuch0001")
        assert caught.value.lane == "download"
        assert caught.value.until == pytest.approx(desk.clock.now + cooldown)
        status = DownloadRateLimiter(
            Database.open(desk.settings), desk.settings, clock=desk.clock
        ).status()
        assert status.paused_until == caught.value.until
        assert status.reason
        asked = len(site.requests)
        with pytest.raises(LanePaused):
            desk.fetch("another0001")
        assert len(site.requests) == asked
        # A refusal of a download under way does not extend the pause.
        assert lane.report_throttled("again").until == caught.value.until
        desk.clock.now += cooldown
    site.pages["toomuch0001"] = ["ok"]
    assert desk.fetch("toomuch0001").path.is_file()
    # After a long quiet time the pause is short again, and after `resume` too.
    desk.clock.now += 4 * 350
    assert lane.report_throttled("x").until == pytest.approx(desk.clock.now + 100)
    lane.resume()
    assert lane.status().paused_until is None
    assert lane.report_throttled("x").until == pytest.approx(desk.clock.now + 100)


@pytest.mark.slow
def test_repeated_403_pauses_the_lane(tmp_path: Path, site: FakeMedia) -> None:
    desk = Desk(tmp_path, site)
    names = [f"forbidden{number:02d}" for number in range(6)]
    for name in names:
        site.script[name] = [403]

    def refused(name: str) -> type[KBError]:
        with pytest.raises(KBError) as caught:
            desk.fetch(name)
        assert caught.value.retryable
        return caught.type

    # The same medium again and again does not count.
    assert [refused(names[0]) for _ in range(3)] == [MediaUnavailable] * 3
    assert refused(names[1]) is MediaUnavailable
    desk.fetch("fine0000001")  # ends the series
    assert [refused(name) for name in names[2:4]] == [MediaUnavailable] * 2
    assert refused(names[4]) is LanePaused
    assert desk.downloader.rate_limiter.status().paused_until is not None
    # The stored reason keeps its code for the next download.
    with pytest.raises(LanePaused) as caught:
        desk.fetch(names[5])
    assert caught.value.code == "downloads.paused"
    cause = caught.value.values["reason"]
    assert (cause["code"], cause["values"]["count"]) == ("downloads.forbidden_series", 3)
    assert cause["message"] in caught.value.message
    desk.downloader.rate_limiter.resume()
    assert desk.downloader.rate_limiter.report_throttled("busy").values["reason"] == "busy"


def test_messages_of_youtube() -> None:
    """Messages of the site, as yt-dlp reports them."""
    from yt_dlp.utils import DownloadError

    for sentence, kind in (
        ("[youtube] abc: Sign in to confirm you’re not a bot. Use --cookies-from-browser", "busy"),
        (
            "[youtube] abc: Video unavailable. This content isn't available, try again later.",
            "busy",
        ),
        ("[youtube] abc: Private video. Sign in if you've been granted access", "gone"),
        ("[youtube] abc: Video unavailable. This video is no longer available", "gone"),
        ("[youtube] abc: This video is available to this channel's members on level", "transient"),
        ("[youtube] abc: Premieres in 20 minutes", "later"),
        ("[youtube] abc: This live event will begin in 2 days.", "later"),
        ("[youtube] abc: Requested format is not available", "transient"),
        ("[generic] Unable to download webpage: <urlopen error timed out>", "transient"),
        ("Unsupported URL: https://example.org", "gone"),
        ("unable to write data: [Errno 5] Input/output error", "transient"),
    ):
        verdict = classify(DownloadError(f"ERROR: {sentence}"), clock=lambda: 0.0)
        assert verdict.kind == kind, sentence
        assert "ERROR" not in verdict.message
        assert "--cookies" not in verdict.message
    assert classify(DownloadError("Premieres in 20 minutes"), clock=lambda: 0.0).until == 1200
    full = OSError(28, "No space left on device")
    assert classify(full, clock=time.time).kind == "disk"
    quoted = DownloadError("unable to write data: [Errno 28] No space left")
    assert classify(quoted, clock=time.time).kind == "disk"


@pytest.mark.long
@pytest.mark.slow
def test_two_hundred_downloads(tmp_path: Path) -> None:
    """One in ten fails at first, one in twenty always, and a bot check comes half way."""
    count, pause_s, threads = 200, 0.1, 4
    body = make_sound(tmp_path / "a.webm", 2.0)
    names = [f"crowd{number:06d}" for number in range(count)]
    passing: list[list[ScriptStep]] = [["drop", "ok"], [500, "ok"], ["truncate", "ok"], [403, "ok"]]
    with FakeMedia(body) as site:
        for number, name in enumerate(names):
            if number % 10 == 3:
                site.script[name] = list(passing[number // 10 % len(passing)])
            if number % 20 == 7:
                site.pages[name] = [(403, "Private video")]
        site.pages[names[count // 2]] = [BOT, "ok"]
        desk = Desk(
            tmp_path,
            site,
            KB_DOWNLOAD_PAUSE_S=pause_s,
            KB_DOWNLOAD_PAUSE_MAX_S=pause_s,
            KB_DOWNLOAD_COOLDOWN_S=3,
        )
        downloader = Downloader(desk.settings, desk.catalogue, measure=measure)
        waiting = [(0.0, name) for name in reversed(names)]
        ends: dict[str, str] = {}
        finished: Counter[str] = Counter()
        pauses: list[float] = []
        lock = threading.Lock()

        def take() -> tuple[float, str] | None:
            with lock:
                return waiting.pop() if waiting else None

        def work() -> None:
            while (work_item := take()) is not None:
                not_before, name = work_item
                time.sleep(max(0.0, not_before - time.time()))
                item = replace(placeholder_item(name), duration_s=2.0)
                try:
                    fetched = downloader.fetch(item, desk.folder)
                    with lock:
                        finished[fetched.item.id] += 1
                        ends[name] = "done"
                    assert fetched.path.read_bytes() == body
                except RetryLater as error:
                    assert isinstance(error, LanePaused)
                    assert error.until
                    with lock:
                        pauses.append(error.until)
                        waiting.append((error.until, name))
                except MediaUnavailable as error:
                    assert not error.retryable, error
                    with lock:
                        finished[item.id] += 1
                        ends[name] = error.message

        # The pauses are kept by the clock, the arrivals by the monotonic time.
        ahead_s = time.time() - time.monotonic()
        started_at = time.monotonic()
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        private = {name for number, name in enumerate(names) if number % 20 == 7}
        assert set(ends) == set(names)  # none lost
        assert set(finished.values()) == {1}  # none twice
        assert {name for name, end in ends.items() if end != "done"} == private
        assert all("Private video" in ends[name] for name in private)
        assert len(list(desk.folder.iterdir())) == count - len(private)
        # One pause, and during it only downloads that had their turn already.
        assert pauses
        assert max(pauses) - min(pauses) < 0.5
        until = max(pauses) - ahead_s
        arrivals = sorted(request.at for request in site.requests_of("watch"))
        during = [at for at in arrivals if until - 2.0 < at < until - 0.05]
        assert len(during) <= threads
        # The k-th request did not come before its turn.
        for number, at in enumerate(arrivals):
            assert at - started_at >= number * pause_s - 0.01
        assert len(arrivals) <= count + 20


@pytest.mark.slow
def test_a_page_with_several_media_and_a_feed(
    tmp_path: Path, site: FakeMedia, sound: bytes
) -> None:
    desk = Desk(tmp_path, site)
    site.bodies["two"] = sound + b"\0"
    web = WebSource(desk.settings, desk.catalogue)
    listing = web.open(f"{site.url}/watch/one+two")
    items = list(listing)
    assert len({item.id for item in items}) == 2
    assert all(item.id.startswith("web:generic:") for item in items)
    sizes = [web.fetch(item, desk.folder).path.stat().st_size for item in items]
    assert sizes == [len(sound), len(sound) + 1]
    site.feed = ["a", "b", "c"]
    feed = web.open(f"{site.url}/feed")
    assert [item.title for item in feed] == ["Part a", "Part b", "Part c"]
    assert (feed.report.title, feed.report.reported) == ("A feed", 3)
    (single,) = web.items(f"{site.url}/watch/one")
    assert single.id == items[0].id or single.url != items[0].url
    site.pages["gone"] = [404]
    with pytest.raises(MediaUnavailable):
        list(web.open(f"{site.url}/watch/gone"))


def test_no_secret_is_shown(
    tmp_path: Path,
    site: FakeMedia,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    password, value = "hidden" + "word", "cookie" + "value99"
    cookies = tmp_path / "cookies.txt"
    text = f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\t{value}\n"
    cookies.write_text(text, encoding="utf-8")
    desk = Desk(
        tmp_path,
        site,
        YT_API_KEYS=fake_key("k"),
        KB_PROXY=f"http://joe:{password}@127.0.0.1:9",
        KB_COOKIES_FILE=str(cookies),
        KB_DOWNLOAD_RETRIES=1,
        KB_DOWNLOAD_ATTEMPTS=1,
    )
    with pytest.raises(MediaUnavailable) as caught:
        desk.fetch("proxied0001")
    assert caught.value.retryable
    direct = Desk(tmp_path, site, KB_COOKIES_FILE=str(cookies), YT_API_KEYS=fake_key("k"))
    site.pages["leaking0001"] = [(403, f"Private video {fake_key('k')} Cookie: SID={value}")]
    with pytest.raises(MediaUnavailable) as leaked:
        direct.fetch("leaking0001")
    assert direct.fetch("okokokok002").path.is_file()
    assert cookies.read_text(encoding="utf-8") == text  # yt-dlp did not write into it
    texts = [caplog.text, *capfd.readouterr(), repr(desk.settings)]
    texts += ["".join(traceback.format_exception(each.value)) for each in (caught, leaked)]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "home").iterdir())
    for secret in (password, value, fake_key("k")):
        assert all(secret not in each for each in texts)
        assert secret.encode() not in stored
    missing = desk.settings.replace(cookies_file=str(tmp_path / "none"), proxy="")
    with pytest.raises(SettingsError) as unreadable:
        Downloader(missing, desk.catalogue).fetch(placeholder_item("x"), desk.folder)
    assert unreadable.value.code == "cookies.unreadable"
    assert unreadable.value.values["path"] == str(tmp_path / "none")
    cookies.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError) as unreadable:
        direct.downloader.fetch(placeholder_item("x"), desk.folder)
    assert unreadable.value.code == "cookies.unreadable"
    assert unreadable.value.values["reason"]["code"] == "text.encoding"


def test_sources_fetch_with_their_arguments(tmp_path: Path, site: FakeMedia, sound: bytes) -> None:
    desk = Desk(tmp_path, site)
    source = YouTubeSource(desk.settings, desk.catalogue, measure=measure)
    fetched = source.fetch(placeholder_item("asource0001"), tmp_path / "in")
    assert fetched.path.read_bytes() == sound
    assert isinstance(get_source("web"), WebSource)
    item = MediaItem("web:generic:1", "web", f"{site.url}/media/x1.webm", "A file", "2020-01-01")
    fetched = WebSource(desk.settings, desk.catalogue).fetch(item, tmp_path / "in")
    assert (fetched.item.title, fetched.item.published) == ("A file", "2020-01-01")


def test_the_health_check(tmp_path: Path, site: FakeMedia) -> None:
    desk = Desk(tmp_path, site)
    checks = {check.name: check for check in check_sources(desk.settings, desk.catalogue)}
    assert checks["ffmpeg"].state == "ok"
    assert checks["JavaScript runtime"].state == "ok"
    assert checks["Downloads"].state == "ok"
    assert checks["YouTube Data API keys"].state == "warn"
    assert ytdlp_age_days() is not None
    desk.downloader.rate_limiter.report_throttled("HTTP Error 429")
    again = {check.name: check for check in check_sources(desk.settings, desk.catalogue)}
    assert "429" in again["Downloads"].detail or again["Downloads"].state == "warn"
    later = time.time() + 200 * 86_400
    old = {c.name: c for c in check_sources(desk.settings, desk.catalogue, clock=lambda: later)}
    assert old["yt-dlp"].state == "warn"
