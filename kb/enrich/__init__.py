"""Steps that follow an item's words: who speaks, what is on the screen, what it means.

A new step is one file with a subclass of `Step` (`kb/enrich/base.py`) and one line in `STEPS`. Its
result is one document, `extras/<stem>/<name>.json`; its parts are imported when it runs, in a
process of its own. An item is done before its steps begin, and no step makes it fail.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from kb.enrich.base import Step, StepInput
from kb.errors import UsageError

# Name of a step -> "module:class". A module is imported on its first use.
STEPS: dict[str, str] = {
    "sound": "kb.enrich.sound.step:Sound",
    "recurring": "kb.enrich.recurring.step:Recurring",
    "speakers": "kb.enrich.speakers.step:Speakers",
    "screen": "kb.enrich.screen.step:Screen",
    "meaning": "kb.enrich.meaning:Meaning",
    "summary": "kb.enrich.summary:Summary",
    "chapters": "kb.enrich.chapters:Chapters",
    "highlights": "kb.enrich.highlights:Highlights",
    "terms": "kb.enrich.terms:Terms",
    "questions": "kb.enrich.questions:Questions",
    "translate": "kb.enrich.translation.step:Translate",
}


@cache
def get_step(name: str) -> Step:
    """Return a step. Raises UsageError, naming the known ones."""
    if name not in STEPS:
        raise UsageError(
            "steps.unknown",
            "There is no step {name!r}.",
            hint="Known: {known}; or auto (those whose parts are here), or none.",
            name=name,
            known=", ".join(STEPS),
        )
    module, _, attribute = STEPS[name].partition(":")
    step = getattr(import_module(module), attribute)()
    assert isinstance(step, Step)
    return step


__all__ = ["STEPS", "Step", "StepInput", "get_step"]
