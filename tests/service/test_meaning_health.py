"""What `kb doctor` says of a library of which two machines have different embedding models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kb.library import Library
from kb.service.health import check_meaning
from kb.settings import Settings
from kb.sinks.local.embedding import EMBEDDERS
from kb.sinks.local.embedding_choice import identity_of
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.vectors import TextVectors, text_key
from tests.support.sink_contract import make_item, make_passages

MODEL = "letters:one"


def publish(settings: Settings, item_id: str, model: str) -> None:
    item = make_item(item_id)
    row = np.zeros(4, np.float32)
    row[0] = 1.0
    vectors = TextVectors(identity_of(model), 4, {text_key("words"): row})
    LocalSink(settings).publish(item, make_passages(item, ["words"]), vectors=vectors)


def test_two_models_in_one_library_are_named_with_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The engine is named and never loaded: these vectors come from another machine.
    monkeypatch.setitem(EMBEDDERS, "letters", "no.module:Engine")
    settings = Settings(home=tmp_path, embedding_model=MODEL)
    Library(tmp_path).media_folder.mkdir(parents=True)
    publish(settings, "test:one", MODEL)
    (good,) = check_meaning(settings)
    assert (good.state, good.fix) == ("ok", "")
    publish(settings, "test:two", "letters:two")
    (mixed,) = check_meaning(settings)
    assert mixed.state == "warn" and "letters:two" in mixed.detail
    assert "KB_EMBEDDING_MODEL" in mixed.fix and "kb enrich --all --steps meaning" in mixed.fix
