"""Faults of a hub: after each, the model is complete and verified, or the error names the cause."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kb.asr.engines.model_check import RECOGNIZER
from kb.errors import Cancelled, KBError
from kb.hub import cache, fetch_state
from kb.hub.client import Deadlines
from kb.hub.conduct import Conduct
from kb.hub.fetch_state import FetchState
from kb.hub.models import known_ready, ready
from tests.fakes.hub import LISTING, SIGN_IN_PAGE, FakeHub, Fault
from tests.support.hub_cache import (
    HASTY,
    IMPATIENT,
    NAME,
    NEEDED,
    QUICK,
    SMALL,
    WEIGHTS,
    fetched,
    hub,
    outcome,
    rubbish,
    same_bytes,
    use_hub,
)
from tests.support.raising import raises
from tests.support.waiting import WAIT_S, until

__all__ = ["hub"]

pytestmark = pytest.mark.slow  # not one of them, but all of them together


def test_a_fetch_has_the_needed_files_their_record_and_nothing_else(hub: FakeHub) -> None:
    states: list[FetchState] = []
    record = fetched(states=states)
    assert set(record.files) == NEEDED and same_bytes(record, hub)
    assert {name.split(" ")[0] for name in hub.sent} == NEEDED
    assert rubbish() == []
    assert states[-1].size == record.size == sum(file.size for file in record.files.values())
    assert states[-1].done == record.size
    assert fetch_state.read_state(cache.repository_folder(NAME)) is None
    hub.requests.clear()
    assert fetched() == record and hub.requests == []  # no request for a complete model


PATIENT = Conduct(deadlines=Deadlines(stall_s=10 * WAIT_S))

PASSING: dict[str, tuple[str, Fault]] = {
    "500 for a small file": (SMALL, Fault(status=500)),
    "503 for the weights": (WEIGHTS, Fault(status=503)),
    "502 for the listing": (LISTING, Fault(status=502)),
    "408": (WEIGHTS, Fault(status=408)),
    "429 with a pause": (WEIGHTS, Fault(status=429, retry_after="0")),
    "429 for the listing with a date": (
        LISTING, Fault(status=429, retry_after="Thu, 01 Jan 1970 00:00:00 GMT"),
    ),
    "410": (LISTING, Fault(status=410)),
    "cut at once": (WEIGHTS, Fault(cut=0)),
    "cut inside": (WEIGHTS, Fault(cut=3000)),
    "cut inside a small file": (SMALL, Fault(cut=5)),
    "cut without a length": (WEIGHTS, Fault(cut=3000, length=False)),
    "no length": (WEIGHTS, Fault(length=False)),
    "stall at once": (WEIGHTS, Fault(stall=0)),
    "stall inside": (WEIGHTS, Fault(stall=3000)),
    "no answer": (WEIGHTS, Fault(silent=True)),
    "no answer to the listing": (LISTING, Fault(silent=True)),
    "a byte flipped": (WEIGHTS, Fault(flip=4000)),
    "a byte flipped in the header": (WEIGHTS, Fault(flip=9)),
    "a byte flipped in a small file": (SMALL, Fault(flip=3)),
    "more bytes": (WEIGHTS, Fault(more=b"more")),
    "more bytes without a length": (WEIGHTS, Fault(more=b"more", length=False)),
    "a sign-in page instead of the listing": (LISTING, Fault(page=SIGN_IN_PAGE)),
    "a sign-in page instead of a file": (SMALL, Fault(page=SIGN_IN_PAGE)),
    "a sign-in page instead of the weights": (WEIGHTS, Fault(page=SIGN_IN_PAGE)),
}  # fmt: skip


@pytest.mark.parametrize(("file", "fault"), PASSING.values(), ids=PASSING)
def test_trouble_that_passes_ends_with_the_whole_model(
    hub: FakeHub, file: str, fault: Fault
) -> None:
    hub.faults[file] = [fault]
    record = fetched(conduct=QUICK)
    assert set(record.files) == NEEDED and same_bytes(record, hub)
    assert rubbish() == []


LASTING: dict[str, tuple[str, Fault, str]] = {
    "503": (WEIGHTS, Fault(status=503), "model.hub_error"),
    "503 for the listing": (LISTING, Fault(status=503), "model.hub_error"),
    "429 for an hour": (LISTING, Fault(status=429, retry_after="3600"), "model.hub_error"),
    "cut": (WEIGHTS, Fault(cut=0), "model.hub_cut"),
    "stall": (WEIGHTS, Fault(stall=0), "model.hub_silent"),
    "no answer": (LISTING, Fault(silent=True), "model.hub_silent"),
    "flip": (WEIGHTS, Fault(flip=4000), "model.file_wrong"),
    "page": (LISTING, Fault(page=SIGN_IN_PAGE), "model.hub_foreign"),
    "page for a file": (WEIGHTS, Fault(page=SIGN_IN_PAGE), "model.hub_foreign"),
}


@pytest.mark.parametrize(("file", "fault", "code"), LASTING.values(), ids=LASTING)
def test_trouble_that_stays_is_named_and_the_next_fetch_completes_the_model(
    hub: FakeHub, file: str, fault: Fault, code: str
) -> None:
    hub.always[file] = fault
    with pytest.raises(KBError) as caught:
        fetched(conduct=HASTY if code == "model.hub_silent" else IMPATIENT)
    assert caught.value.code == code and caught.value.retryable and caught.value.hint
    assert known_ready(NAME) is None
    state = fetch_state.read_state(cache.repository_folder(NAME))
    assert state is not None and state.state == "failed" and state.problem["error"]
    hub.heal()
    assert same_bytes(fetched(), hub) and rubbish() == []


FINAL: dict[str, tuple[str, Fault, str]] = {
    "401 gated": (LISTING, Fault(status=401, code="GatedRepo"), "model.gated"),
    "403 gated": (WEIGHTS, Fault(status=403, code="GatedRepo"), "model.gated"),
    "403": (LISTING, Fault(status=403), "model.refused"),
    "404": (LISTING, Fault(status=404), "model.not_on_hub"),
    "401 unknown": (LISTING, Fault(status=401, code="RepoNotFound"), "model.not_on_hub"),
    "404 for a file": (WEIGHTS, Fault(status=404), "model.file_not_on_hub"),
}


@pytest.mark.parametrize(("file", "fault", "code"), FINAL.values(), ids=FINAL)
def test_what_does_not_pass_ends_at_once(hub: FakeHub, file: str, fault: Fault, code: str) -> None:
    hub.always[file] = fault
    with pytest.raises(KBError) as caught:
        fetched(conduct=replace(QUICK, patience_s=10 * WAIT_S))
    assert caught.value.code == code and not caught.value.retryable and caught.value.hint
    if code == "model.gated":
        assert f"{hub.url}/{NAME}" in caught.value.hint


def test_a_pause_that_the_hub_asks_for_is_shown_and_kept(hub: FakeHub) -> None:
    hub.faults[WEIGHTS] = [Fault(status=429, retry_after="1")]
    states: list[FetchState] = []
    began = time.time()
    fetched(states=states)
    assert time.time() - began >= 1
    waiting = [state for state in states if state.state == "waiting" and state.next_try]
    assert waiting and waiting[0].next_try is not None and waiting[0].next_try >= began + 0.9
    assert waiting[0].problem["problem"]["values"]["status"] == 429


def part_of_weights(hub: FakeHub) -> Path:
    """Return the path of what has arrived of WEIGHTS."""
    digest = hashlib.sha256(hub.bytes_of(NAME, WEIGHTS) or b"").hexdigest()
    return cache.repository_folder(NAME) / "blobs" / f"{digest}{cache.PART_SUFFIX}"


def test_the_rest_of_a_part_is_asked_for_by_another_fetch(hub: FakeHub) -> None:
    hub.faults[WEIGHTS] = [Fault(cut=3000)] + [Fault(status=503)] * 99
    assert outcome(conduct=IMPATIENT) == "model.hub_error"
    assert part_of_weights(hub).stat().st_size == 3000
    hub.heal()
    hub.sent.clear()
    record = fetched()
    assert f"{WEIGHTS} from 3000" in hub.sent and same_bytes(record, hub) and rubbish() == []


@pytest.mark.parametrize("damage", ["zeros", "too long", "empty", "other file"])
def test_a_damaged_part_is_never_taken(hub: FakeHub, damage: str) -> None:
    hub.faults[WEIGHTS] = [Fault(cut=3000)] + [Fault(status=503)] * 99
    assert outcome(conduct=IMPATIENT) == "model.hub_error"
    part = part_of_weights(hub)
    size = len(hub.bytes_of(NAME, WEIGHTS) or b"")
    part.write_bytes({
        "zeros": bytes(3000), "too long": bytes(size + 9), "empty": b"", "other file": bytes(size),
    }[damage])  # fmt: skip
    hub.heal()
    assert same_bytes(fetched(), hub) and rubbish() == []


def test_a_hub_that_ignores_the_range_sends_the_whole_file(hub: FakeHub) -> None:
    hub.faults[WEIGHTS] = [Fault(cut=3000), Fault(no_range=True)]
    assert same_bytes(fetched(), hub) and rubbish() == []


def test_two_fetches_share_one(hub: FakeHub) -> None:
    hub.bytes_per_s = 20_000
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(fetched())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(found) == 3 and found[0] == found[1] == found[2]
    assert len(hub.sent) == len(NEEDED)


def test_a_stop_is_heard_during_a_silence_and_the_next_fetch_goes_on(hub: FakeHub) -> None:
    hub.always[WEIGHTS] = Fault(stall=3000)
    stop = threading.Event()
    caught: list[BaseException] = []

    def fetch() -> None:
        try:
            ready(NAME, RECOGNIZER, cancelled=stop.is_set, conduct=PATIENT)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    until(lambda: any(name.endswith(cache.PART_SUFFIX) for name in rubbish()))
    stop.set()
    thread.join(WAIT_S)
    assert isinstance(caught[0], Cancelled)
    state = fetch_state.read_state(cache.repository_folder(NAME))
    assert state is not None and state.state == "stopped"
    hub.heal()
    assert same_bytes(fetched(), hub) and rubbish() == []


@pytest.mark.parametrize(("what", "state"), [("pause", "paused"), ("cancel", "")])
def test_a_user_pauses_or_cancels_the_fetch_of_another_process(
    hub: FakeHub, what: str, state: str
) -> None:
    hub.always[WEIGHTS] = Fault(stall=3000)
    place = cache.repository_folder(NAME)
    caught: list[str] = []
    thread = threading.Thread(target=lambda: caught.append(outcome(conduct=PATIENT)))
    thread.start()
    until(lambda: part_of_weights(hub).is_file())
    fetch_state.request(place, what)  # type: ignore[arg-type]
    thread.join(WAIT_S)
    assert caught == ["model.fetch_stopped"]
    found = fetch_state.read_state(place)
    assert (found.state if found else "") == state
    assert part_of_weights(hub).is_file() == (what == "pause")
    assert place.exists() == (what == "pause")
    hub.heal()
    assert same_bytes(fetched(), hub) and rubbish() == []


def test_a_full_disk_is_named_with_need_room_and_folder(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kb.hub.cache.room", lambda folder: 5_000)
    with raises(KBError, "model.disk_full", name=NAME) as caught:
        fetched(conduct=Conduct(patience_s=0.1, first_pause_s=0.01, room_bytes=0))
    assert caught.value.retryable and caught.value.values["room"] == "5000 bytes"
    assert str(cache.repository_folder(NAME)) == caught.value.values["folder"]
    assert hub.sent == []
    monkeypatch.undo()


def test_an_unreachable_hub_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    assert outcome(conduct=replace(QUICK, patience_s=10 * WAIT_S)) == "model.hub_unreachable"
