"""Transcription of single files without the library."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from kb.database import Database
from kb.errors import UsageError
from kb.hub.fetch_progress import Report
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.jobs.queue.source_factory import SourceFactory
from kb.library.filenames import file_title
from kb.options import RunOptions
from kb.pipeline import enrichment
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.storage import file_error, scratch_folder
from kb.types import Transcript
from kb.types.safe_text import hide_credentials

SHORTEST_REFERENCE_S, LONGEST_REFERENCE_S = 2.0, 10.0  # as in OpenAI's service


@dataclass
class Transcription:
    """Transcription of files in the foreground."""

    session: InferenceSession
    settings: Settings

    def options(self, options: RunOptions) -> TranscriptionOptions:
        """Return the transcription options of a run. Raises SettingsError."""
        return self.session.transcription_options(options)

    def run(
        self,
        path: Path,
        options: RunOptions,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        on_fetch: Report = lambda state: None,
    ) -> Transcript:
        """Return the transcript of one file; nothing is stored. Raises any KBError.

        `on_fetch` gets the state of the model's fetch, if it has to be fetched.
        """
        from kb.media import sha256_of
        from kb.media.probe import probe

        probe(path)  # raises for an unusable file before a model is loaded
        self.session.on_fetch = on_fetch
        return self.session.transcribe(
            path,
            self.options(options),
            sha256=sha256_of(path),
            progress=progress,
            cancelled=cancelled,
        )

    @contextmanager
    def spooled(self, stream: BinaryIO, name: str) -> Iterator[Path]:
        """Yield a file with all of a stream, until the block ends. Raises LibraryError."""
        with scratch_folder() as folder:
            path = folder / name
            try:
                with path.open("wb") as file:
                    shutil.copyfileobj(stream, file)
            except OSError as error:
                raise file_error(error, path) from error
            yield path

    @contextmanager
    def fetched(
        self, address: str, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Iterator[Path]:
        """Yield the sound at an address, in a file named by its title, until the block ends.

        The library is neither read nor written: what a source remembers is stored beside the file.
        Raises UsageError for an address that does not name one medium, and the errors of sources.
        """
        with scratch_folder() as folder:
            settings = self.settings.replace(
                home=folder / "state", database_url="", keep="audio", witness=False, captions="",
                thumbnail=False,
            )  # fmt: skip
            database = Database.open(settings)
            try:
                sources = SourceFactory(settings, database)
                items = list(islice(sources.open(address, VideoFilters()), 2))
                if len(items) != 1:
                    raise UsageError(
                        "transcribe.not_one",
                        "{address} does not name one recording ({count}).",
                        hint="Take all of it into the library: kb ingest ADDRESS --wait",
                        address=hide_credentials(address),
                        count="several" if items else "none",
                    )
                (folder / "fetched").mkdir()
                found = sources.source_of(items[0]).fetch(items[0], folder / "fetched", progress)
            finally:
                database.close()
            title = file_title(found.item.title) or "recording"
            yield found.path.rename(folder / f"{title[:80]}{found.path.suffix}")

    def check_reference(self, path: Path) -> None:
        """Raise MediaUnavailable or UsageError for a recording that is no reference of a voice."""
        from kb.media.probe import probe

        length_s = probe(path).duration_s
        if length_s is not None and not SHORTEST_REFERENCE_S <= length_s <= LONGEST_REFERENCE_S:
            raise UsageError(
                "speakers.reference",
                "A reference of a voice has {length_s:.1f} s.",
                hint="Give {least:g} to {most:g} s of one person who speaks.",
                length_s=length_s,
                least=SHORTEST_REFERENCE_S,
                most=LONGEST_REFERENCE_S,
            )

    def require_speakers(self, count: int | None = None) -> None:
        """Raise ModelUnavailable if this machine cannot find out who speaks.

        Raises UsageError for a number of speakers (`count`) that cannot be.
        """
        enrichment.check_speaker_count(count)
        if (problem := enrichment.lacking(enrichment.SPEAKERS)) is not None:
            raise problem

    def with_speakers(
        self,
        path: Path,
        transcript: Transcript,
        count: int | None = None,
        progress: Callable[[float], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
        references: Sequence[tuple[str, Path]] = (),
    ) -> Transcript:
        """Return the transcript of a file with its speakers; `count` is their number, if known.

        `references` are names with recordings of their voices. Raises the errors of decoding and of
        a missing model, and Cancelled.
        """
        options: dict[str, Any] = {enrichment.SPEAKERS: count} if count is not None else {}
        if references:
            options["references"] = [(name, str(file)) for name, file in references]
        return enrichment.label_file(
            path, transcript, options, progress=progress, is_wanted=lambda: not cancelled()
        )
