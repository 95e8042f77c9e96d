"""The last test of a run: nothing that the others left behind holds a key."""

from __future__ import annotations

import re

import pytest

# The form of a Google API key; the tests' own are put together at run time.
KEY = re.compile(rb"AIza[0-9A-Za-z_-]{30,}")
# Where a test plays the user and lays down keys for the program to read.
THEIR_PLACE = re.compile(r"key|\.env$", re.IGNORECASE)


def test_no_key_in_any_file_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    looked_at = 0
    for path in tmp_path_factory.getbasetemp().rglob("*"):
        if not path.is_file() or path.is_symlink() or THEIR_PLACE.search(path.name):
            continue
        try:
            content = path.read_bytes()
        except OSError:
            continue  # a socket or a file of a test that has just removed it
        looked_at += 1
        assert not KEY.search(content), path
    assert looked_at
