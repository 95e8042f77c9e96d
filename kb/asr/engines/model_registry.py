"""The models that are known by name: where they are, their shape, what they can hear.

Names that are not here work too (`org/name`, a folder): their shape is read from their own
`config.json`. A new model is one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kb.asr.engines.parakeet.memory import ParakeetShape
from kb.asr.engines.qwen3.memory import QwenShape
from kb.asr.engines.whisper.memory import ModelShape

ENGLISH = 1
WHISPER_LANGUAGES, WHISPER_V3_LANGUAGES = 99, 100
QWEN_LANGUAGES = 30

_VOCABULARY_V2, _VOCABULARY_V3, _ENGLISH_ONLY = 51865, 51866, 51864  # vocabularies


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model on the hub. `shape` is None where it is not known; then `parameters` is given.

    `stored_bytes`: bytes a number takes in its files; `languages`: how many it understands.
    """

    name: str
    repository: str
    shape: ModelShape | ParakeetShape | QwenShape | None
    stored_bytes: int
    languages: int
    engine: str = "whisper"
    given_parameters: int = 0

    @property
    def parameters(self) -> int:
        """Numbers in its weights."""
        return self.shape.parameters if self.shape else self.given_parameters

    @property
    def download_bytes(self) -> int:
        """What fetching it takes, about."""
        return self.parameters * self.stored_bytes


def _whisper(
    name: str,
    layers: tuple[int, int],
    width: int,
    *,
    vocabulary: int = _VOCABULARY_V2,
    mels: int = 80,
    stored: int = 4,
    owner: str = "openai/whisper-",
) -> KnownModel:
    shape = ModelShape(layers[0], layers[1], width, width // 64, 4 * width, vocabulary, mels)
    languages = {
        _VOCABULARY_V2: WHISPER_LANGUAGES,
        _VOCABULARY_V3: WHISPER_V3_LANGUAGES,
        _ENGLISH_ONLY: ENGLISH,
    }
    language_count = ENGLISH if name.startswith("distil") else languages[vocabulary]
    return KnownModel(name, f"{owner}{name}", shape, stored, language_count)


def _distil(name: str, layers: tuple[int, int], width: int, **more: int) -> KnownModel:
    return _whisper(name, layers, width, owner="distil-whisper/", **more)  # type: ignore[arg-type]


# Largest first: the order of `kb models`.
MODELS: tuple[KnownModel, ...] = (
    _whisper("large-v3", (32, 32), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=2),
    _whisper("large-v3-turbo", (32, 4), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=2),
    _whisper("large-v2", (32, 32), 1280),
    _whisper("large", (32, 32), 1280),
    _whisper("medium", (24, 24), 1024),
    _whisper("medium.en", (24, 24), 1024, vocabulary=_ENGLISH_ONLY),
    _whisper("small", (12, 12), 768),
    _whisper("small.en", (12, 12), 768, vocabulary=_ENGLISH_ONLY),
    _whisper("base", (6, 6), 512),
    _whisper("base.en", (6, 6), 512, vocabulary=_ENGLISH_ONLY),
    _whisper("tiny", (4, 4), 384),
    _whisper("tiny.en", (4, 4), 384, vocabulary=_ENGLISH_ONLY),
    _distil("distil-large-v3.5", (32, 2), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=4),
    _distil("distil-large-v3", (32, 2), 1280, vocabulary=_VOCABULARY_V3, mels=128, stored=2),
    _distil("distil-large-v2", (32, 2), 1280, stored=2),
    _distil("distil-medium.en", (24, 2), 1024, vocabulary=_ENGLISH_ONLY, stored=2),
    _distil("distil-small.en", (12, 4), 768, vocabulary=_ENGLISH_ONLY, stored=2),
    KnownModel(
        "parakeet-tdt-0.6b-v3", "nvidia/parakeet-tdt-0.6b-v3",
        ParakeetShape(627_008_134, channels=256, mels=128), 4, 25, engine="parakeet",
    ),
    KnownModel(
        "qwen3-asr-1.7b", "Qwen/Qwen3-ASR-1.7B-hf",
        QwenShape(2_038_052_480, vocabulary=151_936), 2, QWEN_LANGUAGES, engine="qwen3-asr",
    ),
    KnownModel(
        "qwen3-asr-0.6b", "Qwen/Qwen3-ASR-0.6B-hf",
        QwenShape(782_426_112, vocabulary=151_936), 2, QWEN_LANGUAGES, engine="qwen3-asr",
    ),
)  # fmt: skip


def find(name: str, models: Sequence[KnownModel] = MODELS) -> KnownModel | None:
    """The model with this name or repository."""
    return next((model for model in models if name in (model.name, model.repository)), None)
