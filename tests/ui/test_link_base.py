"""The address with which links begin that a visitor takes along."""

from __future__ import annotations

import pytest

from kb.ui.session import base_of


@pytest.mark.parametrize(
    ("url", "public_url", "base"),
    [
        # No address was set: that of the visitor, whose port and name are the right ones.
        ("http://127.0.0.1:8502/", "http://127.0.0.1:8501", "http://127.0.0.1:8502"),
        ("http://desk.example:8501/?tab=Add", "http://localhost:8501", "http://desk.example:8501"),
        ("https://example.org/talks/", "http://127.0.0.1:8501", "https://example.org/talks"),
        # One was set, or the browser sent none.
        ("http://127.0.0.1:8502/", "https://talks.example.org", ""),
        ("", "http://127.0.0.1:8501", ""),
    ],
)
def test_the_address_of_the_visitor_counts_where_none_was_set(
    url: str, public_url: str, base: str
) -> None:
    assert base_of(url, public_url) == base
