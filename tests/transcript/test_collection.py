"""The search for cycles of garbage is off while a document is made, and on again afterwards."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from kb.errors import KBError
from kb.transcript import render_document
from kb.types import Segment
from tests.support.random_transcripts import random_transcript


@pytest.mark.parametrize("on", [True, False])
def test_the_search_is_as_it_was_before(on: bool) -> None:
    found = random_transcript(1)
    broken = replace(found, segments=(Segment(float("nan"), 2.0, "x", ()),))
    was_on = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        render_document(found, "srt")
        assert gc.isenabled() == on
        with pytest.raises(KBError):
            render_document(broken, "srt")
        assert gc.isenabled() == on
    finally:
        (gc.enable if was_on else gc.disable)()
