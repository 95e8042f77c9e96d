"""Checks of an error's code and values instead of its English sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from kb.errors import KBError, StoredProblem

_Kind = TypeVar("_Kind", bound=KBError)


@contextmanager
def raises(
    kind: type[_Kind], code: str, /, **values: object
) -> Iterator[pytest.ExceptionInfo[_Kind]]:
    """Expect an error of `kind` with `code`; the given values must equal the error's.

    A path is compared as text. A nested error is given as its code, or as a pair of its code and
    all its values.
    """
    with pytest.raises(kind) as caught:
        yield caught
    check(caught.value, code, **values)


def check(problem: KBError | StoredProblem | None, code: str, /, **values: object) -> None:
    """Check the code and values of an error, or of its stored form ("problem" in JSON output)."""
    stored = problem.problem if isinstance(problem, KBError) else problem
    assert stored is not None, f"{code} expected, found an error without a code: {problem}"
    assert stored["code"] == code, problem
    wanted = {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}
    found = {name: _comparable(stored["values"].get(name), v) for name, v in wanted.items()}
    assert found == wanted, f"{problem}: {found}, not {wanted}"


def _comparable(found: object, wanted: object) -> object:
    """Return a nested error in the form of the expected value, any other value unchanged."""
    if not isinstance(found, dict):
        return found
    return (found["code"], found["values"]) if isinstance(wanted, tuple) else found["code"]
