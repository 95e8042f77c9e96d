"""The composition root: makes the parts of the service for one library and one set of settings."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

from kb.errors import KBError, LibraryError
from kb.library import Library
from kb.library.audit import AuditLog, current_user
from kb.settings import Settings, get_settings

# Each part is imported on first access: `kb --help` needs none of them.
if TYPE_CHECKING:
    from kb.inference.session import InferenceSession
    from kb.jobs.queue.client import JobQueue
    from kb.jobs.queue.machine_needs import UnmetNeed
    from kb.pipeline.vocabulary import Vocabulary
    from kb.service.access_keys import Access
    from kb.service.answers import Answers
    from kb.service.api_jobs import ApiJobs
    from kb.service.asking import Asking
    from kb.service.backup import Backup
    from kb.service.bulk import Bulk
    from kb.service.catalogue import Catalogue
    from kb.service.channels import Channels
    from kb.service.comparison import Comparisons
    from kb.service.corrections import Corrections
    from kb.service.dubbing import Dubbing
    from kb.service.enrichment import Enrichment
    from kb.service.evidence import Evidence
    from kb.service.exports import Exports
    from kb.service.follow import Follow
    from kb.service.follows import Follows
    from kb.service.ingest import Ingest
    from kb.service.items import Items
    from kb.service.keys import Keys
    from kb.service.labels import Labels
    from kb.service.language_model import LanguageModels
    from kb.service.logs import Logs
    from kb.service.machines import Machines
    from kb.service.models import Models
    from kb.service.presets import Presets
    from kb.service.products import ItemProducts
    from kb.service.publisher import Publisher
    from kb.service.queue_move import QueueMove
    from kb.service.reading import Reading
    from kb.service.removal import Removals
    from kb.service.requests import Requests
    from kb.service.review import Review
    from kb.service.review_inbox import Inbox
    from kb.service.revisions import Revisions
    from kb.service.saved_searches import SavedSearches
    from kb.service.search import Search
    from kb.service.speaker_names import SpeakerActs
    from kb.service.speech import Speech
    from kb.service.subscriptions import Subscriptions
    from kb.service.transcription import Transcription
    from kb.service.translations import Translations
    from kb.service.verification import Verification
    from kb.service.video import Videos
    from kb.service.voice_profiles import VoiceProfiles
    from kb.service.workers import Workers


class Service:
    """The parts for the user interfaces: `service.items.status(id)`, `service.ingest.run(...)`."""

    def __init__(self, settings: Settings | None = None, who: str = "") -> None:
        """Make the service; `who` is the person in the log of actions, by default this account."""
        from kb.jobs.queue.client import JobQueue

        self.settings = settings or get_settings()
        self.library = Library(self.settings.home)
        self.audit = AuditLog(self.settings.home, who or f"{current_user()} (command line)")
        self.queue: JobQueue = JobQueue(self.settings, self.library, self.audit)
        self.queue.default_model = self._default_model
        self._session: InferenceSession | None = None
        self._session_lock = Lock()
        self._exit_stack = ExitStack()  # closes the parts that were made on access

    @classmethod
    def of_existing_library(cls, settings: Settings | None = None, who: str = "") -> Service:
        """Return the service of a library that is there; it is never made by a look at it.

        `who` is as in the constructor. Raises LibraryError for a folder without a library: its name
        may be misspelt.
        """
        from kb.service.existing import has_library

        service = cls(settings, who)
        home = service.settings.home
        if not has_library(home):
            raise LibraryError(
                "library.none_here",
                "There is no library in {home}.",
                hint="Check KB_HOME; start a new library with: kb ingest FILE",
                home=home,
            )
        return service

    @classmethod
    def for_reading(cls, settings: Settings | None = None) -> Service:
        """Return the service for a command that keeps nothing.

        Where no library is, it has an empty database that is removed with it, and makes none.
        """
        from kb.jobs.queue.client import JobQueue
        from kb.service.existing import has_library

        service = cls(settings)
        chosen = service.settings
        if not has_library(chosen.home) and not chosen.database_url.get_secret_value():
            service.queue = JobQueue(chosen, service.library, service.audit, temporary=True)
        return service

    @property
    def inference_session(self) -> InferenceSession:
        """The model of this process; none is loaded before its first use."""
        from kb.inference.session import InferenceSession

        with self._session_lock:  # two sessions would load a model each
            if self._session is None:
                made = InferenceSession(self.settings)
                self._session = self._exit_stack.enter_context(made)
            return self._session

    def _default_model(self) -> str:
        """Return the model of a request that names none: that of the machines that work, or this.

        A machine without a card may ask those that have one.
        """
        from kb.asr.engines.model_table import load_models

        kinds = {each.device.kind for each in self.machines.with_workers() if each.live}
        if kinds & {"CUDA", "MPS"}:
            return load_models(self.settings).default("gpu").model
        return self.inference_session.model_name()

    def clock_problem(self) -> KBError | None:
        """Return the error of stored times in the future, None without. Raises LibraryError."""
        from kb.jobs.clock_check import clock_problem

        return clock_problem(self.queue.database)

    def unmet_needs(self) -> list[UnmetNeed]:
        """Return what waiting items need that some machine lacks. Raises LibraryError."""
        from kb.jobs.queue.machine_needs import unmet_needs

        return unmet_needs(self.queue.database)

    def close(self) -> None:
        """Close connections to knowledge bases, free the model and close the database."""
        self._exit_stack.close()
        self.queue.close()

    # Media into the library

    @cached_property
    def ingest(self) -> Ingest:
        """Scanning of references and queueing of their media."""
        from kb.service.ingest import Ingest

        return Ingest(
            self.settings, self.library, self.queue, self.items, self.transcription, self.machines,
            self.removals,
        )  # fmt: skip

    @cached_property
    def follow(self) -> Follow:
        """Foreground wait for queued items."""
        from kb.service.follow import Follow

        return Follow(self.queue, self.items, self.workers)

    @cached_property
    def workers(self) -> Workers:
        """Worker processes on this machine."""
        from kb.service.workers import Workers

        return Workers(self.settings, self.queue)

    @cached_property
    def subscriptions(self) -> Subscriptions:
        """References that are polled for new media."""
        from kb.service.subscriptions import Subscriptions

        return Subscriptions(self.settings, self.queue, self.library)

    @cached_property
    def follows(self) -> Follows:
        """The states of the followed references, and why items are missing."""
        from kb.service.follows import Follows

        return Follows(self.settings, self.library, self.queue, self.subscriptions)

    @cached_property
    def transcription(self) -> Transcription:
        """Transcripts of single files, without the library."""
        from kb.service.transcription import Transcription

        return Transcription(self.inference_session, self.settings)

    @cached_property
    def requests(self) -> Requests:
        """Requests of programs elsewhere: media by link, and their states."""
        from kb.service.requests import Requests

        return Requests(self.ingest, self.items, self.queue)

    # The contents of the library

    @cached_property
    def items(self) -> Items:
        """Items: their states, entries, transcripts and exports."""
        from kb.service.items import Items

        return Items(self.settings, self.library, self.queue)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The list of the library: filtered, counted and sorted."""
        from kb.service.catalogue import Catalogue

        return Catalogue(self.items, self.queue)

    @cached_property
    def saved_searches(self) -> SavedSearches:
        """Searches under a name, and their alerts."""
        from kb.service.saved_searches import SavedSearches

        return SavedSearches(
            self.settings, self.library, self.queue, self.catalogue, lambda: self.search
        )  # fmt: skip

    @cached_property
    def channels(self) -> Channels:
        """Each channel as a place."""
        from kb.service.channels import Channels

        return Channels(
            self.catalogue, self.queue, self.follows, self.vocabulary, self.enrichment
        )  # fmt: skip

    @cached_property
    def comparisons(self) -> Comparisons:
        """Two transcripts of an item beside each other."""
        from kb.service.comparison import Comparisons

        return Comparisons(self.items)

    @cached_property
    def bulk(self) -> Bulk:
        """Acts on many items at once."""
        from kb.service.bulk import Bulk

        return Bulk(self.settings, self.queue, self.items, self.review, self.removals)

    @cached_property
    def labels(self) -> Labels:
        """Tags, notes and titles that a person writes."""
        from kb.service.labels import Labels

        return Labels(self.library, self.queue, self.items, self.revisions)

    @cached_property
    def enrichment(self) -> Enrichment:
        """The steps that follow the words."""
        from kb.service.enrichment import Enrichment

        return Enrichment(self.library, self.queue, self.items)

    @cached_property
    def speakers(self) -> SpeakerActs:
        """The speakers of items, and their names."""
        from kb.service.speaker_names import SpeakerActs

        return SpeakerActs(self.library, self.queue, self.items)

    @cached_property
    def voices(self) -> VoiceProfiles:
        """Profiles of voices, which suggest names."""
        from kb.service.voice_profiles import VoiceProfiles

        return VoiceProfiles(self.library, self.queue, self.items, self.speakers)

    @cached_property
    def exports(self) -> Exports:
        """Transcripts as files in several formats, and many items as one ZIP."""
        from kb.service.exports import Exports

        return Exports(self.items)

    @cached_property
    def search(self) -> Search:
        """Search over the local index, and rebuilding it."""
        from kb.service.search import Search

        return Search(self.settings, self.library, self.queue, self.subscriptions, self.revisions)

    def meaning_problem(self) -> KBError | None:
        """Return the error of what a search by meaning lacks, None if nothing is known to.

        Whether the index has vectors is known only in a process that has loaded LanceDB, which
        takes a second: before that only the model is looked at.
        """
        from kb.sinks.local.embedding_choice import missing_part

        missing = missing_part(self.settings.embedding_model)
        if missing is not None or "lancedb" not in sys.modules:
            return missing
        return self.search.meaning_problem()

    @cached_property
    def reading(self) -> Reading:
        """Bounded answers for programs that read the library: passages, texts, lists."""
        from kb.service.reading import Reading

        return Reading(self.items, self.search, self.enrichment.screen_text)

    @cached_property
    def review(self) -> Review:
        """Uncertain spans, and the decisions about them."""
        from kb.service.review import Review

        return Review(self.settings, self.library, self.queue, self.revisions, self.removals)

    @cached_property
    def inbox(self) -> Inbox:
        """The doubtful passages of all items, one after the other."""
        from kb.service.review_inbox import Inbox

        return Inbox(self.library, self.queue, self.review, self.revisions)

    @cached_property
    def revisions(self) -> Revisions:
        """Edits of transcripts by hand."""
        from kb.service.revisions import Revisions

        return Revisions(self.settings, self.library, self.queue)

    @cached_property
    def evidence(self) -> Evidence:
        """Evidence packs."""
        from kb.service.evidence import Evidence

        return Evidence(self.settings, self.library, self.items, self.review)

    @cached_property
    def videos(self) -> Videos:
        """Films in which the words of a transcript are drawn."""
        from kb.service.video import Videos

        return Videos(self.settings, self.library, self.items, self.review)

    @cached_property
    def products(self) -> ItemProducts:
        """Films, dubs and evidence packs of items, made by workers."""
        from kb.service.products import ItemProducts

        return ItemProducts(self.settings, self.library, self.queue, self.items, self.workers)

    @cached_property
    def speech(self) -> Speech:
        """Texts read aloud, and the voices that can."""
        from kb.service.speech import Speech

        return Speech(self.settings, self.items, self.language_model)

    @cached_property
    def dubbing(self) -> Dubbing:
        """Media in another language, spoken over their own sound."""
        from kb.service.dubbing import Dubbing

        return Dubbing(self.settings, self.library, self.items, self.review)

    @cached_property
    def corrections(self) -> Corrections:
        """Corrections across a channel."""
        from kb.service.corrections import Corrections

        return Corrections(self.revisions)

    @cached_property
    def answers(self) -> Answers:
        """Questions to this library, answered from its passages."""
        from kb.service.answers import Answers

        return Answers(self.search, self.items)

    @cached_property
    def language_model(self) -> LanguageModels:
        """The configured language model, and the notes that it made about items."""
        from kb.service.language_model import LanguageModels

        return LanguageModels(self.library, self.queue, self.items, self.vocabulary)

    @cached_property
    def translations(self) -> Translations:
        """Translations of the words of items."""
        from kb.service.translations import Translations

        return Translations(self.library, self.items, self.enrichment, self.language_model)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Hotwords of recognizers, by channel."""
        from kb.pipeline.vocabulary import Vocabulary

        return Vocabulary(self.library)

    @cached_property
    def access(self) -> Access:
        """Keys of the HTTP API."""
        from kb.service.access_keys import Access

        found = Access(self.settings)
        self._exit_stack.callback(found.close)
        return found

    @cached_property
    def api_jobs(self) -> ApiJobs:
        """Jobs of programs over HTTP."""
        from kb.service.api_jobs import ApiJobs

        return ApiJobs(self.settings, self.ingest, self.items, self.queue)

    # Care of the library

    @cached_property
    def backup(self) -> Backup:
        """Backups, and their return into the library."""
        from kb.service.backup import Backup

        return Backup(self.settings, self.library)

    @cached_property
    def queue_move(self) -> QueueMove:
        """The move of the queue to another database."""
        from kb.service.queue_move import QueueMove

        return QueueMove(self.settings)

    @cached_property
    def verification(self) -> Verification:
        """The comparison of files, hashes, index and queue."""
        from kb.service.verification import Verification

        return Verification(self.settings, self.library, self.queue, lambda: self.search)

    @cached_property
    def removals(self) -> Removals:
        """Removal of items, undone for a week."""
        from kb.service.removal import Removals

        return Removals(self.settings, self.library, self.queue, self.items, lambda: self.publisher)

    # Remote knowledge bases

    @cached_property
    def publisher(self) -> Publisher:
        """Publishing, syncing, asking and uploading."""
        from kb.service.publisher import Publisher

        publisher = Publisher(self.settings, self.library, self.queue)
        self._exit_stack.callback(publisher.close)
        return publisher

    @cached_property
    def asking(self) -> Asking:
        """Questions to a knowledge base that answers in sentences."""
        from kb.service.asking import Asking

        return Asking(self.publisher)

    # Machines

    @cached_property
    def machines(self) -> Machines:
        """Machines and their speed."""
        from kb.service.machines import Machines

        return Machines(self.settings, self.queue, self.inference_session, self.presets)

    @cached_property
    def models(self) -> Models:
        """The available recognizers."""
        from kb.service.models import Models

        return Models(lambda: self.inference_session, self.settings, self.queue)

    @cached_property
    def presets(self) -> Presets:
        """Performance presets."""
        from kb.service.presets import Presets

        return Presets(self.settings)

    # Keys and logs

    @cached_property
    def keys(self) -> Keys:
        """Keys of YouTube's Data API."""
        from kb.service.keys import Keys

        return Keys(self.settings, self.queue)

    @cached_property
    def logs(self) -> Logs:
        """The last lines of the log files."""
        from kb.service.logs import Logs

        return Logs(self.settings, self.keys)
