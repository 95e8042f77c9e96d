"""The contract of a step that follows an item's words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.errors import KBError
from kb.settings import Settings
from kb.types import MediaItem, Transcript

PRIVATE = "private"  # key of the private documents in what `run` returns
FURTHER = "further"  # key of the further documents in what `run` returns
BASIS = "basis"  # key of a stored document: what it was made from

Progress = Callable[[float], None]
"""Called with the finished share, 0..1."""


@dataclass(frozen=True, slots=True)
class StepPart:
    """A model of a step, which `add` fetches by its name.

    `path` is its place, None where it is not here, and `disk_bytes` its size there; its fetch
    brings about `download_bytes` (0: unknown). `package` is the Python package that it is a part
    of. `problem` is the error of a part that is not complete, or not in the folder that is set:
    no fetch mends it.
    """

    name: str
    step: str
    model: str
    download_bytes: int = 0
    path: Path | None = None
    disk_bytes: int = 0
    package: str = ""
    removable: bool = False
    problem: KBError | None = None


@dataclass(frozen=True, slots=True)
class ItemText:
    """An item with its words, for a step that reads them; `names` are known to be names."""

    item: MediaItem
    transcript: Transcript
    settings: Settings
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """Another item of the same channel: its transcript, and the folder of its results."""

    item_id: str
    sha256: str
    transcript: Path
    results: Path


@dataclass(frozen=True, slots=True)
class Channel:
    """The other items of an item's channel that have words, the nearest by date first.

    `home` is the library's folder, `results` that of the item's results.
    """

    home: Path
    results: Path
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class StepInput:
    """The data of one item for a step.

    `medium` is None if its file is not there; `track` is the number of the sound track that the
    words are from, None for the chosen one; `options` are those of the request, by name; `text` is
    given to a step that needs it, the last result as `before` to one that continues it, `channel`
    to one that compares items. `stored` are the further documents that are there, by name;
    `heard` is the recognizer's own translation for a step that `hears`.
    """

    medium: Path | None
    sha256: str
    track: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    text: ItemText | None = None
    before: Mapping[str, Any] | None = None
    channel: Channel | None = None
    stored: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    heard: Transcript | None = None


class Step(ABC):
    """One step. An instance holds no model: `run` loads what it needs.

    `name` is that of the result's document and of the switch. A step that `is_default` is carried
    out wherever its parts are there, unless a setting or a run says otherwise. `model` identifies
    model and version: a result of another one is made again on request. `private` documents are
    returned under `PRIVATE`, by name, if the option of that name is given. What `further` names is
    returned under `FURTHER`, by name, each with its own basis.
    """

    name: str
    is_default: bool = True
    needs_medium: bool = True
    needs_picture: bool = False  # where only sound is kept, the picture is fetched for it
    needs_text: bool = False
    sends_text: bool = False  # to a language model, which may be elsewhere and cost money
    compares: bool = False  # with the channel's other items: made again at each request
    continues: bool = False  # parts of its last result are taken over
    is_indexed: bool = False  # a part of its result is found by searches
    options: tuple[str, ...] = ()  # names of the options of a request that change the result
    private: tuple[str, ...] = ()  # further documents, made only where a setting asks for them

    @property
    @abstractmethod
    def model(self) -> str: ...

    def hears(self, given: StepInput) -> bool:
        """Return True if the recognizer's translation of the sound is wanted, as `heard`."""
        return False

    def further(self, given: StepInput) -> tuple[str, ...]:
        """Return the names of the further documents of a result."""
        return ()

    @abstractmethod
    def missing(self) -> KBError | None:
        """Return the error, with the command that brings it, if a part is missing; else None.

        It is asked for every item, so it looks at names and sizes and loads nothing.
        """

    @property
    def may_cost_money(self) -> bool:
        """True if the step asks a service that may cost money, as it is configured here."""
        return self.sends_text

    def missing_for(self, options: Mapping[str, Any]) -> KBError | None:
        """As `missing`, for a request with these options."""
        return self.missing()

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of further models, which `add` fetches on request."""
        return ()

    def part_states(self) -> tuple[StepPart, ...]:
        """Return the models that `add` fetches; like `missing`, it loads nothing."""
        return ()

    def remove(self, part: str) -> int:
        """Remove a `removable` part from this machine; return its bytes.

        Raises ModelUnavailable, LibraryError and OSError.
        """
        raise KeyError(part)

    def about(self) -> KBError | str:
        """Return a line on the model in use on this machine."""
        return self.model

    def add(self, part: str = "") -> str:
        """Fetch the parts that are missing, or the one that is named, and return their place.

        Raises ModelUnavailable; a step whose parts are Python packages names the command.
        """
        if (problem := self.missing()) is not None:
            raise problem
        return ""

    @abstractmethod
    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        """Return the result as JSON values. Called in a process of its own. Raises KBError."""

    def basis(self, given: StepInput) -> dict[str, Any]:
        """Return what a result is made from: it is current as long as this stays the same."""
        asked = {name: given.options[name] for name in self.options if name in given.options}
        return {"sha256": given.sha256, "track": given.track, "model": self.model, **asked}

    def is_current(self, given: StepInput, document: Mapping[str, Any]) -> bool:
        """Return True if a result is the one that the step would give now."""
        return bool(document.get(BASIS) == self.basis(given))

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        """Return the transcript with a result put in, for readers and exports; nothing is stored.

        Raises LibraryError for a damaged document.
        """
        return transcript
