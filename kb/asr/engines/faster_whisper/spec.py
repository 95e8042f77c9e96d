"""The engine `faster-whisper`; it uses the models of the engine `whisper`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kb.asr.engines.spec import EngineSpec, needs_itself

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine


def _load(model: str, manager: GPUManager) -> Engine:
    from kb.asr.engines.faster_whisper.engine import FasterWhisperEngine

    return FasterWhisperEngine.load(model, manager)


SPEC = EngineSpec(
    load=_load,
    needs=needs_itself,
    package="ctranslate2",
    install_hint="pip install 'faster-whisper==1.2.*'",
    memory_outside_torch=True,
)
