"""Asks a language model many questions in a process of its own, which may be killed at any time."""

from __future__ import annotations

import json
import multiprocessing
import random
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from kb.database import Database
from kb.enrich.llm.client import LanguageModel, Scope
from kb.enrich.llm.ledger import Booked
from kb.enrich.llm.prompts import Prompt
from kb.errors import KBError
from kb.settings import Settings
from tests.fakes.chat import KEY, ChatServer

ANSWER = '{"words": ["tide", "noon"]}'
PROMPT = Prompt("benchmark", "1", "Answer with JSON.", "Question $number", "d1")
# Those that a run of many calls can be slowed down by are rare.
FAULTS = (
    "busy_wait", "error", "error_page", "half", "close", "empty_choice", "no_content", "foreign",
    "prose", "length", "declined", "tool", "no_usage", "odd_usage", "bad_request",
)  # fmt: skip
SHARE = 0.2


class Words(BaseModel):
    words: list[str]


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a run: what the client booked, and what the server saw.

    `usable` answers with figures of use left the server; `repeated` of them were for a question
    that had one already.
    """

    booked: Booked
    calls: int
    usable: int
    repeated: int
    tokens: int
    kills: int


def settings_of(home: Path, url: str) -> Settings:
    """Return the settings of a library that asks the server."""
    return Settings.model_validate({
        "KB_HOME": str(home), "KB_LLM_URL": url, "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
        "KB_LLM_TOKEN_CAPS": "month=1e12", "KB_LLM_TIMEOUT_S": 60,
    })  # fmt: skip


def ask_all(settings: Settings, numbers: Sequence[int], pause_s: float = 0.0) -> None:
    """Ask these questions one after another; errors are passed over."""
    database = Database.open(settings)
    model = LanguageModel.open(settings, database)
    model._pause = lambda _: time.sleep(pause_s)
    for number in numbers:
        try:
            model.ask(PROMPT, {"number": number}, Words, Scope(f"file:{number % 7}", "run"))
        except KBError:
            continue
    database.close()


def with_kills(questions: int, kills: int, seed: int = 1) -> Account:
    """Ask so many questions while the asking process is killed at moments of its work."""
    chance = random.Random(seed)
    plan = [chance.choice(FAULTS) if chance.random() < SHARE else "" for _ in range(questions * 4)]
    with tempfile.TemporaryDirectory() as folder, ChatServer(lambda _: ANSWER, plan) as server:
        home = Path(folder, "home")
        home.mkdir()
        settings = settings_of(home, server.url)
        context = multiprocessing.get_context("spawn")
        # Each process is killed after so many calls have reached the server.
        marks = sorted(chance.sample(range(1, questions), kills))
        for mark in (*marks, None):
            process = context.Process(target=ask_all, args=(settings, range(questions)))
            process.start()
            while process.is_alive():
                if mark is not None and len(server.asked) >= mark:
                    time.sleep(chance.uniform(0.0, 0.01))
                    process.kill()
                    break
                process.join(0.001)
            process.join()
        calls = len(server.asked)
        served = Counter(json.dumps(messages) for messages in server.served)
        database = Database.open(settings)
        booked = LanguageModel.open(settings, database).ledger.booked()
        database.close()
        return Account(
            booked, calls, len(server.served), sum(n - 1 for n in served.values()),
            server.counted.tokens, kills,
        )  # fmt: skip


def again(questions: int) -> int:
    """Return the calls of a second run over the same questions, without faults."""
    with tempfile.TemporaryDirectory() as folder, ChatServer(lambda _: ANSWER) as server:
        home = Path(folder, "home")
        home.mkdir()
        settings = settings_of(home, server.url)
        ask_all(settings, range(questions))
        before = len(server.asked)
        ask_all(settings, range(questions))
        return len(server.asked) - before


def overhead(calls: int, delay_s: float) -> float:
    """Return the client's own share of time beside a server that takes so long for a call.

    Calls of the client and bare calls of HTTP take turns, so that both have the same machine.
    """
    with tempfile.TemporaryDirectory() as folder, ChatServer(lambda _: ANSWER) as server:
        home = Path(folder, "home")
        home.mkdir()
        database = Database.open(settings_of(home, server.url))
        model = LanguageModel.open(settings_of(home, server.url), database)
        model.ask(PROMPT, {"number": 10**6}, Words, Scope("file:1", "run"))  # imports its package
        body = json.dumps(server.asked[-1].body)
        server.delay_s, own_s, bare_s = delay_s, 0.0, 0.0
        for number in range(calls):
            began = time.perf_counter()
            model.ask(PROMPT, {"number": number}, Words, Scope("file:1", "run"))
            between = time.perf_counter()
            _bare_call(server, body)
            own_s += between - began
            bare_s += time.perf_counter() - between
        database.close()
        return own_s / bare_s - 1.0


def _bare_call(server: ChatServer, body: str) -> None:
    request = urllib.request.Request(
        f"{server.url}/chat/completions", body.encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )  # fmt: skip
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        answer.read()
