"""The contents of the messages between the model's process and a reader.

Every message is a tuple (kind, number of the recording, value, figures of the repair budget). The
kinds to a reader: `begin` (a Request), `model` (ModelFacts), `reply` (to a call), `window` (a
ReadWindow), `converter`, `stop`. The kinds from it: `started`, `checked`, the calls `submit`
(a SentWindow, with its sound), `slot` and `other`, and `release`, `drop`, `progress`, `text`,
`done`, `failed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.asr.engines.base import DecodingOptions, PackedText
from kb.asr.quality.repair_budget import Figures
from kb.asr.windows.windowing import Window
from kb.errors import KBError
from kb.inference.transcription_options import TranscriptionOptions

Message = tuple[str, int, Any, Figures]


@dataclass(frozen=True, slots=True)
class Request:
    """A recording to read; see `kb.inference.session.InferenceSession.transcribe`."""

    path: Path
    options: TranscriptionOptions
    sha256: str
    shown_as: str
    wants_text: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The facts about the loaded model that the recognition of a recording needs.

    `languages`: those of the request that the model knows; `limited`: a slot is needed for
    preparing; `other`: name of the engine for second readings, if there is one.
    """

    name: str
    model: str
    receptive_field_s: float
    load_s: float
    decoding_methods: frozenset[str]
    languages: frozenset[str]
    limited: bool
    other: str
    cpu_reason: str
    device: str

    def supports_language(self, code: str) -> bool:
        return code in self.languages


@dataclass(frozen=True, slots=True)
class SentWindow:
    """A window for the queue of an engine; its sound goes beside the message.

    `vote`: number of the recording's vote about languages, -1 if the window is decoded in
    `language`, which is otherwise the requested one or empty; `allowed`: those of the vote.
    `other`: for the other engine.
    """

    number: int
    window: Window
    vote: int
    language: str
    allowed: frozenset[str]
    options: DecodingOptions
    urgent: bool
    other: bool


@dataclass(frozen=True, slots=True)
class ReadWindow:
    """A window's text, or the error instead of it.

    `converter`: number of what makes words of the tokens, 0 for none; `languages` and `chosen`: for
    the vote.
    """

    number: int
    text: PackedText | None = None
    converter: int = 0
    asr_s: float = 0.0
    align_s: float = 0.0
    languages: Mapping[str, float] | None = None
    chosen: str = ""
    error: KBError | None = None
