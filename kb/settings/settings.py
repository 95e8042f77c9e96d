"""Settings: name, default and meaning of each, read once from the environment and `.env`.

The environment has precedence over `.env`; `.env` is searched in the working directory and then
beside this package. `.env.example` is rendered from this table (a test compares them).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from kb.errors import SettingsError
from kb.settings.dashboard import DashboardSettings
from kb.settings.downloads import DownloadSettings
from kb.settings.jobs import JobSettings
from kb.settings.library import LibrarySettings
from kb.settings.odin import OdinSettings
from kb.settings.recognition import RecognitionSettings
from kb.settings.repair import RepairSettings
from kb.storage.validation import first_mistake

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
ENV_FOLDER = PROJECT_ROOT  # the second folder in which `.env` is searched


GROUPS: dict[str, type[BaseModel]] = {
    "library": LibrarySettings,
    "recognition": RecognitionSettings,
    "repair": RepairSettings,
    "downloads": DownloadSettings,
    "jobs": JobSettings,
    "odin": OdinSettings,
    "dashboard": DashboardSettings,
}
"""The groups of settings, in the order of `.env.example` and of the Settings tab."""


class Settings(
    LibrarySettings,
    RecognitionSettings,
    RepairSettings,
    DownloadSettings,
    JobSettings,
    OdinSettings,
    DashboardSettings,
):
    """Every setting with its default; the field's alias is its name in the environment."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, validate_default=True
    )

    @classmethod
    def fields_by_group(cls) -> dict[str, dict[str, FieldInfo]]:
        """Return the fields of each group of `GROUPS`, in the order of their declaration."""
        return {name: dict(group.model_fields) for name, group in GROUPS.items()}

    @property
    def sink_names(self) -> tuple[str, ...]:
        """`sinks` as a tuple of names, without empty ones."""
        return tuple(name.strip() for name in self.sinks.split(",") if name.strip())

    def replace(self, **changes: object) -> Settings:
        """Return a copy with validated changes, by field name.

        Raises SettingsError naming the setting.
        """
        values = {field: getattr(self, field) for field in type(self).model_fields}
        return _validated({**values, **changes})


# Set before torch and transformers are imported, unless the environment has other values.
LIBRARY_ENVIRONMENT = {
    "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@cache
def get_settings() -> Settings:
    """Return this process's settings, read once; `get_settings.cache_clear()` reads them again.

    Raises SettingsError naming the variable and the accepted values.
    """
    values: dict[str, str] = {}
    for folder in (ENV_FOLDER, Path.cwd()):
        env_file = folder / ".env"
        if env_file.is_file():
            found = dotenv_values(env_file, encoding="utf-8")
            values.update({name: value for name, value in found.items() if value is not None})
    values.update(os.environ)
    for name, default in LIBRARY_ENVIRONMENT.items():
        os.environ.setdefault(name, values.get(name, default))
    known = {str(field.alias) for field in Settings.model_fields.values()}
    # An empty value in .env means "the default", as in .env.example.
    return _validated({name: value for name, value in values.items() if name in known and value})


def _validated(values: dict[str, object] | dict[str, str]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        where, reason = first_mistake(error)
        where = where or "settings"
        field = Settings.model_fields.get(where)
        name = str(field.alias) if field else where
        raise SettingsError(
            "setting.value",
            "Setting {name}: {reason}.",
            hint="Correct {name} in the environment or in .env; see .env.example.",
            name=name,
            reason=reason,
        ) from None
