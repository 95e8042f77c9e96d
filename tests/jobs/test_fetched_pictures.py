"""Pictures of what is kept as sound: fetched from a loopback site for their text, and deleted."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from kb.jobs.queue.item_states import DONE as ITEM_DONE
from kb.jobs.queue.source_factory import measure_picture
from kb.jobs.queue.step_states import CANCELLED, DONE, SKIPPED, WAITING, StepRow
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.library import scratch
from kb.library.extras import Extras
from kb.options import RunOptions
from kb.pipeline import enrichment, fetched_picture, stages
from kb.pipeline.screen_text import screen_text
from kb.settings import Settings, get_settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.listing.scan import picture_bytes, scan
from kb.sources.ytdlp.length_check import DamagedFile
from kb.sources.ytdlp.picture import PictureCheck, smallest_picture
from tests.fakes.media import FakeMedia
from tests.jobs.test_published_content import transcript
from tests.support.items import item
from tests.support.slides import Showing, noise, require_reader, text_picture, write_video
from tests.support.waiting import WAIT_S, until

SHORT_ID = "abcdefghijk"
ITEM = replace(item(1), id=f"youtube:{SHORT_ID}", source="youtube")
LINE = "Timetable of ferries"
PICTURE = f"{SHORT_ID}-360"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    return write_video(path, [Showing(text_picture([LINE]), 2)], rate=2).read_bytes()


@pytest.fixture
def site(video: bytes) -> Iterator[FakeMedia]:
    with FakeMedia(b"sound", bodies={PICTURE: video}, content_type="video/mp4") as running:
        running.pictures[SHORT_ID] = (1080, 144, 360, 720)
        yield running


@pytest.fixture
def online(
    context: WorkerContext, site: FakeMedia, monkeypatch: pytest.MonkeyPatch
) -> WorkerContext:
    """A worker whose library has a finished item, with its sound alone."""
    require_reader()
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    context.settings = context.settings.replace(yt_watch_url=site.watch_url, download_pause_s=0.0)
    context.items.submit([ITEM], RunOptions().as_dict(), lambda *_: None)
    assert context.items.claim(ITEM.id, 1, context.executor) is not None
    sound = context.settings.home.parent / "in.mp4"
    write_video(sound, [Showing(text_picture([]), 1)], rate=1)  # its sound alone is taken
    alone = sound.with_suffix(".m4a")
    _without_picture(sound, alone)
    context.library.add_media(ITEM, alone, sha256="")
    words = transcript("the ferry leaves at noon")
    stages.write(context.library, ITEM, replace(words, media=replace(words.media, sha256="")), 0.0)
    assert context.items.finish(ITEM.id, 1, context.executor, ITEM_DONE)
    return context


def _without_picture(source: Path, target: Path) -> None:
    import av

    with av.open(str(source)) as video, av.open(str(target), "w", format="mp4") as made:
        stream = made.add_stream_from_template(video.streams.audio[0])
        for packet in video.demux(video.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)


def carry_out(context: WorkerContext, **options: object) -> StepRow:
    """Request the step, carry it out and return its row."""
    context.steps.request([("screen", ITEM.id)], context.client.step, options)
    serial = _row(context).serial
    EnrichSteps(context, "screen", ITEM.id, serial).run()
    return _row(context)


def _row(context: WorkerContext) -> StepRow:
    (row,) = context.steps.for_items([ITEM.id])[ITEM.id]
    return row


def result(context: WorkerContext) -> dict[str, object]:
    entry = context.library.find(ITEM.id)
    assert entry is not None
    return dict(Extras(context.library).read(entry, "screen") or {})


def left(context: WorkerContext) -> list[Path]:
    return list((context.settings.home / scratch.FOLDER).glob("*"))


@pytest.mark.slow
def test_the_smallest_picture_is_fetched_once_read_and_deleted(
    online: WorkerContext, site: FakeMedia
) -> None:
    # Switched off, the sound alone is there to be read, and nobody is asked.
    assert carry_out(online, fetch_picture=False).status == DONE
    assert result(online)["picture"] is False and site.requests == []

    assert carry_out(online).status == DONE
    found = result(online)
    assert found["picture"] is True and found[fetched_picture.FETCHED] is True
    assert LINE in str(found["pages"])
    assert [each.id for each in site.requests_of("media")] == [PICTURE]
    assert left(online) == []
    entry = online.library.find(ITEM.id)
    assert entry is not None and entry.media_path is not None
    assert entry.media_path.suffix == ".m4a"

    # A page draws it again and again: it is read once, and anew when it was made again.
    words = stages.read_transcript(online.library, entry)
    shown = screen_text(online.library, entry, words)
    assert shown is not None and shown is screen_text(online.library, entry, words)

    carry_out(online)  # it is there
    assert len(site.requests_of("media")) == 1
    carry_out(online, again=True)
    assert len(site.requests_of("media")) == 2
    later = screen_text(online.library, entry, words)
    assert later == shown and later is not shown


@pytest.mark.slow
def test_a_source_without_picture_is_asked_once(online: WorkerContext, site: FakeMedia) -> None:
    site.pictures[SHORT_ID] = ()
    for _ in range(2):
        assert carry_out(online).status == DONE
        assert result(online)["picture"] is False
    assert len(site.requests_of("watch")) == 1 and site.requests_of("media") == []


REFUSALS = [
    # answers of the page, state, code, if it waits for a time
    ([404], SKIPPED, "step.no_picture", False),
    ([(403, "Private video")], SKIPPED, "step.no_picture", False),
    ([(429, "Too many requests")], WAITING, "downloads.paused", True),
]


@pytest.mark.parametrize(("answers", "status", "code", "waits"), REFUSALS)
def test_a_picture_that_cannot_be_fetched_is_reported(
    online: WorkerContext, site: FakeMedia, answers: list, status: str, code: str, waits: bool
) -> None:
    site.pages[SHORT_ID] = answers
    row = carry_out(online)
    assert row.status == status and (row.due_at is not None) == waits
    assert row.problem is not None and row.problem["code"] == code
    assert left(online) == []
    item_row = online.items.read(ITEM.id)
    assert item_row is not None and item_row.state == ITEM_DONE


@pytest.mark.slow
def test_a_picture_that_arrives_cut_off_is_fetched_again(
    online: WorkerContext, site: FakeMedia
) -> None:
    site.script[PICTURE] = ["truncate", "ok"]
    assert carry_out(online).status == DONE
    assert LINE in str(result(online)["pages"])
    assert len(site.requests_of("media")) == 2 and left(online) == []

    # It never arrives whole: that is reported, and what was read before stays.
    before = result(online)
    site.script[PICTURE] = ["truncate"]
    row = carry_out(online, again=True)
    assert row.status == WAITING and row.problem is not None
    assert result(online) == before and left(online) == []


CUTS = [
    # end of the file's name, options of its container, share of the bytes that arrived
    ("mp4", {"movflags": "faststart"}, 0.6),
    ("mp4", {"movflags": "faststart"}, 0.97),
    ("mp4", {}, 0.6),  # its index is at the end
    ("webm", {}, 0.6),
    ("mkv", {}, 0.6),
]


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "options", "share"), CUTS)
def test_a_cut_off_picture_is_not_whole(
    tmp_path: Path, ending: str, options: dict[str, str], share: float
) -> None:
    path = tmp_path / f"in.{ending}"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libvpx-vp9" if ending == "webm" else "libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_image(noise(number).resize((320, 180)))
            frame.pts, frame.time_base = number, Fraction(1, 4)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert measure_picture(path) == (pytest.approx(10, abs=0.3), False, 0)
    tries = 3
    PictureCheck(replace(ITEM, duration_s=10.0), measure_picture, tries).check(path, {})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DamagedFile):
        PictureCheck(replace(ITEM, duration_s=10.0), measure_picture, tries).check(path, {})


def test_a_picture_that_ends_before_the_sound_is_taken_the_second_time(
    tmp_path: Path, video: bytes
) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(video)
    check = PictureCheck(replace(ITEM, duration_s=60.0), measure_picture, 3)
    with pytest.raises(DamagedFile):
        check.check(path, {})
    check.check(path, {})


@pytest.mark.slow
def test_a_cancelled_download_leaves_nothing(online: WorkerContext, site: FakeMedia) -> None:
    site.script[PICTURE] = ["held"]
    thread = threading.Thread(target=carry_out, args=(online,))
    thread.start()
    try:
        until(lambda: any(each.suffix == ".part" for f in left(online) if f.is_dir()
                          for each in f.iterdir()), "the download begins")  # fmt: skip
        assert online.library.sweep_temporary() == () and left(online) != []  # it is in use
        online.steps.cancel([ITEM.id])
        thread.join(WAIT_S)
    finally:
        site.release.set()
        thread.join(WAIT_S)
    assert _row(online).status == CANCELLED and left(online) == []


def test_the_sweep_takes_what_a_killed_process_left(context: WorkerContext) -> None:
    home = context.settings.home
    code = (
        "import sys, time; from pathlib import Path\n"
        "from kb.library.scratch import scratch_folder\n"
        f"with scratch_folder(Path({str(home)!r})) as folder:\n"
        "    (folder / 'part').write_text('half'); print('there', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        assert scratch.sweep(home) == () and len(left(context)) == 2
    finally:
        process.kill()
        process.wait(WAIT_S)
        assert process.stdout is not None
        process.stdout.close()
    context.library.sweep_temporary()
    assert left(context) == []


FORMATS = [
    # heights with their sizes, the height that is chosen
    ({144: 1, 360: 5, 480: 9, 1080: 30}, 360),
    ({360: 9, 480: 5}, 480),  # a better codec
    ({144: 1, 240: 3}, 240),
    ({360: None, 480: 9}, 480),  # an unknown size may be large
    ({}, None),
]


@pytest.mark.parametrize(("sizes", "height"), FORMATS)
def test_the_smallest_format_with_enough_lines(sizes: dict, height: int | None) -> None:
    formats = [{"height": h, "filesize": s, "vcodec": "vp9"} for h, s in sizes.items()]
    others = [
        {"vcodec": "none", "acodec": "opus", "filesize": 1},
        {"filesize": 1},
        {"ext": "mhtml", "vcodec": "none", "height": 45},
        {"height": 360, "vcodec": "avc1", "filesize": 1, "has_drm": True},
    ]
    chosen = smallest_picture([*others, *formats])
    assert (chosen or {}).get("height") == height


RUNS = [
    # the option of the run, the setting, what the steps get
    (None, True, {}),
    (None, False, {fetched_picture.OPTION: False}),
    (True, False, {fetched_picture.OPTION: True}),
    (False, True, {fetched_picture.OPTION: False}),
]


@pytest.mark.parametrize(("asked", "setting", "given"), RUNS)
def test_a_run_says_if_pictures_are_fetched(
    asked: bool | None, setting: bool, given: dict[str, object]
) -> None:
    options = RunOptions(fetch_picture=asked, sample_rate=30)
    found = enrichment.options_of_run(options, Settings(fetch_picture=setting))
    assert found == {"sample_rate": 30, **given}


def test_a_plan_says_how_much_is_fetched() -> None:
    hour = replace(ITEM, duration_s=3600.0)
    local = replace(hour, source="file")
    unknown = replace(hour, duration_s=None)
    assert picture_bytes([hour, local, unknown], "audio") == 90_000_000
    assert picture_bytes([hour], "mp4") == 0  # its picture is kept
    settings, here = Settings(), ("screen",)
    wanted = RunOptions()
    assert enrichment.fetches_pictures(wanted, settings, here)
    assert not enrichment.fetches_pictures(wanted, settings)  # no machine can read it
    for left_out in (RunOptions(fetch_picture=False), RunOptions(steps=("speakers",))):
        assert not enrichment.fetches_pictures(left_out, settings, here)
    listing = Listing(ListingReport("@a", "channel"), lambda _: iter([hour]), VideoFilters(), ())
    found = scan(listing, settings, pictures=True)
    assert found.as_dict()["picture_bytes"] == 90_000_000
    assert found.disk_bytes == 3600 * 16_000  # the picture does not stay
    assert found.download_s > scan(listing, settings).download_s
