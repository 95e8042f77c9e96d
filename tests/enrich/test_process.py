"""The process of a step leaves the processor to the recognizer, from its start on."""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest

from kb.enrich.process import call_apart


def priority(_progress: Any = None) -> int:
    return int(psutil.Process().nice())


@pytest.mark.skipif(os.name == "nt", reason="Windows has classes in place of numbers")
def test_a_step_gets_less_than_the_recognizer() -> None:
    own = priority()
    assert call_apart("priority", priority) == max(10, own)
    assert priority() == own
