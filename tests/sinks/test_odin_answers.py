"""Answers of ODIN that are not understood or incomplete: the sync stops before it copies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kb.errors import KnowledgeBaseError
from kb.settings import Settings
from kb.sinks.odin.client import PAGE_SIZE, OdinClient
from kb.sinks.odin.errors import OdinRefused
from kb.sinks.odin.paging import BARREN_PAGES, read_all
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.sync import SyncItem, apply_plan, make_plan, publish_many
from kb.types import DocumentFacts
from tests.fakes.odin import FakeOdin, Response
from tests.support.sink_contract import make_item, make_passages

FACTS = DocumentFacts("en", "tiny", "whisper", "stabil", 1.0, "A")
Row = dict[str, Any]


@pytest.fixture
def odin(tmp_path: Path) -> Iterator[FakeOdin]:
    with FakeOdin(tmp_path / "odin") as service:
        yield service


def open_odin(tmp_path: Path, odin: FakeOdin, listing: str = "paged") -> OdinSink:
    settings = odin.settings(odin_listing=listing, odin_poll_wait_s=0.3, odin_retries=1)
    return OdinSink(Settings(home=tmp_path / "home", **settings))


def library() -> dict[str, SyncItem]:
    item = make_item("test:talk")
    return {item.id: SyncItem(item, make_passages(item, ["water flows"]), FACTS)}


def each_row(change: Callable[[Row], Any]) -> Callable[[Any], Any]:
    """Return a change of every row of the paged list."""
    return lambda body: {**body, "docs": [change(dict(row)) for row in body["docs"]]}


def without(*names: str) -> Callable[[Row], Row]:
    return lambda row: {key: value for key, value in row.items() if key not in names}


NOT_UNDERSTOOD: dict[str, Callable[[Any], Any]] = {
    "another name of the list": lambda body: {"documents": body["docs"]},
    "no list": lambda body: {"kb_info": body["kb_info"]},
    "null as a list": lambda body: {**body, "docs": None},
    "an object of names": lambda body: {**body, "docs": {r["id"]: r for r in body["docs"]}},
    "a text": lambda body: {**body, "docs": json.dumps(body["docs"])},
    "a list alone": lambda body: body["docs"],
    "wrapped": lambda body: {"data": body},
    "an error with status 200": lambda _: {"detail": "Internal error"},
    "an empty object": lambda _: {},
    "names alone": each_row(lambda row: row["content_key"]),
    "a null row": each_row(lambda _: None),
    "a list as a row": each_row(lambda row: list(row.values())),
    "no name": each_row(without("content_key", "name", "id")),
    "a name of another type": each_row(lambda row: {**row, "content_key": {"key": row["id"]}}),
    "no status": each_row(without("status")),
    "a null status": each_row(lambda row: {**row, "status": None}),
    "a status of another type": each_row(lambda row: {**row, "status": {"value": "synced"}}),
    "metadata as a list": each_row(
        lambda row: {**row, "metadata": [{"key": "id", "value": "test:talk"}]}
    ),
    "metadata as a number": each_row(lambda row: {**row, "metadata": 7}),
    "a count of another type": lambda body: {**body, "kb_info": {"count": "many"}},
    "a negative count": lambda body: {**body, "kb_info": {"count": -1}},
    "counts as a list": lambda body: {**body, "kb_info": [1]},
}
INCOMPLETE: dict[str, Callable[[Any], Any]] = {
    "fewer rows than counted": lambda body: {**body, "docs": []},
    "one of two counted": lambda body: {**body, "kb_info": {"count": len(body["docs"]) + 1}},
    "a count as text": lambda body: {**body, "kb_info": {"count": "9"}},
}
PLAIN: dict[str, Callable[[Any], Any]] = {
    "another name of the list": lambda body: {"documents": body["knowledge_base"]},
    "a list": lambda body: {"knowledge_base": list(body["knowledge_base"].values())},
    "null": lambda _: {"knowledge_base": None},
    "a row without fields": lambda body: {"knowledge_base": dict.fromkeys(body["knowledge_base"])},
    "a row as text": lambda body: {"knowledge_base": dict.fromkeys(body["knowledge_base"], "ok")},
    "no status": lambda body: {
        "knowledge_base": {k: without("status")(row) for k, row in body["knowledge_base"].items()}
    },
}
CASES = [
    *(("paged", name, change) for name, change in (NOT_UNDERSTOOD | INCOMPLETE).items()),
    *(("plain", name, change) for name, change in PLAIN.items()),
]


@pytest.mark.parametrize(
    ("listing", "change"),
    [(listing, change) for listing, _, change in CASES],
    ids=[f"{listing}: {name}" for listing, name, _ in CASES],
)
def test_the_sync_stops_before_it_copies(
    odin: FakeOdin, tmp_path: Path, listing: str, change: Callable[[Any], Any]
) -> None:
    sink = open_odin(tmp_path, odin, listing)
    assert publish_many(sink, ["test:talk"], library().get).ok
    odin.rewrite = lambda path, _request, body: (
        change(body) if "knowledge" in path.rsplit("/", 1)[-1] else body
    )
    uploads = odin.count("POST", "/add/file")
    plans: list[Any] = []
    with pytest.raises(KnowledgeBaseError) as caught:
        plans.append(make_plan(sink, library().values()))
    assert caught.value.code in (
        *("odin.answer_unknown", "odin.listing_unknown", "odin.listing_incomplete"),
    )
    assert "nothing was sent" in caught.value.hint.lower() or listing == "plain"
    # A publish in spite of the failed plan is refused in the same way.
    result = publish_many(sink, ["test:talk"], library().get, verify_after=1e11)
    assert not result.ok
    assert odin.count("POST", "/add/file") == uploads and len(odin.documents()) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body,
        lambda body: {"docs": body["docs"]},
        lambda body: {**body, "kb_info": {}},
        lambda body: {**body, "kb_info": {"count": str(len(body["docs"]))}},
        lambda body: {**body, "kb_info": {"count": 0}},  # counts less: nothing is hidden
        each_row(lambda row: {**row, "metadata": json.dumps(row["metadata"])}),
        each_row(lambda row: {**row, "metadata": None}),
        each_row(lambda row: {**row, "metadata": "plain words"}),
        each_row(without("metadata")),
        each_row(without("id")),
        each_row(without("url", "doc_type", "upload_date")),
        each_row(lambda row: {**without("content_key", "id")(row), "name": row["id"]}),
        each_row(lambda row: {**row, "a_new_field": [1, {"x": None}]}),
    ],
)
def test_an_answer_in_another_known_form_is_read(
    odin: FakeOdin, tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    sink = open_odin(tmp_path, odin)
    assert publish_many(sink, ["test:talk"], library().get).ok
    odin.rewrite = lambda path, _request, body: (
        change(body) if path.endswith("knowledgebase") else body
    )
    plan = make_plan(sink, library().values())
    assert not plan.documents and plan.in_sync == 1


def client_of(tmp_path: Path, odin: FakeOdin) -> OdinClient:
    return open_odin(tmp_path, odin).client


def fill(odin: FakeOdin, count: int, prefix: str = "doc") -> None:
    now = 1_000.0
    with odin.lock:
        odin.db.executemany(
            "INSERT OR REPLACE INTO docs VALUES (?, x'', '{}', ?, 0, 'synced', '', NULL)",
            [(f"{prefix}{number:04}.md", now + number) for number in range(count)],
        )
        odin.db.commit()


def newest_first(odin: FakeOdin) -> None:
    """Let the service list the newest document first, as a list by date does."""
    stored = odin.documents
    odin.documents = lambda: dict(reversed(stored().items()))  # type: ignore[method-assign]


def requested_page(request: Mapping[str, Any]) -> int:
    return int(request.get("page") or 0)


@pytest.mark.parametrize("burst", [1, 30, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 5, 250])
@pytest.mark.parametrize("counted", [True, False])
def test_a_burst_of_uploads_between_two_pages_hides_nothing(
    odin: FakeOdin, tmp_path: Path, burst: int, counted: bool
) -> None:
    fill(odin, 230)
    newest_first(odin)
    client = client_of(tmp_path, odin)
    done = threading.Event()

    def rewrite(path: str, request: dict[str, Any], body: Any) -> Any:
        if requested_page(request) == 1 and not done.is_set():
            done.set()
            with odin.lock:
                odin.db.executemany(
                    "INSERT INTO docs VALUES (?, x'', '{}', ?, 0, 'synced', '', NULL)",
                    [(f"burst{number:04}.md", 9_000.0 + number) for number in range(burst)],
                )
        return body if counted else {"docs": body["docs"]}

    odin.rewrite = rewrite
    found = client.documents()
    assert {f"doc{number:04}.md" for number in range(230)} <= found.keys()


@pytest.mark.parametrize("deleted", [1, 40, PAGE_SIZE, 150])
def test_deletions_between_two_pages_hide_nothing(
    odin: FakeOdin, tmp_path: Path, deleted: int
) -> None:
    fill(odin, 330)
    client = client_of(tmp_path, odin)
    done = threading.Event()

    def rewrite(path: str, request: dict[str, Any], body: Any) -> Any:
        if requested_page(request) == 2 and not done.is_set():
            done.set()
            with odin.lock:
                oldest = "SELECT key FROM docs ORDER BY taken_at LIMIT ?"
                odin.db.execute(f"DELETE FROM docs WHERE key IN ({oldest})", (deleted,))
        return body

    odin.rewrite = rewrite
    found = client.documents()
    assert {f"doc{number:04}.md" for number in range(deleted, 330)} <= found.keys()


def repeat_first(odin: FakeOdin) -> Callable[[str, dict[str, Any], Any], Any]:
    """Return an answer that ignores the page number."""

    def rewrite(path: str, request: dict[str, Any], body: Any) -> Any:
        rows = [{"content_key": key, "id": key, "status": "synced"} for key in odin.documents()]
        return {"docs": rows[: int(request["items_per_page"])]}

    return rewrite


@pytest.mark.parametrize(("count", "whole"), [(3, True), (PAGE_SIZE - 1, True), (230, False)])
def test_a_service_that_ignores_the_page_number(
    odin: FakeOdin, tmp_path: Path, count: int, whole: bool
) -> None:
    fill(odin, count)
    odin.rewrite = repeat_first(odin)
    client = client_of(tmp_path, odin)
    if whole:
        assert len(client.documents()) == count
    else:
        with pytest.raises(KnowledgeBaseError) as caught:
            client.documents()
        assert caught.value.code == "odin.listing_repeats"
    assert len(odin.requests) <= 1 + BARREN_PAGES


def test_a_list_whose_last_page_is_repeated_ends(odin: FakeOdin, tmp_path: Path) -> None:
    fill(odin, 2 * PAGE_SIZE)
    pages: dict[int, Any] = {}

    def rewrite(path: str, request: dict[str, Any], body: Any) -> Any:
        body = {"docs": body["docs"]}
        number = requested_page(request)
        pages[number] = body if body["docs"] else pages[number - 1]
        return pages[number]

    odin.rewrite = rewrite
    assert len(client_of(tmp_path, odin).documents()) == 2 * PAGE_SIZE


@pytest.mark.parametrize("listing", ["plain", "paged"])
def test_an_indexed_document_that_is_not_listed_is_not_sent_again(
    odin: FakeOdin, tmp_path: Path, listing: str
) -> None:
    sink = open_odin(tmp_path, odin, listing)
    assert publish_many(sink, ["test:talk"], library().get).ok
    empty = {"knowledge_base": {}} if listing == "plain" else {"docs": []}
    odin.rewrite = lambda path, _request, body: (
        empty if path.endswith(("/knowledge", "/knowledgebase")) else body
    )
    result = apply_plan(sink, make_plan(sink, library().values()), library().get)
    assert result.ok and len(odin.documents()) == 1
    # A document that a colleague deleted is sent again.
    odin.delete(next(iter(odin.documents())))
    assert apply_plan(sink, make_plan(sink, library().values()), library().get).ok
    assert len(odin.documents()) == 1


@pytest.mark.parametrize(
    ("ending", "body", "call"),
    [
        ("/projects", {"data": []}, lambda client: client.projects()),
        ("/projects", {"projects": {"p": {}}}, lambda client: client.projects()),
        ("/projects", {"projects": ["p"]}, lambda client: client.projects()),
        ("/projects", {"projects": [{"name": "no id"}]}, lambda client: client.projects()),
        ("/search", {"hits": []}, lambda client: client.search("water")),
        ("/search", {"results": {"a": 1}}, lambda client: client.search("water")),
        ("/search", {"results": ["water"]}, lambda client: client.search("water")),
        ("/status", {}, lambda client: client.status("a.md")),
        ("/status", {"status": None}, lambda client: client.status("a.md")),
        ("/status", {"status": ["synced"]}, lambda client: client.status("a.md")),
        ("/status", {"state": "synced"}, lambda client: client.status("a.md")),
        ("/file", {"detail": "quota"}, lambda client: client.add_bytes("b.md", b"b", {})),
        ("/file", {"document_key": 3}, lambda client: client.add_bytes("b.md", b"b", {})),
    ],
)
def test_every_other_answer_of_unknown_form_is_an_error(
    odin: FakeOdin,
    tmp_path: Path,
    ending: str,
    body: Any,
    call: Callable[[OdinClient], object],
) -> None:
    odin.put("a.md", b"a")
    odin.rewrite = lambda path, _request, answer: body if path.endswith(ending) else answer
    with pytest.raises(KnowledgeBaseError) as caught:
        call(client_of(tmp_path, odin))
    assert caught.value.code == "odin.answer_unknown"


def test_a_list_without_an_end_is_an_error(odin: FakeOdin, tmp_path: Path) -> None:
    odin.put("a.md", b"a")
    number = iter(range(10_000))

    def endless(path: str, _request: object, body: Any) -> Any:
        if not path.endswith("/knowledgebase"):
            return body
        name = f"{next(number)}.md"
        return {
            "docs": [{"id": name, "content_key": name, "status": "synced"}] * 2 + body["docs"],
            "kb_info": {"count": 1},
        }

    odin.rewrite = endless
    client = client_of(tmp_path, odin)
    with pytest.raises(OdinRefused) as caught:
        read_all(lambda page: client._page(page, size=2), 2)
    assert caught.value.code == "odin.listing_endless"


@pytest.mark.parametrize("count", [1, "1", 1.0])
def test_a_count_may_be_written_in_every_form_of_a_number(
    odin: FakeOdin, tmp_path: Path, count: object
) -> None:
    odin.put("a.md", b"a")
    odin.rewrite = lambda path, _request, body: (
        {**body, "kb_info": {"count": count}} if path.endswith("/knowledgebase") else body
    )
    assert list(client_of(tmp_path, odin).documents()) == ["a.md"]


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (302, "", "odin.another_answered", True),
        (307, {"detail": "moved"}, "odin.another_answered", True),
        (511, "<html>Sign in</html>", "odin.another_answered", True),
        (200, "[" * 100_000, "odin.not_json", False),
        (400, "[" * 100_000, "odin.refused", False),
        (200, "<html>Sign in</html>", "odin.not_json", False),
    ],
)
def test_an_answer_of_something_else_is_named_as_that(
    odin: FakeOdin, tmp_path: Path, status: int, body: object, code: str, retryable: bool
) -> None:
    def other(*_call: object) -> Any:
        raise Response(status, body, {"Location": "http://login.example/"})

    odin.rewrite = other
    with pytest.raises(KnowledgeBaseError) as caught:
        client_of(tmp_path, odin).documents()
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
