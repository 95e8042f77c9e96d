"""The engine `qwen3-asr` and its known models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kb.asr.engines.qwen3.memory import QwenShape, shape_from_folder
from kb.asr.engines.spec import EngineSpec, KnownModel
from kb.settings import get_settings

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

_LANGUAGES = 30

MODELS = (
    KnownModel(
        "qwen3-asr-1.7b",
        "Qwen/Qwen3-ASR-1.7B-hf",
        QwenShape(2_038_052_480, vocabulary=151_936),
        stored_bytes=2,
        languages=_LANGUAGES,
    ),
    KnownModel(
        "qwen3-asr-0.6b",
        "Qwen/Qwen3-ASR-0.6B-hf",
        QwenShape(782_426_112, vocabulary=151_936),
        stored_bytes=2,
        languages=_LANGUAGES,
    ),
)


def _load(model: str, manager: GPUManager) -> Engine:
    from kb.asr.engines.qwen3.engine import Qwen3AsrEngine

    return Qwen3AsrEngine.load(model, manager)


def _needs(model: str) -> tuple[str, ...]:
    return (model, get_settings().qwen_aligner)


SPEC = EngineSpec(
    load=_load,
    needs=_needs,
    package="transformers.models.qwen3_asr",
    install_hint="pip install 'transformers>=5.20,<6'",
    shape_from_folder=shape_from_folder,
    models=MODELS,
)
