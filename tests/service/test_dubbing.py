"""Dubs of items of a library: with a file or a stored translation, made once, found again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import KBError, UsageError
from kb.library.extras import Extras
from kb.library.products import Products
from kb.media import sha256_of
from kb.media.probe import probe
from kb.pipeline import stages
from kb.pipeline.dub_products import SOUND_SHARE
from kb.service import Service
from kb.service.dubbing import Dub
from kb.settings import Settings
from kb.transcript.digest import text_digest
from kb.transcript.formats.json_document import render
from kb.transcript.translation import document_name
from kb.types import MediaItem, MediaRef, Segment, Transcript
from kb.types.translation import MARKS
from tests.support import films
from tests.support.films import grey, spoken, tone
from tests.support.raising import raises

pytestmark = pytest.mark.slow

ITEM = MediaItem("web:example:1", "web", "https://example.org/talk", "A talk", "2026-01-01")
DUB = Dub("de", threads=1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("dubbing")
    made = Service(Settings(KB_HOME=str(folder / "home")))
    made.library.prepare()
    film = films.make(folder / "talk.mp4", *grey(5, "320x180", 5), *tone(5))
    digest = sha256_of(film)
    entry = made.library.add_media(ITEM, film, sha256=digest)
    assert entry.media_path is not None
    words = spoken(["We have seen it", "and said so"])
    words = replace(
        words, media=MediaRef(entry.media_path.name, digest, 5.0),
        segments=tuple(
            replace(s, speaker=name) for s, name in zip(words.segments, ("Ada", "Ben"), strict=True)
        ),
    )  # fmt: skip
    stages.write(made.library, ITEM, words, 0.0)
    yield made
    made.close()


def translation(service: Service) -> Transcript:
    original = service.items.transcript(ITEM.id)
    lines = ("Wir haben es gesehen", "und es gesagt")
    segments = tuple(
        Segment(s.start_s, s.end_s, line, ())
        for s, line in zip(original.segments, lines, strict=True)
    )
    return replace(original, segments=segments, language="de")


def store_translation(service: Service) -> None:
    """Store a translation into German whose second line has failed."""
    entry, original = service.items.entry(ITEM.id), service.items.transcript(ITEM.id)
    rows = [
        {"start": s.start_s, "end": s.end_s, "text": line, **({} if line else {"mark": MARKS[0]})}
        for s, line in zip(original.segments, ("Wir haben es gesehen", ""), strict=True)
    ]
    basis = {"sha256": original.media.sha256, "words": text_digest(original)}
    document = {"basis": basis, "segments": rows}
    Extras(service.library).write(entry, document_name("de"), document, nullcontext)


@pytest.fixture
def german(service: Service, tmp_path: Path) -> Path:
    path = tmp_path / "talk.de.json"
    path.write_text(render(translation(service)), encoding="utf-8")
    return path


def products_of(service: Service) -> Products:
    return Products(service.library.home, 5, 30)


def test_a_dub_is_made_once(service: Service, german: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    dubs = service.dubbing
    first = dubs.of_item(ITEM.id, DUB, german, tmp_path / "1.mp4", progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert [row[2] for row in films.streams(first.path)] == ["und", "deu", "und"]
    assert (first.report.lines, first.report.cut) == (2, 0)
    shares.clear()
    # The same sound in another kind of file, and with another number of threads.
    second = dubs.of_item(
        ITEM.id, replace(DUB, threads=2), german, tmp_path / "2.mp3", progress=shares.append
    )
    assert min(shares) >= SOUND_SHARE and second.report == first.report
    assert probe(second.path).duration_s == pytest.approx(5.0, abs=0.1)
    (kept,) = service.products.kept(service.items.entry(ITEM.id))
    assert (kept.kind, kept.path.suffix) == ("dub", ".m4a")
    other = replace(DUB, voices={"Ben": "espeak:de+m4"})
    shares.clear()
    dubs.of_item(ITEM.id, other, german, tmp_path / "3.m4a", progress=shares.append)
    assert min(shares) < SOUND_SHARE and shares[-1] == 1.0
    with raises(UsageError, "dub.unknown_speaker", name="Carl", known="Ada, Ben"):
        dubs.of_item(ITEM.id, replace(DUB, voices={"Carl": "espeak:de"}), german)


def test_a_stored_translation_is_taken(service: Service, tmp_path: Path) -> None:
    with raises(UsageError, "translation.none_here", item_id=ITEM.id, code="fr"):
        service.dubbing.of_item(ITEM.id, replace(DUB, language="fr"), None, tmp_path / "a.m4a")
    store_translation(service)
    entry = service.items.entry(ITEM.id)
    made = service.dubbing.of_item(ITEM.id, DUB, None, tmp_path / "a.m4a")
    assert made.report.lines == 1
    assert [note.code for note in made.report.notes] == ["note.dub_untranslated"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.m4a"]
    assert service.dubbing.languages(entry) == ("de",)


def test_an_order_of_a_dub(service: Service) -> None:
    """It is refused before it is queued where it cannot be carried out."""
    store_translation(service)
    found = service.dubbing.order(ITEM.id, DUB)
    assert (found.kind, found.suffix, found.language) == ("dub", ".mp4", "de")
    # The picture is kept: none is fetched.
    assert service.dubbing.order(ITEM.id, DUB, ".m4a", fetch=True).fetch is False
    with raises(UsageError, "translation.none_here", code="fr"):
        service.dubbing.order(ITEM.id, Dub("fr"))
    with raises(UsageError, "dub.unknown_kind"):
        service.dubbing.order(ITEM.id, DUB, ".gif")


def test_nothing_half_written_is_left(
    service: Service, german: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = products_of(service).use()
    wish = Dub("de", voice="espeak:de+f5", threads=1)

    class Stopped(Exception):
        pass

    def stop(share: float) -> None:
        if share > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        service.dubbing.of_item(ITEM.id, wish, german, tmp_path / "a.mp4", progress=stop)
    monkeypatch.setattr("kb.tts.engines.espeak.SCRIPT", tmp_path / "no script.py")
    with pytest.raises(KBError):
        service.dubbing.of_item(ITEM.id, wish, german, tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == [german.name]
    assert products_of(service).use() == before
    folder = products_of(service).folder / service.items.entry(ITEM.id).stem
    assert {path.suffix for path in folder.iterdir()} <= {".m4a", ".json"}


def test_the_words_of_an_item_are_read(service: Service) -> None:
    text, language = service.speech.text_of(ITEM.id)
    assert (text, language) == ("We have seen it and said so", "en")
