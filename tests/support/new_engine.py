"""The code of a minimal new engine: `spec.py` and `engine.py` of its folder.

The spec has the placeholder `PACKAGE` for its package; it returns "echo" for every window.
"""

from __future__ import annotations

SPEC = """
from dataclasses import dataclass

from kb.asr.engines.spec import EngineSpec, KnownModel, read_json_object


@dataclass(frozen=True, slots=True)
class EchoShape:
    parameters: int

    def weights_bytes(self, number_bytes=2):
        return self.parameters * number_bytes

    def window_bytes(self, number_bytes=2):
        return 1000 * number_bytes


def shape_from_folder(folder):
    config = read_json_object(folder / "config.json")
    return EchoShape(config["size"]) if config.get("model_type") == "echo" else None


def load(model, manager):
    from echo_engine.engine import EchoEngine

    return EchoEngine(model, manager)


SPEC = EngineSpec(
    load=load,
    package="PACKAGE",
    install_hint="pip install echo",
    shape_from_folder=shape_from_folder,
    models=(KnownModel("echo-large", "nowhere/echo-large", EchoShape(500_000), 4, 3),),
    memory_outside_torch=True,
)
"""

ENGINE = """
from kb.asr.engines.base import GREEDY, DecodingResult, EncodedBatch
from kb.asr.engines.model_lookup import resolve
from kb.types import Segment, Word


class EchoEngine:
    name = "echo"
    decoding_methods = frozenset()
    receptive_field_s = 20.0
    load_s = align_s = 0.0

    def __init__(self, model, manager):
        resolve(model)
        self.model = model

    def supports_language(self, code):
        return code == "en"

    def encode(self, windows):
        return EncodedBatch(tuple(windows), ({"en": 0.0},) * len(windows), (0.0,) * len(windows))

    def decode(self, encoded, languages, options=GREEDY):
        return [self._result(window, code) for window, code in zip(encoded.windows, languages)]

    def _result(self, window, code):
        end_s = min(window.start_s + 0.4, window.end_s)
        word = Word(window.start_s, end_s, "echo", 0.9)
        segment = Segment(word.start_s, word.end_s, "echo", (word,), code)
        return DecodingResult((segment,), code, -0.1, 0.0, end_s)

    def stop(self):
        pass

    def close(self):
        pass
"""
