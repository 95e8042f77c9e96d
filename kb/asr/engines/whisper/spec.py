"""The engine `whisper` and the models of the Whisper family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kb.asr.engines.spec import EngineSpec, KnownModel, needs_itself
from kb.asr.engines.whisper.memory import WhisperShape, shape_from_folder

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

_VOCABULARY_V2, _VOCABULARY_V3, _VOCABULARY_EN = 51865, 51866, 51864  # number of tokens
_LANGUAGES = {_VOCABULARY_V2: 99, _VOCABULARY_V3: 100, _VOCABULARY_EN: 1}


def _whisper(
    name: str,
    layers: tuple[int, int],
    width: int,
    *,
    vocabulary: int = _VOCABULARY_V2,
    mels: int = 80,
    stored: int = 4,
    languages: int | None = None,
    owner: str = "openai/whisper-",
) -> KnownModel:
    shape = WhisperShape(layers[0], layers[1], width, width // 64, 4 * width, vocabulary, mels)
    count = _LANGUAGES[vocabulary] if languages is None else languages
    return KnownModel(name, f"{owner}{name}", shape, stored, count)


def _distil(
    name: str,
    layers: tuple[int, int],
    width: int,
    *,
    vocabulary: int = _VOCABULARY_V2,
    mels: int = 80,
    stored: int = 2,
) -> KnownModel:
    return _whisper(
        name, layers, width, vocabulary=vocabulary, mels=mels, stored=stored, languages=1,
        owner="distil-whisper/",
    )  # fmt: skip


MODELS: tuple[KnownModel, ...] = (
    _whisper("large-v3", (32, 32), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=2),
    _whisper("large-v3-turbo", (32, 4), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=2),
    _whisper("large-v2", (32, 32), 1280),
    _whisper("large", (32, 32), 1280),
    _whisper("medium", (24, 24), 1024),
    _whisper("medium.en", (24, 24), 1024, vocabulary=_VOCABULARY_EN),
    _whisper("small", (12, 12), 768),
    _whisper("small.en", (12, 12), 768, vocabulary=_VOCABULARY_EN),
    _whisper("base", (6, 6), 512),
    _whisper("base.en", (6, 6), 512, vocabulary=_VOCABULARY_EN),
    _whisper("tiny", (4, 4), 384),
    _whisper("tiny.en", (4, 4), 384, vocabulary=_VOCABULARY_EN),
    _distil("distil-large-v3.5", (32, 2), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=4),
    _distil("distil-large-v3", (32, 2), 1280, vocabulary=_VOCABULARY_V3, mels=128),
    _distil("distil-large-v2", (32, 2), 1280),
    _distil("distil-medium.en", (24, 2), 1024, vocabulary=_VOCABULARY_EN),
    _distil("distil-small.en", (12, 4), 768, vocabulary=_VOCABULARY_EN),
)

FAMILY = tuple(model.name for model in MODELS)


def _load(model: str, manager: GPUManager) -> Engine:
    from kb.asr.engines.whisper.engine import WhisperEngine

    return WhisperEngine.load(model, manager)


SPEC = EngineSpec(
    load=_load,
    needs=needs_itself,
    shape_from_folder=shape_from_folder,
    models=MODELS,
)
