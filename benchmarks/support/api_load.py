"""Many clients of one `kb serve`: words, errors, memory, and the rate of cheap routes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
from openai import OpenAI, OpenAIError

from benchmarks.support.common import figure, median, p95
from benchmarks.support.talks import talk
from tests.support.compose import write_wav
from tests.support.keys import fake_key
from tests.support.serving import ServeProcess, serving
from tests.support.workers import Lab

CLIENTS, CLIP_S = 64, 8.0
REQUESTS, REQUEST_S, AT_ONCE = 500, 6.0, 8
WARM_REQUESTS = 100  # until allocators and caches have their size
CONNECTIONS, RATE_S = 8, 5.0
KEYS = (fake_key("alone"), fake_key("together"))  # answers are kept for each key


def measure(folder: Path) -> bool:
    """Print the figures; return False if one misses its target."""
    rng = np.random.default_rng(161)
    clips = [write_wav(folder / f"{n}.wav", talk(CLIP_S, 0.1, rng)) for n in range(CLIENTS)]
    short = write_wav(folder / "short.wav", talk(REQUEST_S, 0.1, rng)).read_bytes()
    with (
        Lab(folder / "lab", KB_API_KEYS=",".join(KEYS)) as lab,
        serving(lab, "load") as server,
    ):
        met = [
            _at_once(server, clips),
            _memory(server, short),
            *(_rate(server, path) for path in ("/health/live", "/v1/models", "/v1/models/demo")),
            _rate(server, _job(server, clips[0])),
        ]
    return all(met)


def _client(server: ServeProcess, key: str) -> OpenAI:
    return OpenAI(base_url=f"{server.address}/v1", api_key=key, max_retries=0, timeout=600)


def _at_once(server: ServeProcess, clips: Sequence[Path]) -> bool:
    """Transcribe clips one after the other, then all at once with another key."""
    alone = _client(server, KEYS[0])
    expected = [alone.audio.transcriptions.create(model="demo", file=clip).text for clip in clips]
    begin = threading.Barrier(len(clips))

    def one(clip: Path) -> tuple[str, float]:
        client = _client(server, KEYS[1])
        begin.wait()
        began = time.perf_counter()
        try:
            text = client.audio.transcriptions.create(model="demo", file=clip).text
        except OpenAIError as error:
            text = f"error: {error}"
        return text, time.perf_counter() - began

    with ThreadPoolExecutor(len(clips)) as pool:
        found = list(pool.map(one, clips))
    times = [took_s for _, took_s in found]
    errors = [text for text, _ in found if text.startswith("error: ")]
    for text in errors[:3]:
        print(text)
    different = sum(text != wanted for (text, _), wanted in zip(found, expected, strict=True))
    figure("clients_at_once_median", median(times), "s")
    figure("clients_at_once_p95", p95(times), "s")
    figure("clients_at_once_all", max(times), "s")
    return all((
        figure("clients_at_once", len(found), "clients", at_least=CLIENTS),
        figure("clients_errors", len(errors), "errors", at_most=0),
        figure("clients_different_words", different - len(errors), "answers", at_most=0),
        figure("clients_without_words", sum(not text for text, _ in found), "answers", at_most=0),
    ))  # fmt: skip


def _memory(server: ServeProcess, sound: bytes) -> bool:
    """Send requests of which no two are equal; compare the memory after them with that before."""
    client = _client(server, KEYS[0])

    def one(number: int) -> bool:
        name, content = f"{number}.wav", sound + number.to_bytes(4, "big")
        try:
            found = client.audio.transcriptions.create(model="demo", file=(name, content))
        except OpenAIError:
            return False
        return bool(found.text)

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        good = sum(pool.map(one, range(WARM_REQUESTS)))
        before_mb = _memory_mb(server)
        good += sum(pool.map(one, range(WARM_REQUESTS, REQUESTS)))
        after_mb = _memory_mb(server)
    figure("requests_a_second", REQUESTS / (time.perf_counter() - began), "requests")
    figure(f"memory_after_{WARM_REQUESTS}_requests", before_mb, "MB")
    return all((
        figure("requests_without_answer", REQUESTS - good, "requests", at_most=0),
        figure(f"memory_after_{REQUESTS}_over_{WARM_REQUESTS}_requests",
               after_mb / before_mb, "ratio", at_most=1.03),
    ))  # fmt: skip


def _memory_mb(server: ServeProcess) -> float:
    """Return the memory of the server and the recognizer; shared pages count once."""
    total = 0
    for process in server.family():
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, AttributeError):  # ended meanwhile; only Linux knows shares
            total += process.memory_info().rss if process.is_running() else 0
    return total / 1e6


def _job(server: ServeProcess, clip: Path) -> str:
    """Queue a job and wait for its end; return the path of its state."""
    headers = {"Authorization": f"Bearer {KEYS[0]}"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=60) as client:
        made = client.post("/v1/jobs", files={"file": (clip.name, clip.read_bytes())}).json()
        while client.get(made["result_url"]).status_code == 202:
            time.sleep(0.5)
    return str(made["status_url"])


def _rate(server: ServeProcess, path: str) -> bool:
    """Ask for a path over several lasting connections for some seconds."""
    parts = urlsplit(server.address)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {KEYS[0]}\r\n\r\n"
    ).encode()
    until = time.perf_counter() + RATE_S
    times: list[float] = []

    def ask() -> None:
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as line:
            while (began := time.perf_counter()) < until:
                line.sendall(request)
                _read_answer(line)
                times.append(time.perf_counter() - began)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for running in [pool.submit(ask) for _ in range(CONNECTIONS)]:
            running.result()
    is_job = "job_" in path
    name = "/v1/jobs/ID" if is_job else path
    figure(f"p99 {name}", sorted(times)[int(len(times) * 0.99)] * 1000, "ms")
    # The state of a job is read from the tables and the library: not one of the cheap routes.
    least = None if is_job else 500
    return figure(f"rate {name}", len(times) / RATE_S, "requests/s", at_least=least)


def _read_answer(line: socket.socket) -> None:
    """Read one answer with a length. Raises ValueError for a status other than 200."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += line.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ValueError(head[:100].decode())
    length = next(
        int(each.partition(b":")[2]) for each in head.lower().split(b"\r\n") if
        each.startswith(b"content-length:")
    )  # fmt: skip
    while len(body) < length:
        body += line.recv(65_536)
