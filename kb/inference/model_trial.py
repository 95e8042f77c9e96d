"""The trial of a model before its first window: a second of silence and bundled speech.

A model whose files fit together can still fail in its first window or write the marks of its own
vocabulary. The trial goes the way of every window, and passes once for a set of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio
from kb.asr.engines.base import Engine
from kb.asr.engines.model_lookup import has_passed, is_demo, mark_passed, resolve
from kb.asr.quality.unreadable_words import is_unreadable
from kb.asr.windows.windowing import Window
from kb.errors import KBError, ModelUnavailable
from kb.hub import cache
from kb.hub.refusals import remember
from kb.storage.bundled import BUNDLED
from kb.types.safe_text import printable, without_unsafe_advice

TRIAL = "trial-1"
SPEECH = BUNDLED / "samples" / "The harbour in winter.mp4"
SPEECH_S = 4.0


def try_model(engine: Engine, model: str, manager: GPUManager) -> None:
    """Raise ModelUnavailable for a model that cannot read a second of silence and of speech.

    Nothing is done for the bundled model, for one that has passed, and without the samples.
    """
    if is_demo(model) or has_passed(model, TRIAL) or not SPEECH.is_file():
        return
    windows = [Window(0, 0.0, np.zeros(SAMPLE_RATE, np.float32)), Window(1, 1.0, _speech())]
    try:
        encoded = engine.encode(windows)
        languages = [
            max(chances, key=chances.__getitem__, default="en") for chances in encoded.languages
        ]
        spoken = engine.decode(encoded, languages)[1].read()
    except Exception as error:
        if isinstance(error, KBError) or manager.out_of_memory(error) or manager.device_lost(error):
            raise
        raise _fails(model, error) from error
    text = " ".join(segment.text for segment in spoken.segments)
    if is_unreadable(text):
        raise ModelUnavailable(
            "model.cannot_speak",
            "Model {name} writes only {found} for a known recording.",
            hint="Its tokenizer is incomplete or of another model. Fetch it again: kb models pull "
            "{name} --again",
            name=model,
            found=printable(text)[:60],
        )
    mark_passed(model, TRIAL)


@contextmanager
def refusals_remembered() -> Iterator[None]:
    """Record the refusal of a hub model that is loaded inside, for the list of models."""
    try:
        yield
    except ModelUnavailable as error:
        with suppress(ModelUnavailable):
            ref = resolve(str(error.values.get("name", "")))
            if not ref.local:
                remember(cache.repository_folder(ref.target), error)
        raise


def _speech() -> Audio:
    from kb.media.decode import decode

    found: list[Audio] = []
    with decode(SPEECH) as stream:
        for block in stream:
            found.append(block)
            if sum(each.size for each in found) >= SPEECH_S * SAMPLE_RATE:
                break
    return np.concatenate(found)[: int(SPEECH_S * SAMPLE_RATE)]


def _fails(model: str, error: Exception) -> ModelUnavailable:
    first = (str(error).strip().splitlines() or [""])[0]
    return ModelUnavailable(
        "model.fails_itself",
        "Model {name} cannot read a second of a known recording: {cause}",
        hint="Its files do not fit together. Fetch it again: kb models pull {name} --again; or "
        "choose another model.",
        name=model,
        cause=f"{type(error).__name__}: {without_unsafe_advice(printable(first))[:160]}",
    )
