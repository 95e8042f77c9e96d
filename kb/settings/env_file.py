"""Changes single settings in the `.env` file; comments and other lines are kept.

A value that would be read back differently, or that the settings reject, is not written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values, set_key, unset_key
from pydantic import SecretStr

from kb import storage
from kb.errors import LibraryError, SettingsError
from kb.settings import settings
from kb.settings.env_sources import FILE_VARIABLE, SYNONYMS, read_env_text, trusted_file
from kb.settings.env_sources import SAFE_NAMES as SAFE_NAMES
from kb.settings.settings import Settings, current_sources, get_settings


def env_file() -> Path:
    """Return the trusted `.env` file, in use or to be made."""
    return trusted_file(settings.ENV_FOLDER)


def untrusted_file() -> Path | None:
    """Return the `.env` of the current folder that is read for `SAFE_NAMES` alone, if there is one.

    Raises SettingsError as `get_settings`.
    """
    return next((file.path for file in current_sources().files if not file.trusted), None)


def is_off() -> bool:
    """Return True if KB_ENV_FILE says that no file is read: none is written then."""
    return os.environ.get(FILE_VARIABLE) == os.devnull


def from_environment(alias: str) -> bool:
    """Return whether the environment sets it: a value in `.env` would have no effect then."""
    found = current_sources().origins.get(alias)
    return bool(os.environ.get(alias)) or (found is not None and found.path is None)


def _name_in_use(alias: str) -> str:
    """Return the name by which `.env` sets a setting: its own, or a synonym that wins over it."""
    for own, other in SYNONYMS.items():
        if other == alias and any(file.values.get(own) for file in current_sources().files):
            return own
    return alias


def change(values: Mapping[str, str]) -> Settings:
    """Write settings by their names in `.env`; an empty value restores the default.

    Returns the new settings of this process; other processes read them when they start. Raises
    SettingsError naming the setting, and LibraryError if the file cannot be written. No message
    contains a secret's value.
    """
    if is_off():
        raise SettingsError(
            "setting.no_file",
            "KB_ENV_FILE says that no file of settings is read, so none is written.",
            hint="Set KB_ENV_FILE to a file, or remove it, and start the program again.",
        )
    fields = {str(field.alias): name for name, field in Settings.model_fields.items()}
    for alias, value in values.items():
        if alias not in fields:
            raise SettingsError(
                "setting.unknown",
                "There is no setting {name}.",
                hint="See .env.example.",
                name=alias,
            )
        if any(ord(letter) < 32 for letter in value):
            raise SettingsError(
                "setting.line_breaks",
                "Setting {name}: it may have no line breaks.",
                hint="Write it in one line.",
                name=alias,
            )
        if from_environment(alias):
            raise SettingsError(
                "setting.environment",
                "Setting {name} is given by the environment, which wins over .env.",
                hint="Change it where the program is started.",
                name=alias,
            )
        found = current_sources().origins.get(alias)
        if found is not None and found.path is not None and not _is_same(found.path, env_file()):
            raise SettingsError(
                "setting.other_file",
                "{origin} has precedence over {path}.",
                hint="Change it there, or start the program in another folder.",
                origin=found.clause(),
                path=env_file(),
            )
    _check({fields[alias]: value for alias, value in values.items()})
    _write(env_file().resolve(), {_name_in_use(alias): value for alias, value in values.items()})
    get_settings.cache_clear()
    return get_settings()


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _check(values: Mapping[str, str]) -> None:
    """Raise SettingsError for a value that the settings reject."""
    changes: dict[str, object] = {}
    for name, value in values.items():
        default = Settings.model_fields[name].get_default(call_default_factory=True)
        secret = isinstance(default, SecretStr)
        changes[name] = (SecretStr(value) if secret else value) if value else default
    get_settings().replace(**changes)


def _write(path: Path, values: Mapping[str, str]) -> None:
    before = read_env_text(path, missing="")
    try:
        # A copy elsewhere: what a kill leaves in the user's folder would have their secrets.
        with storage.scratch_folder() as scratch:
            draft = scratch / ".env"
            storage.write_private(draft, before)
            known = dotenv_values(draft, encoding="utf-8")
            for alias, value in values.items():
                if value:
                    set_key(draft, alias, value, encoding="utf-8")
                elif alias in known:
                    unset_key(draft, alias, encoding="utf-8")
            found = dotenv_values(draft, encoding="utf-8")
            for alias, value in values.items():
                if (found.get(alias) or "") != value:
                    raise SettingsError(
                        "setting.characters",
                        "Setting {name} holds signs that .env cannot keep (such as ${{…}}).",
                        hint="Set it in the environment.",
                        name=alias,
                    )
            storage.write_private(path, draft.read_text(encoding="utf-8"))
    except OSError as error:
        raise storage.file_error(error, path) from error
    except LibraryError as error:
        raise LibraryError(
            "setting.not_saved",
            "{cause}",
            hint="Make its folder writable, or set it in the environment.",
            cause=error,
        ) from error
