"""Steps after the words, over what is in the library: request them, and say what they need."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kb.errors import KBError, UsageError
from kb.jobs.documents import IN_DOCUMENTS
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import DONE, HELD
from kb.jobs.queue.machine_needs import steps_elsewhere
from kb.jobs.queue.step_states import UNFINISHED
from kb.jobs.queue.steps import StepKey
from kb.library import Library, LibraryEntry
from kb.pipeline import enrichment, fetched_picture, step_parts
from kb.pipeline.enrichment import StepState
from kb.pipeline.language_model import INTO, TRANSLATE, VIA, translation_options
from kb.pipeline.recurring import STEP as RECURRING
from kb.pipeline.recurring import stretches
from kb.pipeline.same_sound import SoundLink as SoundLink
from kb.pipeline.same_sound import SoundLinks as SoundLinks
from kb.pipeline.same_sound import links
from kb.pipeline.screen_text import screen_text
from kb.pipeline.step_parts import StepPart as StepPart
from kb.service.items import Items
from kb.service.published_changes import require_sure
from kb.types import Transcript
from kb.types.notes import Notes
from kb.types.recurring import RecurringStretch
from kb.types.screen import ScreenText


@dataclass(slots=True)
class EnrichReport:
    """The result of a request: (step, item id) by what became of them.

    `current` have their result already, `under_way` are being carried out; `lacking` are the errors
    of what this machine lacks for a step that no other at work has, by its name; the step is queued
    all the same, because another machine may have it later.
    """

    queued: list[StepKey] = field(default_factory=list)
    current: list[StepKey] = field(default_factory=list)
    under_way: list[StepKey] = field(default_factory=list)
    without_words: list[str] = field(default_factory=list)
    lacking: dict[str, KBError] = field(default_factory=dict)


@dataclass
class Enrichment:
    """The steps of one library."""

    library: Library
    queue: JobQueue
    items: Items

    def states(self) -> list[StepState]:
        """Return all steps, and what this machine lacks for them."""
        return enrichment.step_states()

    def may_cost_money(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these steps that ask a service which may cost money.

        Raises UsageError for an unknown step.
        """
        return enrichment.may_cost_money(enrichment.expand(names, enrichment.step_names()))

    def add(self, name: str) -> str:
        """Fetch the model of a step; return its path. Raises UsageError and ModelUnavailable."""
        return enrichment.add_parts(name)

    def parts(self) -> list[StepPart]:
        """Return the models that `add` fetches, and what of them is on this machine."""
        return step_parts.part_states()

    def remove_part(self, name: str) -> int:
        """Remove a fetched part of a step; return its bytes.

        Raises UsageError, ModelUnavailable and LibraryError.
        """
        return step_parts.remove_part(name)

    def sound_links(self, entry: LibraryEntry) -> SoundLinks:
        """Return the other items with sound of this one, and those whose words it has.

        None where the settings say that they are not shown.
        Raises LibraryError if fingerprint or index cannot be used.
        """
        if not self.items.settings.sound_links:
            return SoundLinks()
        return links(self.library, entry)

    def recurring(self, entry: LibraryEntry) -> tuple[RecurringStretch, ...]:
        """Return what of an item recurs in its channel. Raises LibraryError for a damaged one."""
        return stretches(self.library, entry)

    def screen_text(self, entry: LibraryEntry, transcript: Transcript) -> ScreenText | None:
        """Return what was read on the screen of an item, None if nothing was yet.

        Raises LibraryError for a damaged result.
        """
        return screen_text(self.library, entry, transcript)

    def notes(self, entry: LibraryEntry, transcript: Transcript) -> Notes:
        """Return what a language model noted about an item.

        Raises LibraryError for a damaged result.
        """
        return enrichment.notes(self.library, entry, transcript)

    def run(
        self,
        ids: Sequence[str] | None,
        names: Sequence[str] = (enrichment.AUTO,),
        *,
        again: bool = False,
        speakers: int | None = None,
        sample_rate: int | None = None,
        fetch_picture: bool | None = None,
        sure: bool = False,
        more: Mapping[str, Any] | None = None,
        before: Callable[[EnrichReport], None] = lambda report: None,
    ) -> EnrichReport:
        """Queue steps of finished items, of all of them without `ids`.

        `fetch_picture` fetches the picture of what is kept as sound; None takes the setting; `more`
        are the options of a translation, by default those of the settings; `before` is called with
        what is to be queued, before a worker can see any of it. What
        has its result already is left, unless `again`. Raises UsageError for an unknown id or step,
        if no step of `auto` can be carried out here, and unless `sure` if the results would change
        many published items. Such an item is marked as changed and sent by an act alone.
        """
        elsewhere = steps_elsewhere(self.queue.database)
        chosen = enrichment.expand(names, elsewhere)
        report, further = EnrichReport(), dict(more or {})
        if TRANSLATE in chosen:
            further = {**translation_options(self.items.settings, **further)}
        for name in chosen:
            problem = enrichment.lacking(name, further)
            if name not in elsewhere and problem is not None:
                report.lacking[name] = problem
        if not chosen:
            _refuse_empty(names)
        options = {**_options(again=again, speakers=speakers), **further}
        if sample_rate is not None:
            options["sample_rate"] = enrichment.checked_sample_rate(sample_rate)
        if fetch_picture is not None:
            options[fetched_picture.OPTION] = fetch_picture
        entries = self._entries(ids, report)
        under_way = {
            (row.step, row.item_id): row.options
            for rows in self.queue.steps.for_items([each.item.id for each in entries]).values()
            for row in rows
            if row.status in UNFINISHED
        }
        for entry in entries:
            for name in chosen:
                key = (name, entry.item.id)
                asked = {k: v for k, v in options.items() if k != enrichment.AGAIN}
                if not again and self._is_current(entry, name, asked):
                    report.current.append(key)
                elif key in under_way and (
                    not options or (not again and _asks_for(under_way[key], further, name))
                ):
                    report.under_way.append(key)
                else:
                    report.queued.append(key)
        if enrichment.sends_text(chosen):
            options[enrichment.RUN] = uuid.uuid4().hex
        in_documents = set(IN_DOCUMENTS)
        if not self.items.settings.leave_out_recurring:
            in_documents.discard(RECURRING)
        if not self.items.settings.published_languages:
            in_documents.discard(TRANSLATE)
        queued = {item_id for step, item_id in report.queued if step in in_documents}
        changed = (entry for entry in entries if entry.item.id in queued)
        require_sure(changed, self.items.settings, sure=sure)
        before(report)
        for keys, given in _requests(report.queued, options, under_way):
            self.queue.request_steps(keys, given)
        return report

    def _is_current(self, entry: LibraryEntry, name: str, asked: Mapping[str, Any]) -> bool:
        current = enrichment.is_current(self.library, entry, name, asked)
        return current and not enrichment.lacks_more(
            self.library, entry, name, asked, settings=self.items.settings
        )

    def _entries(self, ids: Sequence[str] | None, report: EnrichReport) -> list[LibraryEntry]:
        if ids is None:
            found = [each for each in self.items.listing().entries if each.transcript_path]
        else:
            found = [self.items.entry(item_id) for item_id in ids]
        states = self.queue.states_of([entry.item.id for entry in found])
        ready = []
        for entry in found:
            state = states.get(entry.item.id, DONE)
            if entry.transcript_path is None or state not in (DONE, HELD):
                report.without_words.append(entry.item.id)  # its steps follow by themselves
            else:
                ready.append(entry)
        return ready


