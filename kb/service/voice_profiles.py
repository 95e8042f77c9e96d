"""Profiles of voices: suggested names, their confirmation, and their deletion.

Profiles are off unless KB_VOICE_PROFILES is set. Deletion works in either case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kb import storage
from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.library import Library, LibraryEntry
from kb.library.directory import DirectorySnapshot
from kb.library.extras import FOLDER as EXTRAS
from kb.library.extras import VOICES, Extras
from kb.library.metadata import entry_from_record
from kb.library.trash import FILES, Trash
from kb.library.trash import FOLDER as TRASH
from kb.pipeline import voices
from kb.pipeline.voices import VoiceProfile
from kb.service.backup import ASIDE
from kb.service.items import Items
from kb.service.published_changes import published_change
from kb.service.speaker_names import SpeakerActs
from kb.storage.places import remove_file


@dataclass(frozen=True, slots=True)
class NamedVoices:
    """The result of naming by voice: the items named, and how many of them are published.

    `waiting` items are named with a confirmation only: sending them again costs `credits` at most.
    """

    named: tuple[str, ...] = ()
    waiting: int = 0
    published: int = 0
    credits: float = 0.0


@dataclass
class VoiceProfiles:
    """The profiles of one library. Methods raise UsageError and LibraryError."""

    library: Library
    queue: JobQueue
    items: Items
    speakers: SpeakerActs

    def list(self) -> tuple[VoiceProfile, ...]:
        """Return all profiles, by name."""
        return tuple(sorted(voices.profiles(self.library).values(), key=lambda each: each.name))

    def confirm(self, item_id: str, speaker: str, *, sure: bool = False) -> NamedVoices:
        """Confirm the suggested name of a speaker; then the profile's other suggestions count.

        Other items get the name as in `apply`.
        """
        self._require_on()
        name = self.speakers.confirm(item_id, speaker)
        return self.apply(name, sure=sure)

    def refuse(self, item_id: str, speaker: str) -> None:
        """Refuse the suggested name of a speaker; it is not suggested for this voice again."""
        self._require_on()
        self.speakers.refuse(item_id, speaker)

    def apply(self, name: str, *, sure: bool = False) -> NamedVoices:
        """Give a confirmed profile's name to all speakers without one that have its voice.

        If more than `MOST_UNASKED` published items would change, none does unless `sure`.
        """
        self._require_on()
        known = voices.profiles(self.library)
        if name not in known:
            raise _unknown(name, known)
        if not known[name].is_confirmed:
            raise UsageError(
                "voices.unconfirmed",
                "The voice of {name!r} was not confirmed yet.",
                hint="Confirm one of its suggestions: kb speakers ID --confirm WHO",
                name=name,
            )
        entries = [
            entry
            for entry in self.items.listing().entries
            # A speaker who is more like another profile is not of this one.
            if any(each.name == name for each in voices.suggestions(self.library, entry, known))
        ]
        change = published_change(entries, self.items.settings)
        if change.needs_confirmation and not sure:
            return NamedVoices((), len(entries), change.items, change.credits)
        named = tuple(
            entry.item.id
            for entry in entries
            if voices.name_known(self.library, entry.item.id, name, known)
        )
        if named:
            self.queue.record("speakers", list(named), name=name, by="voice")
        return NamedVoices(named, 0, change.items)

    def delete(self, name: str) -> int:
        """Delete the voices of a person in all items, those in the trash included.

        Return their number. The names stay.
        """
        voices.mark_deletion(self.library)
        deleted, extras = 0, Extras(self.library)
        for entry in self.items.listing().entries:
            deleted += self._delete_in(extras.path(entry.stem, VOICES), entry, name)
        for item in Trash(self.library).items():
            files = DirectorySnapshot(item.folder / FILES)
            if (record := files.find(f"{item.stem}.json")) is not None:
                entry = entry_from_record(storage.read_json(record), item.stem, files)
                deleted += self._delete_in(item.folder / EXTRAS / f"{VOICES}.json", entry, name)
        if not deleted:
            raise _unknown(name, voices.profiles(self.library))
        self.queue.record("voices", name=name, deleted=str(deleted))
        return deleted

    def delete_all(self) -> int:
        """Delete the voices of all items, those in the trash and replaced by a restore included.

        Return the number of files that had any. Backups made before still have them.
        """
        voices.mark_deletion(self.library)
        home, deleted = self.library.home, 0
        for folder in (home / EXTRAS, home / TRASH, *home.glob(f"{ASIDE}-*")):
            for path in sorted(folder.rglob(f"{VOICES}.json")):
                try:
                    remove_file(path)
                except OSError as error:
                    raise storage.library_error(error, path, "remove") from error
                deleted += 1
        if deleted:
            self.queue.record("voices", deleted=str(deleted))
        return deleted

    def _delete_in(self, path: Path, entry: LibraryEntry, name: str) -> int:
        own = voices.spans_named(path, entry, name)
        if not own:
            return 0
        with self.library.guard(entry.item.id):
            document = storage.read_json(path)
            kept = [
                row
                for row in document["voices"]
                if tuple(tuple(map(float, span)) for span in row["spans"]) not in own
            ]
            storage.write_json(path, {**document, "voices": kept})
        return len(document["voices"]) - len(kept)

    def _require_on(self) -> None:
        if not self.items.settings.voice_profiles:
            raise UsageError(
                "voices.off",
                "Voice profiles are off.",
                hint="Switch them on: KB_VOICE_PROFILES=true in .env, then kb enrich --all "
                "--steps speakers. Voices are biometric data: ask those who speak.",
            )


def _unknown(name: str, known: Mapping[str, VoiceProfile]) -> UsageError:
    return UsageError(
        "voices.unknown",
        "There is no voice of {name!r}.",
        hint="Known: {known}.",
        name=name,
        known=", ".join(sorted(known)) or "–",
    )
