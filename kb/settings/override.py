"""Settings that hold for a block of code instead of those of the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kb.settings.settings import get_settings


@contextmanager
def settings_override(given: Mapping[str, str]) -> Iterator[None]:
    """Let these variables hold instead of the environment's, within the block.

    They are set in the environment of the process, so that a worker started here has them too. Not
    for blocks that run at the same time in several threads.
    """
    if not given:
        yield
        return
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    get_settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        get_settings.cache_clear()
