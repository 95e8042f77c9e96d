"""The memory of a window: the estimate compared to the bytes in use."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from kb.asr.engines.model_lookup import DEMO_FOLDER, shape_of
from kb.asr.engines.whisper.decoder import Decoder
from kb.asr.engines.whisper.greedy_search import GreedyDecoder
from kb.asr.engines.whisper.memory import (
    POSITIONS,
    TIMING_HEADS,
    WhisperShape,
    shape_from_config,
    shape_from_folder,
)
from kb.asr.engines.whisper.timestamp_rules import TimestampRules

ROWS = 4


class Held(TorchDispatchMode):
    """A count of the bytes that torch allocated in the context and that are still in use."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor):
                self._take(each.untyped_storage())
        return found

    def _take(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._known:
            return

        def gone(_: object) -> None:
            del self._known[place]
            self.now -= size

        self._known[place] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


def whisper() -> tuple[WhisperConfig, Any]:
    """Return a small random model whose caches need most of its memory."""
    torch.manual_seed(3)
    config = WhisperConfig.from_pretrained(
        DEMO_FOLDER, decoder_layers=12, d_model=64, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=64, decoder_ffn_dim=64, encoder_layers=1,
        max_target_positions=448,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig.from_pretrained(DEMO_FOLDER)
    model.generation_config.alignment_heads = [[11, 0]]
    return config, model


@pytest.mark.slow
def test_a_batch_holds_what_the_arithmetic_says() -> None:
    """The texts have the maximum length, except one window that is finished early."""
    config, model = whisper()
    rules = TimestampRules(model.generation_config, 854, config.vocab_size, "cpu")
    loop = GreedyDecoder(Decoder(model), rules, start_token=855)
    words = [20 + n % 50 for n in range(loop.max_new_tokens(3) - 1)]
    with torch.inference_mode():
        states = torch.randn(ROWS, POSITIONS, 64)
        with Held() as held:
            state = loop.start(states)
            written = loop.decode(state, [[855, 856, 957]] * ROWS, fixed=[words[:2], *[words] * 3])
    assert [len(row) for row in written.rows] == [2, *[len(words)] * 3]
    shape = shape_from_config(config.to_dict())
    assert shape is not None and shape.timing_heads == TIMING_HEADS
    reckoned = ROWS * replace(shape, timing_heads=1).window_bytes(4)
    # The temporary memory of a step is small compared to the permanent memory.
    assert 0.5 * reckoned < held.most < 1.03 * reckoned


def test_heads_that_time_words_are_read_beside_the_shape(tmp_path: Path) -> None:
    demo = shape_of("demo")
    named = json.loads((DEMO_FOLDER / "generation_config.json").read_text())["alignment_heads"]
    assert isinstance(demo, WhisperShape) and demo.timing_heads == len(named)
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    unnamed = shape_from_folder(tmp_path)
    assert unnamed is not None
    layers = config["decoder_layers"]
    assert unnamed.timing_heads == (layers - layers // 2) * config["decoder_attention_heads"]
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(WhisperConfig(**config))
    assert unnamed.timing_heads == Decoder(model).alignment_head_count
