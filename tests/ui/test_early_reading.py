"""The library is read as soon as a browser asks for the page that lists it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.library import Library
from kb.library.cache import library_cache
from kb.settings import PROJECT_ROOT, get_settings
from kb.ui.web import early_reading
from kb.ui.web.drawing import drawing, is_drawing
from tests.support.library_files import make_item
from tests.support.waiting import until
from tests.ui.test_page_server import PASSWORD, client, home, locked

__all__ = ["home"]  # a fixture


@pytest.fixture(autouse=True)
def no_reading() -> Iterator[None]:
    """No test begins or ends while the library is read."""
    until(lambda: not reading())
    yield
    until(lambda: not reading())


def reading() -> bool:
    return any(each.name == early_reading.THREAD for each in threading.enumerate())


@pytest.mark.parametrize(
    ("base", "address", "is_read"),
    [
        ("", "/", True),
        ("", "/?tab=Library", True),
        ("", "/?tab=library&q=harbour", True),
        ("", "/?lang=de&tab=Bibliothek", True),
        ("", "/?tab=", True),
        ("", "/?tab=Add", False),
        ("", "/?tab=Activity", False),
        ("", "/static/x.js?tab=Library", False),
        ("", "/_stcore/health", False),
        ("kb", "/kb/", True),
        ("kb", "/kb?tab=Library", True),
        ("kb", "/kb/?tab=Add", False),
        ("kb", "/", False),
    ],
)
def test_which_requests_read_the_library(
    home: Path, base: str, address: str, is_read: bool
) -> None:
    library = Library(home)
    library.write_metadata(make_item())
    cache = library_cache(library.media_folder)
    with client(base=base) as browser:
        browser.get(address)
        if is_read:
            until(lambda: cache.known_files)
        else:
            assert not reading()
            assert not cache.known_files


def test_nothing_is_read_before_the_sign_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked(monkeypatch)
    Library(home).write_metadata(make_item())
    cache = library_cache(home / "media")
    with client("0.0.0.0") as browser:
        assert browser.get("/?tab=Library").status_code != 200
        assert not reading()
        assert not cache.known_files
        assert browser.post("/kb-login", data={"password": PASSWORD}).status_code < 400
        browser.get("/?tab=Library")
        until(lambda: cache.known_files)


def test_a_folder_that_cannot_be_read_stops_no_page(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "media").write_text("a file in the way")
    with client() as browser:
        assert browser.get("/").status_code == 200
        until(lambda: not reading())
        assert browser.get("/?tab=Library").status_code == 200


def test_what_is_read_ahead_is_not_read_again(home: Path) -> None:
    library = Library(home)
    for number in range(20):
        library.write_metadata(replace(make_item(), id=f"youtube:{number:011}"))
    cache, looks = library_cache(library.media_folder), iter(range(100))
    cache.read_ahead(lambda: next(looks) < 5)
    assert cache.known_files == 5
    with cache._lock:  # a page reads the list
        early_reading.read(get_settings())
    assert cache.known_files == 5
    with drawing():
        assert is_drawing()
        early_reading.read(get_settings())
    assert cache.known_files == 20 and not is_drawing()
    # What was read ahead is read again only if it has changed since.
    changed = library.entries()[0]
    library.write_metadata(changed.item, {"user": {"title": "Another title"}})
    listing = cache.listing()
    assert len(listing.entries) == 20
    assert {each.item.title for each in listing.entries} == {"A talk", "Another title"}
    early_reading.read(get_settings())
    assert cache.listing() is listing or cache.listing().entries == listing.entries


_PAGE = """
import sys
from streamlit.testing.v1 import AppTest
from kb.ui.web import server
server._guard_installed = True
app = AppTest.from_file("streamlit_app.py", default_timeout=240)
app.query_params["tab"] = "Library"
app.run()
assert not app.exception, app.exception
assert [each.value for each in app.text_input if each.key == "q"] == [""]
print(*(name for name in {heavy} if name in sys.modules))
"""


@pytest.mark.slow
def test_the_page_of_the_library_loads_no_index_and_no_decoder(home: Path) -> None:
    """A start waits for what it loads: the index alone takes a second."""
    Library(home).write_metadata(make_item())
    heavy = ("lancedb", "av", "requests", "rapidfuzz", "torch", "kb.service.search")
    done = subprocess.run(
        [sys.executable, "-c", _PAGE.format(heavy=heavy)], cwd=PROJECT_ROOT, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []
