"""The rights of files that a face's process writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kb.settings import Settings
from kb.storage import permissions


@contextmanager
def private_files(settings: Settings) -> Iterator[None]:
    """Make the files of this process private within the block (`KB_GROUP_ACCESS`)."""
    with permissions.private_files(settings.home, group=settings.group_access):
        yield
