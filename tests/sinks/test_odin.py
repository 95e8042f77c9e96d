"""Publishing to ODIN over real HTTP on loopback, with faults."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kb.errors import Cancelled, CredentialsRefused, KBError, KnowledgeBaseError, UsageError
from kb.settings import PROJECT_ROOT, Settings
from kb.sinks import open_sink
from kb.sinks.base import Sink
from kb.sinks.odin.chat import ask, search
from kb.sinks.odin.client import FILE_LIMIT_BYTES
from kb.sinks.odin.documents import parse_passages
from kb.sinks.odin.file_upload import files_in, upload_files
from kb.sinks.odin.multipart import FormStream
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.transport import RateLimiter, error_message
from kb.types import MediaItem, Passage
from tests.fakes.odin import KEY, PROJECT, SECRET, FakeOdin
from tests.support.odin_items import FACTS, video
from tests.support.sink_contract import SinkContract, make_item, make_passages
from tests.support.waiting import WAIT_S, until


@pytest.fixture
def odin(tmp_path: Path) -> Iterator[FakeOdin]:
    with FakeOdin(tmp_path / "odin") as service:
        yield service


def open_odin(tmp_path: Path, odin: FakeOdin, **more: Any) -> OdinSink:
    return OdinSink(Settings(home=tmp_path / "home", **odin.settings(**more)))


@pytest.fixture
def sink(tmp_path: Path, odin: FakeOdin) -> OdinSink:
    return open_odin(tmp_path, odin)


def put(sink: OdinSink, item: MediaItem, *texts: str, **more: Any) -> str:
    return sink.publish(item, make_passages(item, texts), FACTS, **more).status


def texts_of(odin: FakeOdin) -> list[str]:
    return [read.text for content in odin.indexed().values() for read in parse_passages(content)]


class TestContract(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Iterator[Sink]:
        self.home = tmp_path / "Bibliothek ü #%20 '"
        with FakeOdin(tmp_path / "odin", index_s=0.01, delete_s=0.01) as self.odin:
            # Small documents, so that the contract is tested with several parts too.
            more = self.odin.settings(odin_document_bytes=4_000)
            yield open_sink("odin", Settings(home=self.home, **more))

    def texts(self, sink: Sink, item_id: str) -> list[str]:
        held = sorted(self.odin.documents().items())
        return [
            read.text
            for _, row in held
            if json.loads(row["metadata"])["id"] == item_id and row["status"] == "synced"
            for read in parse_passages(row["content"])
        ]


# --- one item ------------------------------------------------------------------------------


def test_metadata_arrives_intact(odin: FakeOdin, sink: OdinSink) -> None:
    awkward = 'He said "no" \\ it\'s\n\ttwo lines\r\n🎬 人工 ' + "x" * 5_000
    item = video(description=awkward, title='"Quoted" {name}', channel="A & B; C")
    own = {"team": 'red "1"', "note": "line\nline", "ümlaut": "ä"}
    put(sink, item, "words", extra_metadata=own)
    (row,) = odin.documents().values()
    about = json.loads(row["metadata"])
    assert about["description"] == awkward and about["title"] == item.title
    assert {key: about[key] for key in own} == own
    # Without own fields in the next publish, those of the last one stay.
    assert put(sink, item, "other words") == "synced"
    (row,) = odin.documents().values()
    assert json.loads(row["metadata"])["note"] == "line\nline"
    assert put(sink, item, "other words", extra_metadata={}) == "synced"
    (row,) = odin.documents().values()
    assert "note" not in json.loads(row["metadata"])


def test_the_same_content_is_never_sent_twice(odin: FakeOdin, sink: OdinSink) -> None:
    put(sink, video(), "words")
    before = len(odin.requests)
    assert put(sink, video(), "words") == "synced"
    assert len(odin.requests) == before  # no request


@pytest.mark.parametrize("lost", ["cut after", "500 after", "not json"])
def test_an_answer_lost_after_acceptance_makes_no_second_copy(
    odin: FakeOdin, sink: OdinSink, lost: str
) -> None:
    odin.queue_faults(lost)
    assert put(sink, video(), "words") == "synced"
    assert len(odin.documents()) == 1
    assert odin.count("POST", "/add/file") == 1


@pytest.mark.parametrize(
    "fault", ["429", "429 soon", "429 date", "500", "502", "503 soon", "cut before", "slow"]
)
def test_passing_faults_are_retried(odin: FakeOdin, sink: OdinSink, fault: str) -> None:
    odin.retry_after_s = 0.3
    odin.queue_faults(fault)
    started = time.monotonic()
    assert put(sink, video(), "words") == "synced"
    if fault in ("429 soon", "503 soon"):
        assert time.monotonic() - started >= 0.3
    assert len(odin.documents()) == 1


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("413", "odin.too_large", "Injected 413"),
        ("422", "odin.not_understood", "body.project_id: field"),
    ],
)
def test_a_refusal_has_the_service_s_own_message(
    odin: FakeOdin, sink: OdinSink, fault: str, code: str, reason: str
) -> None:
    odin.queue_faults(fault)
    with pytest.raises(KnowledgeBaseError) as caught:
        put(sink, video(), "words")
    assert caught.value.code == code
    assert caught.value.values["status"] == int(fault)
    assert reason in caught.value.values["reason"] and caught.value.hint
    assert put(sink, video(), "words") == "synced"


def test_an_unreachable_service(tmp_path: Path, odin: FakeOdin) -> None:
    sink = open_odin(tmp_path, odin, odin_retries=2)
    odin.queue_faults(*["500"] * 9)
    with pytest.raises(KnowledgeBaseError) as caught:
        put(sink, video(), "words")
    assert (caught.value.code, caught.value.values["reason"]) == (
        "odin.server_error",
        "Bad gateway",
    )
    odin.queued_faults.clear()
    away = OdinSink(
        Settings(home=tmp_path, **odin.settings(odin_base_url="http://127.0.0.1:9", odin_retries=1))
    )
    with pytest.raises(KnowledgeBaseError) as caught:
        put(away, video(), "words")
    assert (caught.value.code, caught.value.values) == (
        "odin.no_connection",
        {"host": "127.0.0.1"},
    )
    assert caught.value.retryable


@pytest.mark.parametrize("fault", ["index failed", "index timeout"])
def test_indexing_that_fails_is_an_error_and_the_next_try_replaces_it(
    odin: FakeOdin, sink: OdinSink, fault: str
) -> None:
    odin.queue_faults(fault)
    with pytest.raises(KnowledgeBaseError) as caught:
        put(sink, video(), "words")
    if fault == "index failed":
        assert caught.value.code == "odin.index_error"
        assert "refused chunk 3" in caught.value.values["reason"]
    assert caught.value.values["status"] == fault.removeprefix("index ")
    assert sink.status(video().id).status == "failed"
    assert put(sink, video(), "words") == "synced"
    assert len(odin.documents()) == 1 == len(odin.indexed())


def test_slow_indexing_is_waiting_and_resumed(odin: FakeOdin, tmp_path: Path) -> None:
    odin.index_s = 60
    sink = open_odin(tmp_path, odin, odin_poll_wait_s=0.1)
    assert put(sink, video(), "words") == "syncing"
    assert sink.status(video().id).status == "syncing"
    assert put(sink, video(), "words") == "syncing"
    odin.finish_indexing()
    assert put(sink, video(), "words") == "synced"
    assert odin.count("POST", "/add/file") == 1


def test_a_changed_transcript_replaces_without_a_gap(odin: FakeOdin, sink: OdinSink) -> None:
    odin.index_s = odin.delete_s = 0.1
    put(sink, video(), "old words")
    seen: set[tuple[str, ...]] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(tuple(texts_of(odin)))

    watcher = threading.Thread(target=look)
    watcher.start()
    until(lambda: seen)
    assert put(sink, video(), "new words") == "synced"
    done.set()
    watcher.join()
    assert texts_of(odin) == ["new words"]
    assert seen <= {("old words",), ("old words", "new words"), ("new words",)}
    assert ("old words",) in seen and not odin.gaps


def test_a_new_version_that_fails_leaves_the_old(odin: FakeOdin, sink: OdinSink) -> None:
    put(sink, video(), "old words")
    odin.queue_faults("index failed")
    with pytest.raises(KnowledgeBaseError):
        put(sink, video(), "new words")
    assert texts_of(odin) == ["old words"]
    assert put(sink, video(), "new words") == "synced"
    assert texts_of(odin) == ["new words"] and len(odin.documents()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("given", ["object", "string", "nothing"])
@pytest.mark.parametrize("listing", ["plain", "paged"])
def test_a_lost_database_sends_nothing_twice(
    tmp_path: Path, odin: FakeOdin, given: str, listing: str
) -> None:
    odin.metadata_as = given
    for number in range(120 if listing == "paged" else 3):
        odin.put(f"colleague-{number}.pdf", b"theirs")
    put(open_odin(tmp_path, odin, odin_listing=listing), video(), "words")
    fresh = OdinSink(Settings(home=tmp_path / "new home", **odin.settings(odin_listing=listing)))
    assert put(fresh, video(), "words") == "synced"
    assert odin.count("POST", "/add/file") == 1
    assert put(fresh, video(), "new words") == "synced"
    assert [text for text in texts_of(odin) if text] == ["new words"]
    fresh.delete(video().id)
    assert {name.partition("-")[0] for name in odin.documents()} == {"colleague"}


def test_state_survives_the_services_restart(tmp_path: Path) -> None:
    with FakeOdin(tmp_path / "odin") as odin:
        put(open_odin(tmp_path, odin), video(), "words")
    with FakeOdin(tmp_path / "odin") as odin:
        sink = open_odin(tmp_path, odin)
        assert sink.status(video().id).status == "synced"
        assert put(sink, video(), "words") == "synced"
        assert not odin.count("POST", "/add/file")


def test_two_threads_publish_the_same_item_once(odin: FakeOdin, tmp_path: Path) -> None:
    odin.index_s = 0.1
    states: list[str] = []

    def one() -> None:
        states.append(put(open_odin(tmp_path, odin), video(), "words"))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["synced"] * 4
    assert odin.count("POST", "/add/file") == 1


def test_a_stop_ends_the_wait(odin: FakeOdin, sink: OdinSink) -> None:
    odin.index_s = 4 * WAIT_S
    odin.on_upload = lambda _name: threading.Timer(0.1, sink.stop.set).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        put(sink, video(), "words", wait_s=2 * WAIT_S)
    assert time.monotonic() - started < WAIT_S
    sink.stop.clear()
    odin.finish_indexing()
    assert put(sink, video(), "words") == "synced"
    assert odin.count("POST", "/add/file") == 1


# --- credentials ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code", "value"),
    [
        ({"odin_api_key": "wrong-PROBE"}, "odin.credentials_refused", 401),
        ({"odin_api_secret": "wrong-PROBE"}, "odin.credentials_refused", 403),
        ({"odin_project_id": "OtherProject"}, "odin.project_missing", "OtherProject"),
        ({"odin_api_key": ""}, "odin.credential_missing", "API_KEY"),
        ({"odin_api_key": "line\nbreak-PROBE"}, "odin.credentials_malformed", "API_KEY"),
        ({"odin_api_secret": "schlüssel-PROBE"}, "odin.credentials_malformed", "API_SECRET"),
    ],
)
def test_wrong_credentials(
    tmp_path: Path, odin: FakeOdin, wrong: dict[str, str], code: str, value: object
) -> None:
    sink = open_odin(tmp_path, odin, **wrong)
    with pytest.raises(CredentialsRefused) as caught:
        put(sink, video(), "words")
    assert caught.value.code == code
    assert value in caught.value.values.values()
    assert "API_KEY" in caught.value.hint or "ODIN_PROJECT_ID" in caught.value.hint
    assert "PROBE" not in caught.value.message
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), CredentialsRefused)


def test_credentials_are_not_sent_without_encryption(tmp_path: Path, odin: FakeOdin) -> None:
    sink = open_odin(tmp_path, odin, odin_base_url="http://odin.example")
    with pytest.raises(UsageError) as caught:
        put(sink, video(), "words")
    assert caught.value.code == "odin.not_encrypted"


@pytest.mark.slow
def test_no_credential_anywhere(
    tmp_path: Path, odin: FakeOdin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    def attempt(sink: OdinSink, *faults: str) -> None:
        odin.queue_faults(*faults)
        try:
            put(sink, video(len(shown)), "words")
        except KBError as error:
            for inner in reachable(error):
                # The HTTP library's errors hold the request with its headers.
                assert isinstance(inner, KBError), inner
                shown.append(repr(vars(inner)))
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown.append(f"{error} {error.hint} {error!r} {''.join(trace.format())}")
        else:
            shown.append("")

    def reachable(error: BaseException | None) -> Iterator[BaseException]:
        """Return everything that an error report may print of an exception."""
        while error is not None:
            yield error
            error = error.__cause__ or error.__context__

    sink = open_odin(tmp_path, odin, odin_retries=1)
    for fault in ("401", "403", "413", "422", "500", "cut before", "cut after", "not json"):
        attempt(sink, fault, fault)
    attempt(open_odin(tmp_path, odin, odin_api_secret="other-77e1-PROBE"))
    attempt(open_odin(tmp_path, odin, odin_api_key="other-0f3a-PROBE"))
    attempt(open_odin(tmp_path, odin, odin_base_url="http://127.0.0.1:9", odin_retries=0))
    assert sum(map(bool, shown)) >= 8
    paths = "".join(path for _, path, _ in odin.requests)
    files = b"".join(p.read_bytes() for p in (tmp_path / "home").rglob("*") if p.is_file())
    assert b"kb_publications" in files
    everything = f"{shown} {caplog.text} {paths} {sink.settings!r} {vars(sink)}".encode() + files
    assert b"PROBE" not in everything
    assert KEY.encode() not in everything and SECRET.encode() not in everything


# --- the client ----------------------------------------------------------------------------


def test_every_call(odin: FakeOdin, sink: OdinSink) -> None:
    client = sink.client
    assert client.add_text("note.txt", "some text", "txt", {"a": "ä"}).status == "synced"
    assert [(p.id, p.name) for p in client.projects()] == [(PROJECT, "Test project")]
    assert client.project_data()["id"] == PROJECT
    assert client.status("nothing.md").status == "missing"
    assert client.status("note.txt").status == "synced"
    for number in range(5):
        odin.put(f"doc {number}.md", b"x")
    assert [d.name for d in client.page(2, "doc", 2)] == ["doc 2.md", "doc 3.md"]
    assert len(client.documents()) == 6
    client.delete(["note.txt", "nothing.md"])
    client.delete(["nothing.md"])
    assert "note.txt" not in odin.documents()
    assert odin.put("100% ~ sure.md", b"x") == "100_  sure.md"


def test_a_form_is_read_while_it_is_sent() -> None:
    class Watched:
        largest = 0

        def read(self, size: int) -> bytes:
            Watched.largest = max(Watched.largest, size)
            return b"z" * size

    stream = FormStream({"a": "ü"}, "x.bin", Watched(), 5_000_000)  # type: ignore[arg-type]
    total = 0
    while piece := stream.read(16_384):
        total += len(piece)
    assert total == len(stream) and Watched.largest == 16_384


def test_the_rate_limit_is_kept() -> None:
    pace, stop = RateLimiter(50, 2), threading.Event()
    started = time.monotonic()
    for _ in range(6):
        pace.wait(stop)
    assert time.monotonic() - started >= 5 / 50
    pace.pause_for(0.2)
    pace.wait(stop)
    assert time.monotonic() - started >= 0.2
    stop.set()
    with pytest.raises(Cancelled):
        pace.wait(stop)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "plain"}, "plain"),
        ({"detail": {"message": "inner"}}, "inner"),
        ({"error": {"reason": "deep"}}, "deep"),
        ({"detail": [{"loc": ["body", 0, "x"], "msg": "m"}, {"msg": "n"}]}, "body.0.x: m; n"),
        ([], ""),
        ({"detail": None}, ""),
    ],
)
def test_the_message_of_an_error(body: object, words: str) -> None:
    assert error_message(body) == words


# --- files ---------------------------------------------------------------------------------


def test_files_are_uploaded_unchanged(tmp_path: Path, odin: FakeOdin, sink: OdinSink) -> None:
    folder = tmp_path / "Ordner"
    (folder / "sub").mkdir(parents=True)
    odd = bytes(range(256)) * 9 + b"\r\n--kb\r\n\r\n" + b"\n"
    wanted = {"Größe 100 %.pdf": odd, "sub/note.TXT": b"\xff\xfe no UTF-8", "sub/empty.csv": b""}
    for name, content in wanted.items():
        (folder / name).write_bytes(content)
    (folder / "script.exe").write_bytes(b"no")
    found = files_in(folder)
    assert len(found) == 3
    odin.queue_faults("cut after", "index failed")
    results = upload_files(sink, found, {"team": "red"})
    assert sorted(result.status for result in results) == ["failed", "synced", "synced"]
    results = upload_files(sink, [*found, folder / "script.exe", folder / "gone.md"])
    assert [r.status for r in results] == ["synced"] * 3 + ["failed"] * 2
    assert [r.problem["code"] for r in results if r.problem] == ["upload.type", "upload.missing"]
    assert sorted(odin.indexed().values()) == sorted(wanted.values())
    assert odin.count("POST", "/add/file") == 4
    assert all(name.isascii() for name in odin.documents())


def test_files_are_all_sent_before_any_is_awaited(tmp_path: Path, odin: FakeOdin) -> None:
    odin.index_s = 3600
    paths = [tmp_path / f"{name}.txt" for name in "abc"]
    for path in paths:
        path.write_text(path.name, encoding="utf-8")
    sink = open_odin(tmp_path, odin, odin_poll_wait_s=0.1)
    assert {r.status for r in upload_files(sink, paths)} == {"syncing"}
    odin.on_upload = lambda _name: odin.finish_indexing() if len(odin.documents()) == 3 else None
    for path in paths:
        path.write_text(path.name * 2, encoding="utf-8")
    odin.finish_indexing()
    patient = open_odin(tmp_path, odin)
    for path in odin.documents():
        odin.delete(path)
    reported: list[str] = []
    results = upload_files(patient, paths, progress=lambda result: reported.append(result.name))
    assert {r.status for r in results} == {"synced"}  # otherwise the first would wait for ever
    assert reported == [r.name for r in results]


def test_a_document_too_large_for_the_service_names_the_setting(
    tmp_path: Path, odin: FakeOdin
) -> None:
    odin.limit_bytes = 6_000
    words = [f"passage {n} " + "word " * 60 for n in range(60)]
    with pytest.raises(KnowledgeBaseError) as caught:
        put(open_odin(tmp_path, odin, odin_document_bytes=400_000), video(), *words)
    assert (caught.value.code, caught.value.values["status"]) == ("odin.too_large", 413)
    assert "ODIN_DOCUMENT_BYTES" in caught.value.hint
    assert put(open_odin(tmp_path, odin, odin_document_bytes=5_000), video(), *words) == "synced"
    assert all(len(content) <= 5_000 for content in odin.indexed().values())
    assert len(odin.indexed()) == len(odin.documents()) > 3


def test_a_file_over_the_limit_is_not_sent(tmp_path: Path, odin: FakeOdin, sink: OdinSink) -> None:
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(FILE_LIMIT_BYTES + 1)
    (result,) = upload_files(sink, [path])
    assert result.status == "failed" and result.problem is not None
    assert result.problem["code"] == "odin.file_size"
    with pytest.raises(KnowledgeBaseError) as caught:
        sink.client.add_file("large.mp4", path, {})
    assert (caught.value.code, caught.value.values["limit"]) == ("odin.file_size", 200.0)
    assert not odin.count("POST", "/add/file")


# --- questions -----------------------------------------------------------------------------


@pytest.fixture
def talks(sink: OdinSink) -> dict[str, list[Passage]]:
    found = {}
    for number, words in enumerate(
        (
            ["the river was cold", "we painted the garden gate green", "and went home"],
            ["machines hum", "the gate of the garden stayed open"],
        )
    ):
        item = video(number)
        found[item.id] = make_passages(item, words)
        sink.publish(item, found[item.id], FACTS)
    return found


@pytest.mark.parametrize("listed", [True, False])
def test_answers_have_the_second_of_their_source(
    odin: FakeOdin, sink: OdinSink, talks: dict[str, Sequence[Passage]], listed: bool
) -> None:
    odin.chat_sources = listed
    odin.put("colleague.md", b"painted green by a colleague")
    answer = ask(sink, "who painted the garden gate green", passages=talks.__getitem__)
    assert answer.chat_id == "chat-1" and answer.text.startswith("They say so")
    first = answer.sources[0]
    assert (first.item_id, first.start_s, first.title) == (video(0).id, 30.0, "Title 0")
    assert first.deep_link == "https://youtu.be/vid_-EoT000?t=30"
    others = [source for source in answer.sources if not source.item_id]
    assert len(others) == listed  # a document of another producer is shown unchanged


def test_remote_search(odin: FakeOdin, sink: OdinSink, talks: dict[str, Sequence[Passage]]) -> None:
    found = search(sink, "gate open", 2)
    assert (found[0].item_id, found[0].start_s) == (video(1).id, 30.0)
    assert len(found) == 2 and found[0].score
    assert search(sink, "nothingofthekind") == ()
    for query in ("", " "):
        with pytest.raises(UsageError) as caught:
            search(sink, query)
        assert caught.value.code == "search.query_empty"
        with pytest.raises(UsageError) as caught:
            ask(sink, query)
        assert caught.value.code == "odin.question_empty"


# --- the whole under faults ----------------------------------------------------------------


@pytest.mark.slow
def test_kills_and_faults_do_not_change_the_result() -> None:
    command = [sys.executable, "-m", "benchmarks.odin"]
    run = subprocess.run(
        [*command, "--documents", "16", "--faults", "0.3", "--kills", "2"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_contract_items_have_their_own_documents(sink: OdinSink) -> None:
    for name in ("web:a:x", "web:b:x", "file:x"):
        item = make_item(name, "Same title")
        sink.publish(item, make_passages(item, ["words"]))
    assert len(list(sink.list())) == 3
