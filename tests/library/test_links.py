"""Links to the dashboard: their address, also that of links which were stored before."""

from __future__ import annotations

import pytest

from kb.library.links import dashboard_link, links_to, present_link
from kb.settings import get_settings

STORED = "http://127.0.0.1:8501/?tab=Library&item=file%3Aab&t=7"


def test_links_of_a_block_begin_with_the_address_that_it_names() -> None:
    usual = dashboard_link("file:ab", 7)
    assert usual == STORED
    with links_to("https://talks.example.org/kb/"):
        assert dashboard_link("file:ab", 7) == STORED.replace(
            "http://127.0.0.1:8501", "https://talks.example.org/kb"
        )
        with links_to(""):
            assert dashboard_link("file:ab", 7) == usual
    assert dashboard_link("file:ab", 7) == usual


def test_a_stored_link_of_this_machine_follows_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KB_PUBLIC_URL", "https://talks.example.org")
    get_settings.cache_clear()
    assert present_link(STORED) == "https://talks.example.org/?tab=Library&item=file%3Aab&t=7"
    with links_to("http://desk.example:8502"):
        assert present_link(STORED).startswith("http://desk.example:8502/?tab=Library&item=")


@pytest.mark.parametrize(
    "link",
    [
        "https://youtu.be/abc?t=7",
        "https://talks.example.org/?tab=Library&item=file%3Aab&t=7",  # another library's
        "http://127.0.0.1:9000/talk?t=7",
        "",
    ],
)
def test_other_links_are_not_changed(link: str) -> None:
    assert present_link(link) == link
