"""Transcription of single files without the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kb.hub.fetch_progress import Report
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.options import RunOptions
from kb.types import Transcript


@dataclass
class Transcription:
    """Transcription of files in the foreground."""

    session: InferenceSession

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
