"""The engine `parakeet` and its known models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kb.asr.engines.parakeet.memory import ParakeetShape, shape_from_folder
from kb.asr.engines.spec import EngineSpec, KnownModel, needs_itself

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

MODELS = (
    KnownModel(
        "parakeet-tdt-0.6b-v3",
        "nvidia/parakeet-tdt-0.6b-v3",
        ParakeetShape(627_008_134, channels=256, mels=128),
        stored_bytes=4,
        languages=25,
    ),
)


def _load(model: str, manager: GPUManager) -> Engine:
    from kb.asr.engines.parakeet.engine import ParakeetEngine

    return ParakeetEngine.load(model, manager)


SPEC = EngineSpec(
    load=_load,
    needs=needs_itself,
    package="transformers.models.parakeet",
    install_hint="pip install 'transformers>=5.20,<6'",
    shape_from_folder=shape_from_folder,
    models=MODELS,
)
