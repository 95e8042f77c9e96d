"""/metrics, and the queries of the board and the alerts over its real text."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML
from starlette.testclient import TestClient

from gpu.devices import Device
from gpu.monitor import Sample
from gpu.status import BatchState, Snapshot
from kb.api.app import create_app
from kb.api.context import ApiContext
from kb.database import Database
from kb.errors import KBError
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.telemetry import TelemetryWriter, record_throughput
from kb.options import RunOptions
from kb.service import access_keys
from kb.settings import PROJECT_ROOT, Settings
from kb.types import MediaItem, Timing
from tests.support.kept_transcripts import said, transcript

KEY = "a-long-random-test-key-1"
DEPLOY = PROJECT_ROOT / "deploy"
GB = 1_000_000_000
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(text: str) -> Samples:
    """Return the samples of a text by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, ApiContext]]:
    """Serve a library with an item that waits, a paused queue and a worker on a card."""
    home = tmp_path_factory.mktemp("metrics") / "home"
    settings = Settings.model_validate(
        {"KB_HOME": str(home), "KB_API_KEYS": KEY, "KB_EXECUTOR_ID": "box"}
    )
    context = ApiContext(settings)
    service = context.service
    service.library.prepare()
    service.queue.prepare()
    item = MediaItem(
        id="youtube:aaaaaaaaaaa", source="youtube", url="https://youtu.be/aaaaaaaaaaa",
        title="A secret title", published="2026-03-04", duration_s=90.0,
    )  # fmt: skip
    service.ingest.enqueue([item], RunOptions())
    service.queue.send(item.id, ["odin"])
    service.queue.pause()
    database = Database.open(settings)
    presence = Heartbeat(settings, database)
    presence.acquire()
    now = Sample(time.time(), 0.5, 1, 2, gpu=0.9, memory_used=7 * GB, memory_total=24 * GB)
    batch = BatchState(16, 56, "room for 16", waiting=9, halved=1, heard_s=120.0, busy_s=2.0)
    device = Device("cuda:0", "CUDA", "a card", "bfloat16", budget_bytes=20 * GB)
    snapshot = Snapshot(device, "whisper", "large-v3", "max", batch, sample=now)
    TelemetryWriter(database, presence.executor).write(snapshot, [now], 0, "")
    heard = replace(transcript(said("A ferry leaves.")), timing=Timing(media_s=20.0, asr_s=0.5))
    record_throughput(database, presence.executor, item.id, 1, heard)
    with TestClient(
        create_app(context), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client, context
    presence.release()
    database.close()


def test_the_figures_are_those_of_queue_worker_and_requests(
    served: tuple[TestClient, ApiContext],
) -> None:
    client, _ = served
    client.get("/health/live")
    for path in ("/secret/file-name", "/v1/models/no-such-secret", "/%00"):
        client.get(path)
    client.get("/v1/models", headers={"Authorization": "Bearer wrong"})
    answer = client.get("/metrics")
    found = figures(answer.text)

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert answer.headers["content-type"].startswith("text/plain")
    assert value("kb_up") == 1
    assert value("kb_queue_items", state="queued") == 1
    assert value("kb_queue_audio_seconds") == 90
    assert sum(value for (name, _), value in found.items() if name == "kb_lane_paused") == 1
    assert value("kb_worker_up", worker="box") == 1
    assert value("kb_batch_size", worker="box") == 16
    assert value("kb_waiting_windows", worker="box") == 9
    assert value("kb_heard_seconds_total", worker="box") == 120
    assert value("kb_realtime_factor", worker="box") == 40
    assert value("kb_gpu_memory_bytes", worker="box") == 7 * GB
    assert value("kb_http_requests_total", route="/health/live", status="200") == 1
    assert value("kb_http_requests_total", route="other", status="401") == 1
    assert value("kb_http_requests_total", route="other", status="404") >= 1
    assert value("kb_http_request_seconds_count", route="/health/live") == 1
    for secret in (KEY, "secret", "youtube", "aaaaaaaaaaa"):
        assert secret not in answer.text


def test_the_sound_of_keys_is_named_where_it_is_switched_on(
    served: tuple[TestClient, ApiContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, context = served
    monkeypatch.setattr(access_keys, "FRESH_S", 0.0)
    access = context.service.access
    key, _ = access.add("a program", ("speech",))
    access.settle(access.take(key.id, 50.0), 8.0)
    access.take(key.id, 7.0)  # under way
    name = "kb_key_seconds_total"
    assert name not in client.get("/metrics").text
    on = context.settings.replace(metrics_keys=True)
    monkeypatch.setattr(context.service, "settings", on)
    found = figures(client.get("/metrics").text)
    assert found[name, frozenset({("key_id", key.id)})] == 8.0


def test_others_do_not_read_them(served: tuple[TestClient, ApiContext]) -> None:
    client, _ = served
    assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401


def test_without_a_database_the_rest_is_there(
    served: tuple[TestClient, ApiContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, context = served

    def away(_since: float) -> None:
        raise KBError("database.away", "The database does not answer.")

    monkeypatch.setattr(context.service.queue, "figures", away)
    found = figures(client.get("/metrics").text)
    assert found["kb_up", frozenset()] == 0
    assert not [name for name, _ in found if name.startswith("kb_queue")]


def queries() -> list[str]:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    rules = YAML(typ="safe").load((DEPLOY / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


SELECTOR = re.compile(r"\b((?:kb|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!=|=)"([^"]*)"')


def selected(found: Samples, name: str, matchers: str) -> list[dict[str, str]]:
    """Return the labels of the samples that a selector finds."""
    wanted = MATCHER.findall(matchers)
    assert MATCHER.sub("", matchers).strip(", ") == "", matchers
    chosen = []
    for sample, pairs in found:
        labels = dict(pairs)
        if sample == name and all(
            key in labels and (
                labels[key] == text if sign == "="
                else labels[key] != text if sign == "!="
                else re.fullmatch(text, labels[key]) is not None
            )
            for key, sign, text in wanted
        ):  # fmt: skip
            chosen.append(labels)
    return chosen


@pytest.mark.parametrize("query", queries())
def test_each_query_of_board_and_alerts_finds_figures(
    served: tuple[TestClient, ApiContext], query: str
) -> None:
    """Each selector finds samples, counters alone are rated, and labels that are kept exist."""
    client, _ = served
    client.get("/health/live")
    text = client.get("/metrics").text
    found = figures(text)
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert query.count("(") == query.count(")") and SELECTOR.search(query)
    groups = re.findall(r"by \(([^)]*)\)", query)
    kept = {label.strip() for each in groups for label in each.split(",")}
    for match in SELECTOR.finditer(query):
        name, matchers = match[1], match[2] or ""
        labels = selected(found, name, matchers)
        if 'status=~"5..' not in matchers:  # no request has failed here
            assert labels, name
            assert kept <= {label for each in labels for label in each}, name
        before = query[: match.start()]
        rated = re.search(r"(rate|increase)\($", before) is not None
        family = re.sub(r"_(total|bucket|count|sum)$", "", name)
        if rated:
            assert kinds[family] in ("counter", "histogram"), name
        if kinds[family] == "counter":
            assert rated, name


def test_the_board_names_each_figure_of_ours(served: tuple[TestClient, ApiContext]) -> None:
    client, _ = served
    ours = {
        family.name
        for family in text_string_to_metric_families(client.get("/metrics").text)
        if family.name.startswith("kb_") and not family.name.endswith("_created")
    }
    asked = " ".join(queries())
    assert {name for name in ours if name not in asked} == set()
