"""The file of YouTube Data API keys; a change adds or removes one line and keeps the others."""

from __future__ import annotations

from pathlib import Path

from kb import storage
from kb.errors import SettingsError
from kb.settings import Settings
from kb.sources.keys.key_ring import ApiKey, is_key, key_file_error, key_text, keys_path, read_keys


def key_file_path(settings: Settings) -> Path:
    """Return the path of the file of keys, in use or to be made."""
    return keys_path(settings.yt_api_keys_file)


def is_in_file(settings: Settings, key: ApiKey) -> bool:
    """Return True if a key is in the file (and not in the environment)."""
    return any(_secret(line) == key.secret for line in _lines(key_file_path(settings)))


def add_key(settings: Settings, secret: str) -> ApiKey:
    """Append a key to the file, which is created if needed, readable by its owner only.

    Raises SettingsError for text that cannot be a key and for a known key, and LibraryError
    when the file cannot be written. No message contains the key.
    """
    secret = key_text(secret)
    if not is_key(secret):
        raise SettingsError(
            "key.malformed",
            "This is not a YouTube Data API key.",
            hint="Copy it whole from the Google Cloud console: letters, digits, - and _ only.",
        )
    key = ApiKey.of(secret)
    if any(known.fingerprint == key.fingerprint for known in read_keys(settings)):
        raise SettingsError(
            "key.duplicate",
            "The key {key} is there already.",
            hint="Add another one.",
            key=key.shown,
        )
    path = key_file_path(settings)
    lines = _lines(path)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    storage.write_private(path, "".join([*lines, f"{secret}\n"]))
    return key


def remove_key(settings: Settings, fingerprint: str) -> bool:
    """Remove a key from the file; return False if it was not there. Raises LibraryError."""
    path = key_file_path(settings)
    lines = _lines(path)
    kept = [line for line in lines if not _has_fingerprint(line, fingerprint)]
    if len(kept) == len(lines):
        return False
    storage.write_private(path, "".join(kept))
    return True


def _has_fingerprint(line: str, fingerprint: str) -> bool:
    secret = _secret(line)
    return bool(secret) and ApiKey.of(secret).fingerprint == fingerprint


def _secret(line: str) -> str:
    return key_text(line.split("#", 1)[0])


def _lines(path: Path) -> list[str]:
    try:
        return storage.read_user_text(path).splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except (OSError, storage.UnreadableText) as error:
        raise key_file_error(path, error) from None
