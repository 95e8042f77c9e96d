"""Lists to read: a row with more text than it has room for opens it below the list."""

from __future__ import annotations

import zlib

from streamlit.testing.v1 import AppTest

from tests.support.library_pages import page_text, rows_of, run_page


def drawn() -> None:
    import streamlit as st

    from kb.ui.widgets.read_list import read_list
    from kb.ui.widgets.rows import Column

    read_list(
        "found",
        [Column("name", "Name"), Column("state", "State")],
        [{"name": "a*b*.mp4", "state": "Fault"}, {"name": "c.mp4", "state": "Note"}],
        label="Findings",
        texts=[st.session_state.get("words", "It differs.\nPut it back."), ""],
    )


def test_a_row_opens_its_text_and_closes_it() -> None:
    app = run_page(AppTest.from_function(drawn))
    assert [(row["name"], row["state"]) for row in rows_of(app)] == [
        ("a*b*.mp4", "Fault"), ("c.mp4", "Note")
    ]  # fmt: skip
    assert "It differs." not in page_text(app)
    app.session_state["read_found"] = (0, zlib.crc32(b"a*b*.mp4\nIt differs.\nPut it back."))
    assert "It differs.  \nPut it back." in page_text(run_page(app))
    assert "**a*b*.mp4**" in page_text(app)
    # Another text there is another row's: it stays closed, also when the first one is back.
    for words in ("It is gone.", "It differs.\nPut it back."):
        app.session_state["words"] = words
        assert not run_page(app).info
    app.session_state["read_found"] = (1, 0)  # it has no further text
    assert not run_page(app).info
