"""One test over a long table of small cases, which tells every case that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Case = TypeVar("Case")


def check_each(
    cases: Iterable[Case], check: Callable[[Case], None], name: Callable[[Case], str] = str
) -> None:
    """Check each case; raise AssertionError with all that fail, each with its name."""
    count, failed = 0, []
    for case in cases:
        count += 1
        try:
            check(case)
        except Exception as error:
            failed.append(f"{name(case)}: {type(error).__name__}: {error}")
    assert count, "the table has no case"
    if failed:
        raise AssertionError(f"{len(failed)} of {count} cases fail:\n" + "\n".join(failed))
