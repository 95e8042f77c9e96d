"""Errors carry a code and values, and their English is rendered from them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from kb.errors import (
    GPUError,
    KBError,
    LanePaused,
    MediaUnavailable,
    QuotaExhausted,
    RetryLater,
    UsageError,
    render,
)
from tests.support.secret_watch import watch


def _empty() -> MediaUnavailable:
    return MediaUnavailable(
        "media.empty",
        "{path} is empty ({size:.1f} kB, {name!r}).",
        hint="Copy {path} again.",
        path=Path("/a/b{c}.mp3"),
        size=0,
        name="b",
    )


def test_message_and_hint_are_rendered_from_the_values() -> None:
    error = _empty()
    assert str(error) == error.message == "/a/b{c}.mp3 is empty (0.0 kB, 'b')."
    assert error.args == (error.message,)
    assert error.hint == "Copy /a/b{c}.mp3 again."
    assert error.code == "media.empty"
    assert error.values == {"path": "/a/b{c}.mp3", "size": 0, "name": "b"}
    assert error.problem == {"code": "media.empty", "values": error.values}


def test_a_finished_sentence_is_not_rendered_and_has_no_code() -> None:
    error = KBError("A {brace} stays.", hint="{here} too")
    assert (error.message, error.hint) == ("A {brace} stays.", "{here} too")
    assert (error.code, error.values, error.problem) == ("", {}, None)
    with pytest.raises(TypeError, match="without a template: path"):
        KBError("A sentence.", path="x")


def test_a_missing_value_is_an_error_at_the_raise() -> None:
    with pytest.raises(KeyError, match="path"):
        KBError("media.empty", "{path} is empty.")


def test_values_are_what_json_can_hold() -> None:
    class Level(int):
        """An int of another type."""

    error = KBError(
        "a.b", "{a} {b} {c} {d} {e}", a=True, b=Level(3), c=1.5, d=None, e=("x", Path("y"))
    )
    assert json.loads(json.dumps(error.values)) == error.values
    assert error.values == {"a": True, "b": 3, "c": 1.5, "d": "None", "e": str(("x", Path("y")))}
    assert type(error.values["b"]) is int
    assert type(error.values["a"]) is bool


def test_an_error_as_a_value_keeps_its_code_and_renders_as_its_message() -> None:
    outer = UsageError("a.outer", "First: {cause}", hint="{cause.hint} Then again.", cause=_empty())
    assert outer.message == "First: /a/b{c}.mp3 is empty (0.0 kB, 'b')."
    assert outer.hint == "Copy /a/b{c}.mp3 again. Then again."
    assert outer.values["cause"] == {
        "code": "media.empty",
        "values": _empty().values,
        "message": _empty().message,
        "hint": _empty().hint,
    }
    literal = UsageError("a.outer", "First: {cause}", cause=KBError("Plain."))
    assert literal.message == "First: Plain."
    assert literal.values["cause"] == {"code": "", "values": {}, "message": "Plain."}
    # Stored values render again after a trip through JSON.
    stored = json.loads(json.dumps(outer.values))
    assert render("First: {cause}", stored) == outer.message


def test_recast_changes_the_class_alone() -> None:
    first = _empty()
    usage = first.recast(UsageError)
    assert type(usage) is UsageError
    assert usage.exit_code == 2
    assert (usage.message, usage.hint, usage.problem) == (first.message, first.hint, first.problem)
    assert usage.args == (first.message,)
    later = first.recast(RetryLater)
    assert later.until is None
    assert later.retryable
    assert GPUError("x").recast(KBError).retryable is False
    assert KBError("x").recast(KBError, retryable=True).retryable is True


@pytest.mark.parametrize(
    "error",
    [
        _empty(),
        KBError("A sentence {with} braces.", hint="{x}", retryable=True),
        QuotaExhausted("q.spent", "{key} is spent.", until=12.5, key="first"),
        _empty().recast(UsageError),
    ],
)
def test_pickling_keeps_everything(error: KBError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert copy.args == error.args
    assert (copy.retryable, copy.problem) == (error.retryable, error.problem)


def test_what_a_subclass_adds_is_kept() -> None:
    paused = LanePaused("lane.rests", "{lane} rests.", until=5.0, lane="youtube")
    paused.lane = "youtube"
    copy = pickle.loads(pickle.dumps(paused))
    assert (copy.lane, copy.until, copy.values) == ("youtube", 5.0, {"lane": "youtube"})


def test_the_secret_watch_reads_rendered_errors() -> None:
    """It hooks the constructor; a rebuilt error passes there too."""
    before = watch.scanned["error"]
    error = _empty()
    assert watch.scanned["error"] == before + 1
    pickle.loads(pickle.dumps(error))
    error.recast(UsageError)
    assert watch.scanned["error"] == before + 3
