"""The language model for the faces: where texts go, what that costs, and what was noted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.errors import KBError, UsageError
from kb.jobs.queue.client import JobQueue
from kb.library import Library
from kb.library.metadata import LibraryEntry
from kb.pipeline import enrichment, language_model
from kb.pipeline.language_model import TRANSLATE
from kb.pipeline.language_model import Estimate as Estimate
from kb.pipeline.language_model import LanguageModelFacts as LanguageModelFacts
from kb.pipeline.vocabulary import LONGEST, Vocabulary
from kb.service.health_check import State
from kb.service.items import Items
from kb.settings import Settings
from kb.types.notes import Notes

NO_ADDRESS = "llm.no_address"  # code of the error of a model that is not configured


@dataclass
class LanguageModels:
    """The configured language model and the notes that it made."""

    library: Library
    queue: JobQueue
    items: Items
    vocabulary: Vocabulary

    def facts(self) -> LanguageModelFacts:
        """Return the configured service. Raises ModelUnavailable without one, SettingsError."""
        return language_model.facts(self.items.settings)

    @property
    def lacking(self) -> KBError | None:
        """The error of what is missing for a question to a language model, None if nothing is."""
        return language_model.missing(self.items.settings)

    def estimate(
        self, ids: Sequence[str], names: Sequence[str], *, languages: Sequence[str] = ()
    ) -> Estimate | None:
        """Return upper bounds of tokens and price for steps of items; None if none asks a model.

        `languages` are those of a translation by the model, by default those of the settings.
        Raises as `facts` does.
        """
        known = language_model.text_steps(self.items.settings)
        asked = [name for name in names if name in known or (languages and name == TRANSLATE)]
        if not asked or not ids:
            return None
        entries = [self.items.entry(item_id) for item_id in ids]
        if TRANSLATE in asked and not languages:
            languages = language_model.language_codes(self.items.settings.translate_into)
        count = max(1, len(languages))
        return language_model.estimate(self.items.settings, entries, asked, languages=count)

    def notes(self, entry: LibraryEntry) -> Notes:
        """Return what was noted about an item. Raises LibraryError for damaged results."""
        transcript = self.items.transcript(entry.item.id)
        return enrichment.notes(self.library, entry, transcript)

    def add_terms(self, item_id: str) -> tuple[str, ...]:
        """Add the names that were found in an item to its channel's vocabulary; return the new.

        Raises UsageError for an item without a channel or without names.
        """
        entry = self.items.entry(item_id)
        found = [
            term.text
            for term in self.notes(entry).terms
            if term.kind != "term" and len(term.text) <= LONGEST
        ]
        if not entry.item.channel:
            raise UsageError(
                "notes.no_channel",
                "{item_id} has no channel whose vocabulary could take the names.",
                hint="Channels come with media of the web and with tags of files.",
                item_id=entry.item.id,
            )
        if not found:
            raise UsageError(
                "notes.no_names",
                "There are no names to add for {item_id}.",
                hint="Find them with: kb enrich {item_id} --steps terms",
                item_id=entry.item.id,
            )
        known = {word.casefold() for word in self.vocabulary.words(entry.item.channel)}
        new = tuple(word for word in found if word.casefold() not in known)
        if new:
            self.vocabulary.change(entry.item.channel, new)
        return new


def check_language_model(settings: Settings) -> Iterator[tuple[State, KBError]]:
    """Yield the state of the configured language model with its finding or error."""
    if not settings.llm_url:
        absent = KBError(
            "check.llm_absent", "None is configured (KB_LLM_URL): no text leaves this machine."
        )
        yield "ok", absent
        return
    try:
        found = language_model.facts(settings)
    except KBError as error:
        yield "fail", error
        return
    if found.is_local:
        where = KBError("clause.this_machine", "which is this machine")
    else:
        where = KBError("clause.elsewhere", "elsewhere")
    key = "" if found.has_key else KBError("clause.without_key", ", without a key")
    facts = KBError(
        "clause.llm",
        "{model} at {place}, {where}: it gets transcripts of items whose steps ask for it{key}; "
        "{price}",
        model=found.model,
        place=found.place,
        where=where,
        key=key,
        price=_price(found),
    )
    if found.is_plain:
        plain = KBError(
            "check.llm_plain",
            "{facts}; nothing is encrypted on the way",
            hint="Take an address with https.",
            facts=facts,
        )
        yield "warn", plain
    else:
        yield "ok", KBError("check.llm", "{facts}", facts=facts)


def _price(found: LanguageModelFacts) -> KBError:
    if found.input_price is None or found.output_price is None:
        return KBError("clause.no_price", "its price is not in the table")
    if not found.input_price and not found.output_price:
        return KBError("clause.free", "free of charge")
    return KBError(
        "clause.price",
        "{sent:g} USD for a million tokens sent and {received:g} USD for a million received (table "
        "of {day})",
        sent=found.input_price,
        received=found.output_price,
        day=found.priced_at,
    )
