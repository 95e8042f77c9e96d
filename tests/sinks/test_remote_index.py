"""The index in object storage: the contract of sinks, writers beside each other, a bucket away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.errors import KnowledgeBaseError, SettingsError
from kb.service.health_storage import check_storage
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
from tests.fakes.s3 import S3Service
from tests.support.local_index import found, put, source
from tests.support.sink_contract import SinkContract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service() -> Iterator[S3Service]:
    with S3Service() as made:
        yield made


@pytest.fixture
def settings(service: S3Service, tmp_path: Path) -> Settings:
    url = f"{service.url}/{tmp_path.name}/index"
    values = {"KB_HOME": str(tmp_path), "KB_INDEX_URL": url, **service.settings()}
    return Settings.model_validate(values)


@pytest.fixture
def sink(settings: Settings) -> LocalSink:
    return LocalSink(settings)


class TestContract(SinkContract):
    @pytest.fixture
    def sink(self, settings: Settings) -> LocalSink:
        return LocalSink(settings)

    def texts(self, sink: LocalSink, item_id: str) -> list[str]:  # type: ignore[override]
        return [passage.text for passage in sink.passages(item_id)]


def test_another_machine_finds_what_was_written(
    sink: LocalSink, settings: Settings, tmp_path: Path, service: S3Service
) -> None:
    put(sink, "a", "The harbour in winter.", "Ferries leave.")
    elsewhere = LocalSink(settings.replace(home=tmp_path / "other machine"))
    assert found(elsewhere.search('"harbour in winter"')) == ["The harbour in winter."]
    put(elsewhere, "b", "A harbour again.")
    assert sorted(found(sink.search("harbour"))) == ["A harbour again.", "The harbour in winter."]
    assert [each.word for each in sink.unknown_words("harbor")] == ["harbor"]
    assert not list(tmp_path.glob("index.lance"))
    assert any("passages.lance" in name for name in service.names())


def test_a_rebuild_replaces_the_table_in_one_step(sink: LocalSink, settings: Settings) -> None:
    put(sink, "old", "An old text.")
    reader = LocalSink(settings)
    assert found(reader.search("text")) == ["An old text."]
    assert sink.rebuild([source("new", "A new text."), source("more", "More text.")]) == 2
    assert sorted(found(reader.search("text"))) == ["A new text.", "More text."]
    names = [name for name in sink._tables._names() if name != "current"]  # type: ignore[attr-defined]
    assert len(names) == 1 and names[0].startswith("passages-")
    sink.clear()
    with pytest.raises(KnowledgeBaseError) as caught:
        reader.search("text")
    assert caught.value.code == "index.empty"


def test_writers_beside_each_other_lose_nothing(sink: LocalSink, settings: Settings) -> None:
    put(sink, "first", "The first word.")

    def write(number: int) -> None:
        own = LocalSink(settings)
        for part in range(2):
            put(own, f"item {number} {part}", f"Word number{number} and part{part}.")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(sink.list())) == 7
    assert len(sink.search("word", limit=20)) == 7


def test_old_versions_are_removed(sink: LocalSink, service: S3Service) -> None:
    put(sink, "a", "One word.")
    table = sink._tables.read(lambda found: found)
    assert sink._tables._old_versions(table) == 0
    sink.optimize()
    assert found(sink.search("word")) == ["One word."]


def test_a_bucket_that_is_away_is_told_and_comes_back(tmp_path: Path) -> None:
    with S3Service() as service:
        values = {"KB_HOME": str(tmp_path), "KB_INDEX_URL": service.url, **service.settings()}
        sink = LocalSink(Settings.model_validate(values))
        put(sink, "a", "The harbour in winter.")
        service.stop()
        for action in (lambda: sink.search("harbour"), lambda: put(sink, "b", "More.")):
            with pytest.raises(KnowledgeBaseError) as caught:
                action()
            assert caught.value.code == "index.bucket" and caught.value.retryable
            assert service.url in caught.value.message
            assert service.secret not in f"{caught.value.message} {caught.value.hint}"
        service.start()
        put(sink, "b", "More of the harbour.")
        assert len(sink.search("harbour")) == 2


@pytest.mark.parametrize(
    "url", ["http://host/x", "s3://", "s3://B", "s3://bucket/a b", "s3://user:word@bucket/x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings().replace(index_url=url)
    assert "KB_INDEX_URL" in caught.value.message


def test_doctor_names_the_bucket_and_what_is_wrong_with_it(
    sink: LocalSink, settings: Settings
) -> None:
    put(sink, "a", "One word.", "Two words.")
    ((state, found),) = check_storage(settings)
    assert (state, found.message) == ("ok", f"{settings.index_url}: 2 passages")
    ((state, away),) = check_storage(settings.replace(s3_endpoint="http://127.0.0.1:9"))
    assert state == "fail" and isinstance(away, KnowledgeBaseError)
    assert away.code == "index.bucket"
