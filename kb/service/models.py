"""The available recognizers, and the download of their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kb.inference.session import InferenceSession

if TYPE_CHECKING:
    from kb.asr.engines.model_lookup import ModelRef
    from kb.inference.downloads import ModelFacts


@dataclass
class Models:
    """The models that this machine can run."""

    session: InferenceSession

    def list(self) -> Sequence[ModelFacts]:
        """Return the available recognizers, their requirements, and which are on disk."""
        from kb.inference.downloads import list_models

        number_bytes = 4 if self.session.device.dtype == "float32" else 2
        return list_models(self.session.model_name(), number_bytes)

    def engines(self) -> tuple[str, ...]:
        """Return the names of the available engines."""
        from kb.asr.engines import ENGINES

        return tuple(ENGINES)

    def pull(self, name: str) -> ModelRef:
        """Download a model's files. Raises ModelUnavailable."""
        from kb.inference.downloads import pull

        return pull(name)
