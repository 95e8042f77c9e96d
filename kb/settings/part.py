"""The base class of the groups of settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsPart(BaseModel):
    """A group of settings. Only `Settings`, which has all of them, is made into objects.

    So pydantic builds no validator for a group alone: those of all groups take longer than the
    one for all settings, at the start of every command.
    """

    model_config = ConfigDict(defer_build=True)
