"""GET /metrics: figures for Prometheus, of this server, of the queue and of the workers.

Labels are routes, states and workers' names, and the ids of keys where KB_METRICS_KEYS is on: never
a file, a link, a secret or what a caller wrote.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kb.api.context import ApiContext
from kb.errors import KBError
from kb.service import Service

PATH = "/metrics"
OTHER = "other"  # a path that no route has, or a request that was refused before its route
# A dictation takes a second, a talk minutes.
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


class RequestMetrics:
    """ASGI middleware that counts the requests of one application and measures their time."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "kb_http_requests", "Requests by route and status.", ("route", "status"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "kb_http_request_seconds", "Time until the answer was complete.", ("route",),
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 499, time.monotonic()  # without an answer the caller was gone

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted_send)
        except BaseException:
            status = 500
            raise
        finally:
            route = str(getattr(scope.get("route"), "path", OTHER))
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(time.monotonic() - began)


class LibraryCollector(Collector):
    """The queue's and the workers' figures, read from the database at each request.

    `kb_up` is 0, and these figures are absent, while the database does not answer.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the registry must not read the database when the server starts."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the figures."""
        try:
            found = [*self._queue(), *self._workers(), *self._keys()]
        except KBError:
            found = []
        yield GaugeMetricFamily("kb_up", "1 if the database answers.", value=1 if found else 0)
        yield from found

    def _keys(self) -> Iterator[Metric]:
        if self._service.settings.metrics_keys:
            read = CounterMetricFamily(
                "kb_key_seconds", "Sound of ended work of a key.", labels=["key_id"]
            )
            for key_id, seconds in self._service.access.read_s().items():
                read.add_metric([key_id], seconds)
            yield read

    def _queue(self) -> Iterator[Metric]:
        queue = self._service.queue
        figures = queue.figures(0.0)
        items = GaugeMetricFamily("kb_queue_items", "Recordings by state.", labels=["state"])
        for state, count in figures.counts.items():
            items.add_metric([state], count)
        yield items
        yield GaugeMetricFamily(
            "kb_queue_audio_seconds", "Sound that has to be transcribed, of known length.",
            value=figures.remaining_s,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "kb_transcribed_audio_seconds", "Sound of the queue transcribed so far.",
            value=figures.transcribed_s,
        )  # fmt: skip
        lanes = GaugeMetricFamily("kb_lane_paused", "1 for a lane that is paused.", labels=["lane"])
        for lane in queue.lanes():
            lanes.add_metric([lane.name], 1)
        yield lanes
        outbox = GaugeMetricFamily(
            "kb_publications", "Publications by knowledge base and state.",
            labels=["sink", "status"],
        )  # fmt: skip
        for sink, counts in queue.outbox.counts().items():
            for status, count in counts.items():
                outbox.add_metric([sink, status], count)
        yield outbox

    def _workers(self) -> Iterator[Metric]:
        named = ["worker"]
        alive = GaugeMetricFamily("kb_worker_up", "1 for a worker that is alive.", labels=named)
        size = GaugeMetricFamily("kb_batch_size", "Windows in a batch at most.", labels=named)
        waiting = GaugeMetricFamily("kb_waiting_windows", "Windows that wait.", labels=named)
        heard = CounterMetricFamily("kb_heard_seconds", "Sound decoded.", labels=named)
        busy = CounterMetricFamily("kb_model_busy_seconds", "Time of the model.", labels=named)
        halved = CounterMetricFamily("kb_batch_halved", "Batches out of memory.", labels=named)
        used = GaugeMetricFamily("kb_gpu_memory_bytes", "Memory used on the card.", labels=named)
        load = GaugeMetricFamily("kb_gpu_utilisation", "Use of the card, 0 to 1.", labels=named)
        speed = GaugeMetricFamily(
            "kb_realtime_factor", "Seconds of sound per second of the model, last hour.",
            labels=named,
        )  # fmt: skip
        for machine in self._service.machines.with_workers():
            labels = [machine.executor_id]
            alive.add_metric(labels, 1)
            if not machine.live:  # it has not said yet what it does
                continue
            batch, sample = machine.snapshot.batch, machine.now
            if batch is not None:
                size.add_metric(labels, batch.size)
                waiting.add_metric(labels, batch.waiting)
                heard.add_metric(labels, batch.heard_s)
                busy.add_metric(labels, batch.busy_s)
                halved.add_metric(labels, batch.halved)
            if sample is not None and sample.memory_used is not None:
                used.add_metric(labels, sample.memory_used)
            if sample is not None and sample.gpu is not None:
                load.add_metric(labels, sample.gpu)
            if machine.rtfx_hour is not None:
                speed.add_metric(labels, machine.rtfx_hour)
        yield from (alive, size, waiting, heard, busy, halved, used, load, speed)


def registry_of(context: ApiContext) -> CollectorRegistry:
    """Return a registry of one application with the figures of its process and library."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(LibraryCollector(context.service))
    return registry


def router(registry: CollectorRegistry) -> APIRouter:
    """Return the route of the figures."""
    routes = APIRouter(tags=["health"])

    @routes.get(PATH, response_class=Response)
    async def metrics() -> Response:
        """Return the figures in Prometheus' text format."""
        text = await run_in_threadpool(generate_latest, registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return routes
