"""The tools that change the queue; they exist only with the setting `KB_MCP_WRITE`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

from kb.mcp.library_access import LibraryAccess
from kb.mcp.speakers import (
    ItemSpeakers,
    RequestedSteps,
    merge_speakers,
    name_speaker,
    request_steps,
)
from kb.mcp.tool_errors import answered
from kb.service.requests import Requested

Id = Annotated[str, Field(description="The id of an item, or of an answer of ingest.")]
Item = Annotated[str, Field(description="The id of an item.")]
Step = Literal[
    "auto", "sound", "recurring", "speakers", "screen", "meaning", "summary", "chapters",
    "highlights", "terms", "questions",
]  # fmt: skip
Speaker = Annotated[str, Field(description="A name or a label of `speakers`, such as S1.")]
_INGEST = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
_STATUS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_RETRY = _INGEST
_CHANGE = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_CANCEL = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


class WriteTools:
    """The requests of assistants: media by link, and what becomes of them."""

    def __init__(self, library: LibraryAccess) -> None:
        self._library = library

    def ingest(
        self,
        link: Annotated[str, Field(description="An http(s) link that the user gave.")],
        newest: Annotated[
            int, Field(ge=1, le=100, description="At most so many media of a channel or playlist.")
        ] = 10,
    ) -> Requested:
        """Queue media for transcription and return at once; only for a link the user gave."""
        return answered(
            lambda: self._library.ask(lambda service: service.requests.take_in(link, newest))
        )

    def status(self, job: Id) -> Requested:
        """Return the state of a medium that was asked for, and the cause where it failed."""
        return answered(lambda: self._library.ask(lambda service: service.requests.status(job)))

    def retry(self, job: Id) -> Requested:
        """Queue a failed or cancelled medium again."""
        return answered(lambda: self._library.ask(lambda service: service.requests.retry(job)))

    def cancel(self, job: Id) -> Requested:
        """Stop a medium that is queued, waiting or running; retry takes it back."""
        return answered(lambda: self._library.ask(lambda service: service.requests.cancel(job)))

    def enrich(
        self,
        item: Item,
        steps: Annotated[
            list[Step],
            Field(
                min_length=1,
                description="auto: those that can be carried out here. summary, chapters, "
                "highlights, terms and questions are a language model's and may cost money: only "
                "as the user said, and where the library's owner allows it.",
            ),
        ],
    ) -> RequestedSteps:
        """Queue steps that find out more about a recording: who speaks, what is on the screen."""
        paid = self._library.settings.paid_requests
        return answered(
            lambda: self._library.ask(
                lambda service: request_steps(service, item, steps, paid=paid)
            )
        )

    def name_speaker(
        self,
        item: Item,
        speaker: Speaker,
        name: Annotated[str, Field(max_length=100, description="Empty takes the name away.")],
    ) -> ItemSpeakers:
        """Name a speaker everywhere in a recording, only as the user said."""
        return answered(
            lambda: self._library.ask(lambda service: name_speaker(service, item, speaker, name))
        )

    def merge_speakers(self, item: Item, speaker: Speaker, into: Speaker) -> ItemSpeakers:
        """Make two speakers of a recording one, only as the user said."""
        return answered(
            lambda: self._library.ask(lambda service: merge_speakers(service, item, speaker, into))
        )

    def add_to(self, server: MCPServer[object]) -> None:
        """Add the tools to a server."""
        tools: tuple[tuple[Callable[..., object], ToolAnnotations], ...] = (
            (self.ingest, _INGEST),
            (self.status, _STATUS),
            (self.retry, _RETRY),
            (self.cancel, _CANCEL),
            (self.enrich, _CHANGE),
            (self.name_speaker, _CHANGE),
            (self.merge_speakers, _CHANGE),
        )
        for tool, hints in tools:
            server.add_tool(tool, annotations=hints, structured_output=True)
