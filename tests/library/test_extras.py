"""Results of steps go with their item everywhere; each kind of result is tried."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kb.enrich import STEPS
from kb.enrich.sound.fingerprint import Fingerprint, to_document
from kb.errors import LibraryError
from kb.library import Library
from kb.library.extras import Extras
from kb.library.trash import FILES, Trash
from kb.service import Service
from kb.service.item_filter import ItemFilter
from kb.settings import Settings
from tests.library.test_version_before import ARCHIVE, DONE
from tests.support.raising import raises

QUOTE = {"text": "the ferry leaves", "start": 1.0, "end": 2.0, "segment": 0}
RESULTS: dict[str, dict[str, Any]] = {
    "meaning": {"model": "a model", "dimension": 2, "texts": ["one"], "vectors": "ADwAAA=="},
    "sound": to_document(
        Fingerprint(np.arange(100, dtype=np.uint32) * 65_537, np.ones(100, np.bool_), 15.0)
    ),
    "recurring": {
        "stretches": [{"start": 0.0, "end": 5.0, "items": 3, "by_sound": True, "by_text": False}],
        "copies": [],
        "words": "",
    },
    "speakers": {
        "speakers": ["Speaker 1"],
        "turns": [{"start": 0.0, "end": 9999.0, "speaker": "Speaker 1"}],
    },
    "screen": {
        "picture": True,
        "pages": [
            {
                "showings": [{"start": 1.0, "end": 2.0}],
                "lines": [
                    {
                        "text": "Timetable of ferries",
                        "start": 1.0,
                        "score": 0.9,
                        "left": 0.1,
                        "top": 0.1,
                        "width": 0.5,
                        "height": 0.1,
                    }
                ],
            }
        ],
    },
    "summary": {"short": [{"text": "It leaves.", "quotes": [QUOTE]}]},
    "chapters": {"from_source": False, "chapters": [{"title": "Ferries", "start": 1.0}]},
    "highlights": {"highlights": [{"text": "It leaves.", "weight": 5, "quotes": [QUOTE]}]},
    "terms": {"terms": [{"term": "ferry", "kind": "term", "start": 1.0, "count": 2}]},
    "questions": {"questions": [{"question": "When?", "text": "At noon.", "quotes": [QUOTE]}]},
    "translate": {"languages": ["de"], "same": [], "translated": ["de"]},
}


def opened(home: Path) -> Service:
    return Service(Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo"}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the version before, in which each step has a result for one item."""
    folder = tmp_path_factory.mktemp("whole")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    service = opened(folder / "home")
    service.search.reindex()
    entry = service.items.entry(DONE)
    for kind in STEPS:
        basis = {"sha256": service.items.transcript(DONE).media.sha256}
        Extras(service.library).write(
            entry, kind, {"basis": basis, **RESULTS[kind]}, lambda: service.library.guard(DONE)
        )
    service.close()
    return folder / "home"


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "home"))


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    made = opened(home)
    yield made
    made.close()


def results(home: Path) -> dict[str, dict[str, Any] | None]:
    library = Library(home)
    entry = library.find(DONE)
    return {kind: Extras(library).read(entry, kind) for kind in STEPS} if entry else {}


def test_each_kind_has_a_result_here() -> None:
    assert RESULTS.keys() == STEPS.keys()


@pytest.mark.slow
def test_a_lost_database_and_index_lose_no_result_and_make_no_item(home: Path) -> None:
    before = results(home)
    assert all(before.values())
    with_all = opened(home)
    ids = {each.id for each in with_all.items.statuses()}
    with_all.close()
    for path in home.glob("kb.sqlite*"):
        path.unlink()
    shutil.rmtree(home / "index.lance")
    again = opened(home)
    again.search.reindex()
    statuses = {each.id: each for each in again.items.statuses()}
    again.close()
    assert results(home) == before
    assert statuses.keys() <= ids  # rows without files are not made again
    assert {step.step: step.status for step in statuses[DONE].steps} == dict.fromkeys(STEPS, "done")


