"""The base of the steps that read a transcript with a language model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from kb.enrich.base import ItemText, Progress, Step, StepInput
from kb.enrich.llm.endpoint import find_endpoint, missing
from kb.enrich.llm.prompts import read_prompt
from kb.errors import KBError
from kb.settings import get_settings
from kb.transcript.notes import read_notes
from kb.types import Transcript


class TextStep(Step):
    """A step over the words of an item; it is off until it is named, because it sends them away."""

    is_default = False
    needs_medium = False
    needs_text = True
    sends_text = True
    options = ("again", "run")
    prompts: tuple[str, ...] = ("window",)

    @property
    def model(self) -> str:
        settings = get_settings()
        return settings.llm_model or "none"

    def missing(self) -> KBError | None:
        return missing(get_settings())

    def basis(self, given: StepInput) -> dict[str, Any]:
        """Return what a result is made from: the words, the service, the model and the prompts."""
        from kb.enrich.llm.reading import text_digest

        assert given.text is not None
        settings = given.text.settings
        return {
            "sha256": given.sha256,
            "track": given.track,
            "words": text_digest(given.text.transcript),
            "model": settings.llm_model,
            "service": settings.llm_url.rstrip("/"),
            "doubtful": settings.llm_doubtful,
            "prompts": {name: read_prompt(name, settings).digest[:16] for name in self.prompts},
        }

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        """Return the result: what `make` returns, with the figures of its questions."""
        from kb.database import Database
        from kb.enrich.llm.client import LanguageModel, Scope
        from kb.enrich.llm.reading import Reader, Reading

        text = given.text
        assert text is not None
        if (kept := self.without_questions(text)) is not None:
            return kept
        endpoint = find_endpoint(text.settings)
        database = Database.open(text.settings, create=False)
        try:
            model = LanguageModel.open(text.settings, database)
            model.ledger.prune(text.settings.llm_cache_mb * 2**20, text.settings.llm_cache_days)
            run = str(given.options.get("run") or "")
            scope = Scope(text.item.id, run, fresh=bool(given.options.get("again")))
            found = Reading()
            if any(segment.text.strip() for segment in text.transcript.segments):
                found = Reader(model, text, scope).read(progress)
            made = self.make(found, text, model, scope)
        finally:
            database.close()
        tally = model.tally
        return {
            **made,
            "answered_by": endpoint.model,
            "place": endpoint.place,
            "language": text.transcript.language,
            "parts": found.parts,
            "parts_unread": found.parts_unread,
            "dropped": dict(found.dropped),
            "usage": {
                "calls": tally.calls, "kept": tally.kept, "unknown": tally.unknown,
                "tokens_in": tally.tokens_in, "tokens_out": tally.tokens_out,
                "price": None if tally.price is None else round(tally.price, 6),
            },
        }  # fmt: skip

    def without_questions(self, text: ItemText) -> dict[str, Any] | None:
        """Return the result if no model is needed for it."""
        return None

    @abstractmethod
    def make(self, found: Any, text: ItemText, model: Any, scope: Any) -> dict[str, Any]:
        """Return the result from what was read and proven."""

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        """Return the transcript as it is: notes are not among its words."""
        read_notes({self.name: document})
        return transcript
