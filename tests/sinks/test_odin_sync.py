"""Synchronization of library and project, over real HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kb.errors import Cancelled, CredentialsRefused, KnowledgeBaseError
from kb.settings import Settings
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.sync import LoadItem, SyncItem, SyncPlan, apply_plan, make_plan, publish_many
from kb.types import DocumentFacts
from tests.fakes.odin import FakeOdin
from tests.support.sink_contract import make_item, make_passages

FACTS = DocumentFacts("en", "tiny", "whisper", "stabil", 1.0, "A")


@pytest.fixture
def odin(tmp_path: Path) -> Iterator[FakeOdin]:
    with FakeOdin(tmp_path / "odin", index_s=0.02, delete_s=0.02) as service:
        yield service


def open_odin(tmp_path: Path, odin: FakeOdin, **more: Any) -> OdinSink:
    return OdinSink(Settings(home=tmp_path / "home", **odin.settings(**more)))


@pytest.fixture
def sink(tmp_path: Path, odin: FakeOdin) -> OdinSink:
    return open_odin(tmp_path, odin)


def library_of(**texts: Sequence[str]) -> dict[str, SyncItem]:
    """Return a library from short names and the texts of their passages."""
    found = {}
    for name, words in texts.items():
        item = make_item(f"test:{name}")
        found[item.id] = SyncItem(item, make_passages(item, words), FACTS)
    return found


def loader(library: dict[str, SyncItem]) -> LoadItem:
    return library.get


def by_kind(plan: SyncPlan) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        found.setdefault(step.kind, []).append(step.item_id.removeprefix("test:"))
    return {kind: sorted(names) for kind, names in found.items()}


def drifted(odin: FakeOdin, sink: OdinSink) -> dict[str, SyncItem]:
    """Make a project with differences of every kind; return the library it should match."""
    before = library_of(
        same=["same"],
        gone=["gone"],
        changed=["old words"],
        twice=["twice"],
        broken=["broken"],
        foreign=["only remote"],
        held=["held for review"],
        slow=["slow"],
    )
    assert publish_many(sink, list(before), before.get).ok
    odin.put("colleague.pdf", b"by hand")
    rows = odin.documents()
    names = {json.loads(row["metadata"]).get("id"): name for name, row in rows.items()}
    odin.delete(names["test:gone"])
    twice = rows[names["test:twice"]]
    odin.put(names["test:twice"], twice["content"], twice["metadata"])
    for name, outcome, index_s in (("broken", "failed", 0.0), ("slow", "synced", 60.0)):
        key = names[f"test:{name}"]
        row = rows[key]
        odin.put(key, row["content"], row["metadata"], outcome, force=True, index_s=index_s)
    while any(row["status"] == "deleting" for row in odin.documents().values()):
        pass
    library = {name: one for name, one in before.items() if name not in ("test:foreign",)}
    return {**library, **library_of(changed=["new words"], new=["new " * 10_000])}


def test_every_kind_of_difference_is_listed_and_applied(odin: FakeOdin, sink: OdinSink) -> None:
    library = drifted(odin, sink)
    library.pop("test:held")
    before = dict(odin.documents())

    def plan() -> SyncPlan:
        return make_plan(sink, library.values(), known=["test:held"])

    found = plan()
    assert by_kind(found) == {
        "missing": ["gone", "new"],
        "changed": ["changed"],
        "duplicated": ["twice"],
        "failed": ["broken"],
        "waiting": ["slow"],
        "remote_only": ["foreign"],
    }
    assert (found.in_sync, found.foreign, found.documents) == (1, 1, 4)
    new = next(step for step in found.steps if step.item_id == "test:new")
    assert new.words > 10_000 and new.credits == pytest.approx(new.words / 10_000)
    assert found.credits == pytest.approx(found.words / 10_000)
    assert odin.documents().keys() == before.keys()  # a plan changes nothing

    odin.finish_indexing()
    reported: list[tuple[str, str, int, int]] = []
    outcome = apply_plan(sink, found, loader(library), progress=lambda *row: reported.append(row))
    assert outcome.ok and len(outcome.done) == 6
    assert [row[2:] for row in reported] == [(n + 1, 6) for n in range(6)]
    found = plan()
    assert by_kind(found) == {"remote_only": ["foreign"]}
    uploads = odin.count("POST", "/add/file")
    assert apply_plan(sink, found, loader(library)).done == []
    assert odin.count("POST", "/add/file") == uploads

    outcome = apply_plan(sink, found, loader(library), prune=True)
    assert outcome.done == ["test:foreign"]
    assert plan().steps == ()
    # Documents of other producers and of held items were not changed.
    ids = {json.loads(row["metadata"]).get("id") for row in odin.documents().values()}
    assert ids == {None, "test:held", *library}
    assert len(odin.indexed()) == len(ids)


def test_a_stopped_apply_resumes(odin: FakeOdin, tmp_path: Path, sink: OdinSink) -> None:
    library = library_of(**{f"n{n}": [f"words {n}"] for n in range(12)})
    plan = make_plan(sink, library.values())
    assert plan.counts["missing"] == 12

    def stop_soon(_name: str) -> None:
        if len(odin.documents()) >= 2:  # several are sent at once, so the count may skip a number
            sink.stop.set()

    odin.on_upload = stop_soon
    with pytest.raises(Cancelled):
        apply_plan(sink, plan, loader(library))
    odin.on_upload = lambda _name: None
    other = open_odin(tmp_path, odin)
    plan = make_plan(other, library.values())
    assert 0 < len(plan.steps) <= 12
    assert apply_plan(other, plan, loader(library)).ok
    assert len(odin.indexed()) == len(odin.documents()) == 12
    assert make_plan(other, library.values()).steps == ()


def test_one_item_that_fails_does_not_stop_the_others(odin: FakeOdin, tmp_path: Path) -> None:
    sink = open_odin(tmp_path, odin, odin_concurrency=1)
    library = library_of(**{f"n{n}": ["words"] for n in range(5)})
    odin.queue_faults("ok", "index failed", "422")
    outcome = publish_many(sink, list(library), loader(library))
    assert sorted(outcome.failed) == ["test:n1", "test:n2"] and len(outcome.done) == 3
    assert outcome.failed["test:n1"].code == "odin.index_error"
    assert "refused chunk 3" in outcome.failed["test:n1"].values["reason"]
    assert outcome.failed["test:n2"].code == "odin.not_understood"
    assert not outcome.ok
    assert publish_many(sink, list(library), loader(library)).ok
    assert len(odin.documents()) == 5


def test_items_not_indexed_in_time_are_waiting(odin: FakeOdin, tmp_path: Path) -> None:
    odin.index_s = 60
    sink = open_odin(tmp_path, odin, odin_poll_wait_s=0.2)
    library = library_of(a=["words"], b=["words"])
    outcome = publish_many(sink, list(library), loader(library))
    assert sorted(outcome.waiting) == sorted(library) and not outcome.ok
    odin.finish_indexing()
    assert publish_many(sink, list(library), loader(library)).ok
    assert odin.count("POST", "/add/file") == 2


def test_an_item_removed_from_the_library_is_skipped(sink: OdinSink) -> None:
    assert publish_many(sink, ["test:gone"], lambda _id: None).done == ["test:gone"]


@pytest.mark.parametrize("wrong", ["odin_api_key", "odin_api_secret", "odin_project_id"])
def test_wrong_credentials_stop_the_lane_once(odin: FakeOdin, tmp_path: Path, wrong: str) -> None:
    sink = open_odin(tmp_path, odin, **{wrong: "Wrong01"})
    library = library_of(**{f"n{n:03}": ["words"] for n in range(200)})
    with pytest.raises(CredentialsRefused) as caught:
        publish_many(sink, list(library), loader(library))
    assert caught.value.hint
    assert len(odin.requests) <= 2 * sink.settings.odin_concurrency
    assert not sink.stop.is_set()
    with pytest.raises(CredentialsRefused):
        make_plan(sink, library.values())


@pytest.mark.slow
def test_many_items_cost_few_listings(odin: FakeOdin, sink: OdinSink) -> None:
    library = library_of(**{f"n{n}": ["words"] for n in range(60)})
    assert publish_many(sink, list(library), loader(library)).ok
    assert odin.count("POST", "/add/file") == 60
    assert odin.count("GET", "/knowledge") < 30
    before = len(odin.requests)
    assert publish_many(sink, list(library), loader(library)).ok
    assert len(odin.requests) == before


def test_two_runs_on_one_library(odin: FakeOdin, tmp_path: Path) -> None:
    """Two runs over the same items at the same time send each document once."""
    library = library_of(**{f"n{n}": ["words"] for n in range(10)})
    errors: list[BaseException] = []

    def run() -> None:
        try:
            assert publish_many(open_odin(tmp_path, odin), list(library), library.get).ok
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(odin.documents()) == 10 == odin.count("POST", "/add/file")


def test_a_plan_finds_our_documents_by_their_names_too(odin: FakeOdin, tmp_path: Path) -> None:
    """The service has lost the metadata of the documents, and we the database."""
    library = library_of(**{"v" * 11: ["words"]})
    assert publish_many(open_odin(tmp_path, odin), list(library), library.get).ok
    odin.put("colleague.md", b"by hand")
    odin.metadata_as = "nothing"
    fresh = open_odin(tmp_path / "other", odin)
    plan = make_plan(fresh, library.values())
    assert (by_kind(plan), plan.foreign) == ({"waiting": ["v" * 11]}, 1)
    assert apply_plan(fresh, plan, library.get).ok
    assert make_plan(fresh, library.values()).steps == ()
    assert odin.count("POST", "/add/file") == 1


def test_own_metadata_of_a_run_survives_later_plans(odin: FakeOdin, sink: OdinSink) -> None:
    library = library_of(a=["words"])
    publish_many(sink, list(library), library.get, extra_metadata={"team": "red"})
    assert make_plan(sink, library.values()).steps == ()
    assert make_plan(sink, library.values(), extra_metadata={"team": "blue"}).counts["changed"]


def test_a_list_of_unknown_form_does_not_count_as_empty(odin: FakeOdin, sink: OdinSink) -> None:
    odin.listing_key = "documents"
    assert not publish_many(sink, ["test:a"], library_of(a=["words"]).get).ok
    with pytest.raises(KnowledgeBaseError) as caught:
        make_plan(sink, library_of(a=["words"]).values())
    assert caught.value.code == "odin.listing_unknown"
    assert not odin.documents()
