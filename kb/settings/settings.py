"""Settings: name, default and meaning of each, read once from the environment and `.env`.

The environment has precedence over `.env`; `kb/settings/env_sources.py` says which files are read.
`.env.example` is rendered from this table (a test compares them).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from kb.errors import KBError, SettingsError
from kb.settings import process_environment
from kb.settings.api import ApiSettings
from kb.settings.assistants import AssistantSettings
from kb.settings.dashboard import DashboardSettings
from kb.settings.digest import DigestSettings
from kb.settings.downloads import DownloadSettings
from kb.settings.env_sources import Origin, Sources, read_sources
from kb.settings.jobs import JobSettings
from kb.settings.language_models import LanguageModelSettings
from kb.settings.library import LibrarySettings
from kb.settings.object_storage import ObjectStorageSettings
from kb.settings.odin import OdinSettings
from kb.settings.recognition import RecognitionSettings
from kb.settings.repair import RepairSettings
from kb.settings.screen import ScreenSettings
from kb.settings.speech import SpeechSettings
from kb.settings.translation import TranslationSettings
from kb.storage.bundled import BUNDLED
from kb.storage.validation import first_mistake

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
PRESETS_NAME = "presets.yaml"  # in the library folder, for presets of its own
# The folder of an installed package is not for files of the user.
ENV_FOLDER = (
    PROJECT_ROOT
    if (PROJECT_ROOT / "pyproject.toml").is_file()
    else platformdirs.user_config_path("kb-ingest", appauthor=False)
)

log = logging.getLogger(__name__)


def env_folder() -> Path:
    """Return the folder of the project's `.env`, where relative names of defaults begin."""
    return ENV_FOLDER


GROUPS: dict[str, type[BaseModel]] = {
    "library": LibrarySettings,
    "recognition": RecognitionSettings,
    "repair": RepairSettings,
    "downloads": DownloadSettings,
    "jobs": JobSettings,
    "odin": OdinSettings,
    "digest": DigestSettings,
    "dashboard": DashboardSettings,
    "assistants": AssistantSettings,
    "api": ApiSettings,
    "object_storage": ObjectStorageSettings,
    "language_models": LanguageModelSettings,
    "screen": ScreenSettings,
    "speech": SpeechSettings,
    "translation": TranslationSettings,
}
"""The groups of settings, in the order of `.env.example` and of the Settings tab."""


class Settings(
    LibrarySettings,
    RecognitionSettings,
    RepairSettings,
    DownloadSettings,
    JobSettings,
    OdinSettings,
    DigestSettings,
    DashboardSettings,
    AssistantSettings,
    ApiSettings,
    ObjectStorageSettings,
    LanguageModelSettings,
    ScreenSettings,
    SpeechSettings,
    TranslationSettings,
):
    """Every setting with its default; the field's alias is its name in the environment."""

    model_config = ConfigDict(
        defer_build=False,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
    )

    @classmethod
    def fields_by_group(cls) -> dict[str, dict[str, FieldInfo]]:
        """Return the fields of each group of `GROUPS`, in the order of their declaration."""
        return {name: dict(group.model_fields) for name, group in GROUPS.items()}

    @property
    def sink_names(self) -> tuple[str, ...]:
        """`sinks` as a tuple of names, without empty ones."""
        return tuple(name.strip() for name in self.sinks.split(",") if name.strip())

    @property
    def own_presets(self) -> Path:
        """The preset file that is changed on request: KB_PRESETS_FILE, or the library's."""
        named = self.presets_file
        return Path(named).expanduser() if named else self.home / PRESETS_NAME

    @property
    def presets_path(self) -> Path:
        """The preset file that holds: `own_presets`; the program's if the library has none."""
        own = self.own_presets
        # False for any error: that of the library folder is reported where it is used.
        there = os.path.isfile(own)  # noqa: PTH113
        return own if self.presets_file or there else BUNDLED / PRESETS_NAME

    @property
    def longest_s(self) -> float:
        """`max_hours` in seconds."""
        return self.max_hours * 3600

    def replace(self, **changes: object) -> Settings:
        """Return a copy with validated changes, by field name.

        Raises SettingsError naming the setting.
        """
        values = {field: getattr(self, field) for field in type(self).model_fields}
        return _validated({**values, **changes})


ALIASES = tuple(str(field.alias) for field in Settings.model_fields.values())


@cache
def get_settings() -> Settings:
    """Return this process's settings, read once; `get_settings.cache_clear()` reads them again.

    Raises SettingsError naming the variable and the accepted values.
    """
    try:
        sources = read_sources(ENV_FOLDER, ALIASES)
    except SettingsError as error:
        if _mistakes is None:
            raise
        _mistakes.append(error)
        sources = _readable_environment()
    process_environment.apply(sources.library_variables())
    for name, meant in sources.misspelt.items():
        log.warning("The environment has %s, which is no setting. Did you mean %s?", name, meant)
    values = sources.effective_values()
    for name, value in values.items():
        if sources.origins[name].path is None and name in os.environ:
            # Processes that this one starts may have another current folder.
            os.environ[name] = value
    settings = _validated(values, sources.origins, _mistakes)
    _current.clear()
    _current.append(sources)
    return settings


_mistakes: list[SettingsError] | None = None  # collected instead of raised, where it is a list


@contextmanager
def tolerant_settings() -> Iterator[list[SettingsError]]:
    """Read settings with the defaults for values that are refused, and yield the mistakes.

    For reports, which must work with faulty settings too. The mistakes are known once
    `get_settings` was called within the block.
    """
    global _mistakes
    found: list[SettingsError] = []
    _mistakes = found
    get_settings.cache_clear()
    try:
        yield found
    finally:
        _mistakes = None
        get_settings.cache_clear()


def tolerated_mistakes() -> tuple[SettingsError, ...]:
    """Return the mistakes of the settings in use; there are none outside `tolerant_settings`."""
    get_settings()
    return tuple(_mistakes or ())


def _readable_environment() -> Sources:
    """Return the settings of the environment alone, none if one of them cannot be used."""
    try:
        return read_sources(ENV_FOLDER, ALIASES, with_files=False)
    except SettingsError as error:
        if _mistakes is not None:
            _mistakes.append(error)
        return Sources()


def current_sources() -> Sources:
    """Return the sources of this process's settings. Raises SettingsError as `get_settings`."""
    get_settings()
    return _current[0]


def origin(name: str) -> KBError:
    """Return the place of a setting's value as a clause, by its name in the environment."""
    found = current_sources().origins.get(name)
    return found.clause() if found else _unset(name)


def _unset(name: str) -> KBError:
    return KBError("source.unset", "{name} in the environment or in .env", name=name)


_current: list[Sources] = []  # of the last reading


def _validated(
    values: Mapping[str, object],
    origins: Mapping[str, Origin] | None = None,
    mistakes: list[SettingsError] | None = None,
) -> Settings:
    """Return the settings of these values, by alias or by field.

    Raises SettingsError for the first mistake; with a list of `mistakes` it is added there, and the
    setting's default is used.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        where, reason = first_mistake(error)
        where = where or "settings"
        field = Settings.model_fields.get(where)
        name = str(field.alias) if field else where
        found = (origins or {}).get(name)
        mistake = SettingsError(
            "setting.value",
            "Setting {name}: {reason}.",
            hint="Correct {origin}; see .env.example.",
            name=name,
            reason=reason,
            origin=found.clause() if found else _unset(name),
        )
    if mistakes is None or name not in values:
        raise mistake
    mistakes.append(mistake)
    kept = {each: value for each, value in values.items() if each != name}
    return _validated(kept, origins, mistakes)