def _asks_for(before: Mapping[str, Any], further: Mapping[str, Any], name: str) -> bool:
    """Return True if the translation that is under way is the one that is asked for."""
    if name != TRANSLATE or before.get(VIA) != further.get(VIA):
        return False
    return set(_languages(further)) <= set(_languages(before))


def _requests(
    keys: Sequence[StepKey], options: Mapping[str, Any], under_way: Mapping[StepKey, Any]
) -> Iterator[tuple[list[StepKey], dict[str, Any]]]:
    """Yield the steps to queue with their options.

    A translation that is under way into another language is carried on in the new request.
    """
    plain = []
    for key in keys:
        before = under_way.get(key, {}) if key[0] == TRANSLATE else {}
        if before.get(VIA) == options.get(VIA) and _languages(before):
            both = dict.fromkeys((*_languages(before), *_languages(options)))
            yield [key], {**options, INTO: ",".join(both)}
        else:
            plain.append(key)
    yield plain, dict(options)


def _languages(options: Mapping[str, Any]) -> list[str]:
    return [each for each in str(options.get(INTO, "")).split(",") if each]


def _options(*, again: bool, speakers: int | None) -> dict[str, Any]:
    enrichment.check_speaker_count(speakers)
    return {
        **({enrichment.AGAIN: True} if again else {}),
        **({"speakers": speakers} if speakers is not None else {}),
    }


def _refuse_empty(names: Sequence[str]) -> None:
    """Raise the error of steps of which none can be carried out here."""
    missing = [each.lacking for each in enrichment.step_states() if each.lacking]
    if enrichment.AUTO in names and missing:
        raise missing[0].recast(UsageError)
    raise UsageError(
        "enrich.no_steps",
        "No step is named.",
        hint="Known: {known}",
        known=", ".join(enrichment.step_names()),
    )
