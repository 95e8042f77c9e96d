"""Keys of YouTube's Data API: their states, and the file that holds them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from kb.errors import KBError
from kb.jobs.queue.client import JobQueue
from kb.settings import Settings
from kb.sources.keys import key_file
from kb.sources.keys.key_ring import ApiKey, KeyRing, KeyStatus, read_keys


@dataclass
class Keys:
    """The keys of one set of settings; messages and displayed values contain no secret."""

    settings: Settings
    queue: JobQueue

    @property
    def file(self) -> Path:
        """The file that holds the keys, or the one that `add` would create."""
        return key_file.key_file_path(self.settings)

    def statuses(self) -> list[tuple[ApiKey, KeyStatus]]:
        """Return each key with its state. Raises SettingsError and LibraryError."""
        keys = read_keys(self.settings)
        return list(zip(keys, KeyRing(keys, self.queue.database).statuses(), strict=True))

    def is_in_file(self, key: ApiKey) -> bool:
        """Return whether a key is in the file (and not in the environment)."""
        return key_file.is_in_file(self.settings, key)

    def add(self, secret: str) -> ApiKey:
        """Append a key to the file. Raises SettingsError and LibraryError."""
        return key_file.add_key(self.settings, secret)

    def remove(self, fingerprint: str) -> bool:
        """Remove a key from the file; return whether it was there. Raises LibraryError."""
        return key_file.remove_key(self.settings, fingerprint)

    def secrets(self) -> list[str]:
        """Return every secret that this program knows, for redaction."""
        values = [getattr(self.settings, name) for name in Settings.model_fields]
        found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        with suppress(KBError):  # no key was read from a file that cannot be read
            found += [key.secret for key in read_keys(self.settings)]
        return [secret for secret in found if secret]
