"""Transactions that the server ended for the sake of another one, executed again.

PostgreSQL ends one of two transactions that wait for each other's locks (a deadlock), and one of
two that cannot be put in an order (a serialization failure). Nothing of it stays, so the whole
transaction is executed again. Source: PostgreSQL's documentation, "Deadlocks" and "Serialization
Failure Handling".
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from kb.database.server_errors import ROLLED_BACK
from kb.errors import LibraryError

TIMES = 5  # PostgreSQL finds a deadlock after a second; a command answers within 15 s
PAUSE_S = 0.05  # the shortest pause before the second time; it doubles with each time

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def repeated(transaction: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Decorate a function that is one transaction: it is executed again if the server ended it.

    Its effects must be those of this transaction alone, and its arguments must be as good the
    second time (no iterators). Raises the LibraryError of the last time.
    """

    @wraps(transaction)
    def execute(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for number in range(1, TIMES):
            try:
                return transaction(*args, **kwargs)
            except LibraryError as error:
                if error.code != ROLLED_BACK:
                    raise
            time.sleep(random.uniform(1, 2) * PAUSE_S * 2 ** (number - 1))
        return transaction(*args, **kwargs)

    return execute
