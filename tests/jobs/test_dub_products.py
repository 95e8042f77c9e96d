"""Dubs as work of the queue: sound and copies of the video, made once, cancelled, refused."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from kb.jobs.queue.step_states import CANCELLED, DONE, FAILED
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.product_steps import ProductSteps
from kb.library import scratch
from kb.library.extras import Extras
from kb.media.probe import probe
from kb.pipeline import dubbing, enrichment
from kb.pipeline.product_order import DUB, DUB_SOUND, Order
from kb.pipeline.product_picture import FETCHED, KEPT
from kb.transcript.digest import text_digest
from kb.transcript.translation import document_name
from kb.types import MediaItem
from tests.fakes.media import FakeMedia
from tests.jobs.test_products import (
    ITEM,
    ONLINE,
    SHORT_ID,
    _finish,
    carry_out,
    kept,
    left,
    order,
    row_of,
)
from tests.support import films
from tests.support.films import grey, tone

pytestmark = pytest.mark.slow

VIDEO = Order(DUB, language="de", threads=1, suffix=".mp4")
SOUND = replace(VIDEO, suffix=DUB_SOUND)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(
        tmp_path_factory.mktemp("film") / "talk.mp4", *grey(3, "320x180", 10), *tone(3)
    )


def translated(context: WorkerContext, item: MediaItem = ITEM) -> None:
    """Store a German translation of an item's words."""
    entry = context.library.find(item.id)
    assert entry is not None
    original = enrichment.read_with_results(context.library, entry)
    lines = ("Gesehen", "da")
    rows = [
        {"start": s.start_s, "end": s.end_s, "text": line}
        for s, line in zip(original.segments, lines, strict=True)
    ]
    basis = {"sha256": original.media.sha256, "words": text_digest(original)}
    document = {"basis": basis, "segments": rows}
    Extras(context.library).write(entry, document_name("de"), document, nullcontext)


@pytest.fixture
def finished(context: WorkerContext, film: Path) -> WorkerContext:
    """A worker whose library has a film with words in English and German."""
    _finish(context, film)
    translated(context)
    return context


def test_sound_and_film_are_made_once(
    finished: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: list[str] = []
    say = dubbing._Voices.say

    def heard(self: dubbing._Voices, text: str, voice: str, speed: float) -> object:
        spoken.append(text)
        return say(self, text, voice, speed)

    monkeypatch.setattr(dubbing._Voices, "say", heard)
    assert carry_out(finished, VIDEO).status == DONE
    by_suffix = {each.path.suffix: each for each in kept(finished)}
    assert set(by_suffix) == {".mp4", DUB_SOUND}
    video, sound = by_suffix[".mp4"], by_suffix[DUB_SOUND]
    assert [row[2] for row in films.streams(video.path)] == ["und", "deu", "und"]
    assert not probe(sound.path).has_video
    for each in (video, sound):
        assert (each.about["kind"], each.about["language"]) == (DUB, "de")
        assert (each.about["lines"], each.about["cut"]) == (2, 0)
        assert probe(each.path).duration_s == pytest.approx(3, abs=0.2)
    assert video.about["picture_is"] == KEPT and "picture_is" not in sound.about
    assert video.about["order"] != sound.about["order"]
    assert spoken
    spoken.clear()
    for again in (VIDEO, SOUND, replace(VIDEO, suffix=".mkv"), replace(VIDEO, threads=2)):
        assert carry_out(finished, again).status == DONE
    assert spoken == [] and len(kept(finished)) == 3
    assert carry_out(finished, replace(SOUND, voice="espeak:de+f2")).status == DONE
    assert spoken and len(kept(finished)) == 4
    assert left(finished) == []


def test_a_picture_is_fetched_for_a_dub(context: WorkerContext, tmp_path: Path, film: Path) -> None:
    """From a loopback site, for an item that is kept as sound."""
    bodies = {f"{SHORT_ID}-360": film.read_bytes()}
    with FakeMedia(b"sound", bodies=bodies, content_type="video/mp4") as site:
        site.pictures[SHORT_ID] = (1080, 360)
        context.settings = context.settings.replace(
            yt_watch_url=site.watch_url, download_pause_s=0.0
        )
        _finish(context, films.make(tmp_path / "sound.m4a", *tone(3)), ONLINE)
        translated(context, ONLINE)
        refused = carry_out(context, replace(VIDEO, suffix=".mkv"), ONLINE)
        assert refused.problem is not None and refused.problem["code"] == "dub.no_picture"
        assert kept(context, ONLINE) == []  # it is refused before anything is spoken
        for _ in range(2):
            wanted = replace(VIDEO, suffix=".mkv", fetch=True)
            assert carry_out(context, wanted, ONLINE).status == DONE
        assert len(site.requests_of("media")) == 1
    found = {each.path.suffix: each for each in kept(context, ONLINE)}
    assert found[".mkv"].about["picture_is"] == FETCHED
    made = probe(found[".mkv"].path)
    assert made.has_video and len(made.tracks) == 2
    assert list((context.settings.home / scratch.FOLDER).glob("*")) == []


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (replace(VIDEO, language="fr"), "translation.none_here"),
        (replace(VIDEO, voice="nobody:x"), "speech.unknown_engine"),
        (replace(VIDEO, voices=(("Carl", "espeak:de"),)), "dub.unknown_speaker"),
    ],
)
def test_what_cannot_be_dubbed_fails_with_its_reason(
    finished: WorkerContext, wanted: Order, code: str
) -> None:
    row = carry_out(finished, wanted)
    assert row.status == FAILED and row.problem is not None and row.problem["code"] == code
    assert kept(finished) == [] and left(finished) == []


@pytest.mark.parametrize("part", ["make_sound", "add_sound"])
def test_a_cancelled_dub_leaves_nothing_half_written(
    finished: WorkerContext, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """The act comes while the lines are spoken, or while the sound is added to the picture."""
    step, make = order(finished, VIDEO), getattr(dubbing, part)

    def made(*args: object, **options: object) -> object:
        finished.steps.cancel([ITEM.id])
        return make(*args, **options)

    monkeypatch.setattr(dubbing, part, made)
    work = ProductSteps(finished, step, ITEM.id, row_of(finished, step).serial)
    work._checked_at = float("-inf")
    monkeypatch.setattr("kb.jobs.worker.enrich_steps.CHECK_S", 0.0)
    work.run()
    assert row_of(finished, step).status == CANCELLED
    # A sound that was whole before is kept for the next time.
    whole = [DUB_SOUND] if part == "add_sound" else []
    assert [each.path.suffix for each in kept(finished)] == whole
    assert left(finished) == []
