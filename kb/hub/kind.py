"""The rules of a kind of model: which files it needs, and what speaks against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.hub.client import HubFile
from kb.hub.repository_code import refuse_code

Choose = Callable[[str, Sequence[HubFile]], list[HubFile]]


@dataclass(frozen=True, slots=True)
class ModelKind:
    """The rules of a kind of model, whose `name` is in the states of its fetches.

    `choose(name, listed)` returns the files that loading needs, or raises ModelUnavailable;
    `missing(folder)` returns the files that a folder lacks, or that are shorter than they say;
    `check_descriptions(name, folder)` raises ModelUnavailable for a folder of descriptions, without
    weights, that contradict each other or ask for code; `check`: the name under which that check is
    recorded together with those of the loaded model.
    """

    name: str
    choose: Choose
    missing: Callable[[Path], Sequence[str]]
    check_descriptions: Callable[[str, Path], None] = refuse_code
    check: str = ""
