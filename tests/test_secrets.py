"""The last tests of a run: nothing that the others said or left behind holds a secret."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest

from kb.errors import KBError
from tests.fakes.odin import KEY, SECRET
from tests.support.keys import fake_key
from tests.support.secret_watch import SECRET as ANY_SECRET
from tests.support.secret_watch import SecretWatch, watch

# Where a test plays the user and lays down keys for the program to read.
THEIR_PLACE = re.compile(r"YT_API_keys\.txt|(my-)?keys\.txt|\.env")


def test_no_secret_in_any_file_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    looked_at = 0
    for path in tmp_path_factory.getbasetemp().rglob("*"):
        if not path.is_file() or path.is_symlink() or THEIR_PLACE.fullmatch(path.name):
            continue
        try:
            content = path.read_bytes()
        except OSError:
            continue  # a socket or a file of a test that has just removed it
        looked_at += 1
        assert not ANY_SECRET.search(content), path
    assert looked_at


def test_no_secret_in_anything_said(request: pytest.FixtureRequest) -> None:
    assert watch.seen == []
    if request.session.testscollected > 300:  # a whole run, or what `make quick` leaves of it
        assert all(watch.scanned[kind] for kind in ("error", "traceback", "log", "output"))


@pytest.mark.parametrize(
    "secret", [fake_key("z"), KEY, SECRET, "wrong-PROBE"], ids=["google", "key", "secret", "wrong"]
)
def test_a_secret_would_be_seen(secret: str) -> None:
    for said in (f"key={secret}&alt=json", f'"{secret}"\n'.encode(), f"1{secret}"):
        fresh = SecretWatch()
        fresh.scan("anything", said)
        (where,) = fresh.seen
        assert "test_a_secret_would_be_seen" in where
        assert secret not in where


def test_everything_said_is_looked_at(capfd: pytest.CaptureFixture[str]) -> None:
    before = watch.scanned.copy()
    with pytest.raises(KBError):
        raise KBError("An error.", hint="A hint.")
    logging.getLogger("anybody").warning("A record.")
    subprocess.run([sys.executable, "-c", "print('Output.')"], capture_output=True, check=True)
    print("More output.")
    capfd.readouterr()
    after = watch.scanned - before
    assert after["error"] == after["traceback"] == after["log"] == 1
    assert after["output"] == 2
