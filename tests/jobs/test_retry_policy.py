"""Decisions on errors: again later, failed, or a pause of the whole lane."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kb.errors import LibraryError, UsageError
from kb.jobs.queue.item_states import (
    FAILED,
    WAITING,
)
from kb.jobs.worker import retry_policy


def test_retry_decisions(tmp_path: Path) -> None:
    from kb.errors import (
        MediaUnavailable,
        QuotaExhausted,
        RetryLater,
        TranscriptionError,
    )
    from kb.inference.crash import InferenceProcessCrashed

    now = time.time()
    quota = retry_policy.decide(
        QuotaExhausted("quota", until=now + 500), 4, systemic=False, now=time.time()
    )
    assert (quota.state, quota.attempts, quota.until) == (WAITING, 4, now + 500)
    live = retry_policy.decide(RetryLater("still live"), 99, systemic=False, now=time.time())
    assert live.state == WAITING and live.until is not None and live.until > now
    gone = retry_policy.decide(MediaUnavailable("private"), 0, systemic=False, now=time.time())
    assert (gone.state, gone.attempts) == (FAILED, 1)
    again = retry_policy.decide(TranscriptionError("odd"), 0, systemic=False, now=time.time())
    assert (again.state, again.attempts) == (WAITING, 1)
    last = retry_policy.decide(
        TranscriptionError("odd"), retry_policy.MAX_ATTEMPTS - 1, systemic=False, now=time.time()
    )
    assert (last.state, last.attempts) == (FAILED, retry_policy.MAX_ATTEMPTS)
    full = LibraryError("full")
    full.__cause__ = OSError(28, "No space left on device")
    assert retry_policy.is_systemic(full, tmp_path)
    verdict = retry_policy.decide(full, 2, systemic=True, now=time.time())
    assert (verdict.state, verdict.attempts, verdict.lane_reason) == (WAITING, 2, full)
    assert retry_policy.is_systemic(InferenceProcessCrashed("exit code 1"), tmp_path)
    assert not retry_policy.is_systemic(LibraryError("one damaged file"), tmp_path)


def test_an_item_waits_for_its_model_without_a_pause_for_others(tmp_path: Path) -> None:
    from kb.errors import ModelUnavailable

    passing = ModelUnavailable("model.hub_error", "503", retryable=True)
    passing.until = time.time() + 700
    assert not retry_policy.is_systemic(passing, tmp_path)
    found = retry_policy.decide(passing, 9, systemic=False, now=time.time())
    assert (found.state, found.attempts, found.until) == (WAITING, 9, passing.until)
    assert found.lane_reason is None
    wrong = ModelUnavailable("model.not_on_hub", "404")
    assert retry_policy.decide(wrong, 0, systemic=False, now=time.time()).state == FAILED


def test_backoff_doubles_within_bounds() -> None:
    longest = [retry_policy.backoff_s(n, lambda low, high: high) for n in range(1, 12)]
    assert longest[:3] == [5.0, 10.0, 20.0]
    assert longest[-1] == retry_policy.LONGEST_BACKOFF_S
    assert retry_policy.backoff_s(1, lambda low, high: low) == 2.5


@pytest.mark.parametrize("code", sorted(retry_policy.OF_THIS_MACHINE))
def test_an_item_that_this_machine_cannot_serve_waits_for_another(code: str) -> None:
    error = UsageError(code, "not here")
    found = retry_policy.decide(error, 2, systemic=False, now=time.time())
    assert (found.state, found.attempts, found.lane_reason) == ("waiting", 2, None)
    assert found.until is not None and found.until > time.time() + 900


@pytest.mark.parametrize("code", sorted(retry_policy.MAY_HAVE_PASSED))
def test_a_refused_write_is_tried_again_before_the_item_fails(code: str) -> None:
    error = LibraryError(code, "writing is not allowed there")
    first = retry_policy.decide(error, 0, systemic=False, now=time.time())
    assert (first.state, first.attempts, first.lane_reason) == (WAITING, 1, None)
    assert first.until is not None and first.until < time.time() + 10
    last = retry_policy.decide(
        error, retry_policy.MAX_ATTEMPTS - 1, systemic=False, now=time.time()
    )
    assert (last.state, last.attempts) == (FAILED, retry_policy.MAX_ATTEMPTS)