@pytest.mark.slow
def test_text_on_the_screen_is_found_and_follows_its_item(home: Path) -> None:
    """A rebuilt index has it, `kb verify` mends it, and a removed item has no page in it."""

    def found(service: Service) -> list[tuple[str, str, float]]:
        hits = service.search.run("timetable ferries").hits
        return [(hit.item_id, hit.origin, hit.at_s) for hit in hits]

    on_screen = [(DONE, "screen", 1.0)]
    service = opened(home)
    service.search.reindex()
    assert found(service) == on_screen
    (hit,) = service.search.run("timetable").hits
    assert hit.text == "Timetable of ferries" and not hit.speaker
    (passage,), *_ = service.reading.search("timetable", ItemFilter())
    assert passage.origin == "screen"
    near = service.reading.stretch(passage.id)
    assert "Timetable of ferries" in near.on_screen and "Timetable" not in near.text
    findings = service.verification.run().findings
    assert not [each.kind for each in findings if each.kind.startswith("index")]
    # Its result is gone: so is its page, once the index was mended; and the other way round.
    path = Extras(service.library).path(service.items.entry(DONE).stem, "screen")
    kept = path.read_bytes()
    path.unlink()
    kinds = [each.kind for each in service.verification.run(repair=True).findings]
    assert "index_differs" in kinds
    assert found(service) == []
    path.write_bytes(kept)
    service.verification.run(repair=True)
    assert found(service) == on_screen
    service.removals.remove([DONE])
    assert found(service) == []
    service.removals.undo([DONE])
    assert found(service) == on_screen
    service.close()


@pytest.mark.slow
def test_a_backup_has_them_and_brings_them_back(home: Path, tmp_path: Path) -> None:
    service, before = opened(home), results(home)
    report = service.backup.make(tmp_path / "backup.zip")
    service.close()
    shutil.rmtree(home / "extras")
    assert not any(results(home).values())
    again = opened(home)
    again.backup.restore(report.path)
    again.close()
    assert results(home) == before


@pytest.mark.slow
def test_a_removed_item_takes_them_along_and_brings_them_back(home: Path) -> None:
    before = results(home)
    service = opened(home)
    entry = service.items.entry(DONE)
    removed = service.removals.remove([DONE])
    assert removed
    assert not (home / "extras" / entry.stem).exists()
    (item,) = Trash(service.library).items()
    assert sorted(path.stem for path in (item.folder / "extras").iterdir()) == sorted(STEPS)
    assert not (item.folder / FILES / "extras").exists()
    service.removals.undo([DONE])
    assert results(home) == before
    # Removed again, and deleted for good.
    service.removals.remove([DONE])
    Trash(service.library).delete(Trash(service.library).items()[0])
    service.close()
    assert not list((home / "extras").rglob("*.json"))
    assert not list((home / "trash").rglob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPS)
def test_verify_names_what_is_damaged_and_what_belongs_to_no_item(
    kind: str, home: Path, service: Service
) -> None:
    extras = Extras(service.library)
    entry = service.items.entry(DONE)

    def findings() -> list[str]:
        report = service.verification.run()
        return [each.kind for each in report.findings if each.kind.startswith("result")]

    assert findings() == []
    damaged = extras.path(entry.stem, kind)
    damaged.write_text('{"version": 1', "utf-8")
    assert findings() == ["result_damaged"]
    # The item is shown without it, and nothing else is lost.
    assert service.items.transcript(DONE).segments
    damaged.unlink()
    stranger = extras.folder / "2020-01-01_Nobody_abc" / f"{kind}.json"
    stranger.parent.mkdir()
    stranger.write_text('{"version": 1, "id": "file:abc"}', "utf-8")
    assert findings() == ["result_unknown"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ('{"version": 1, "id": "file:other"}', "extras.other_item"),
        (f'{{"version": 99, "id": "{DONE}"}}', "library.newer"),
        ("[", "json.damaged"),
    ],
)
def test_a_document_that_cannot_be_used_is_named(document: str, code: str, home: Path) -> None:
    library = Library(home)
    entry = library.find(DONE)
    assert entry is not None
    for kind in STEPS:
        Extras(library).path(entry.stem, kind).write_text(document, "utf-8")
        with raises(LibraryError, code):
            Extras(library).read(entry, kind)


@pytest.mark.parametrize("kind", ["", "..", "a/b", "Speakers", "x" * 41])
def test_a_name_that_is_none_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name of a result"):
        Extras(Library(tmp_path)).path("stem", kind)
