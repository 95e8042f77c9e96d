"""Items of the library: the steps that follow their words, their results, and their speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from kb.api.context import ApiContext
from kb.api.guard import require_paid
from kb.service.answer_views import notes_view
from kb.service.results import StepStatus
from kb.service.speaker_names import Speaker
from kb.types.safe_text import clean

ItemId = str
Second = Annotated[float, Field(ge=0, le=1e6)]
_Name = Annotated[str, Field(min_length=1, max_length=100)]


class StepsRequest(BaseModel):
    """Steps to carry out; what has its result already is left, unless `again`."""

    model_config = ConfigDict(extra="forbid")

    steps: list[Annotated[str, Field(max_length=40)]] = Field(["auto"], min_length=1, max_length=20)
    again: bool = False
    speakers: Annotated[int, Field(ge=1, le=100)] | SkipJsonSchema[None] = Field(
        None, description="How many people speak, where it is known."
    )
    sample_rate: Annotated[int, Field(ge=1, le=100_000)] | SkipJsonSchema[None] = Field(
        None, description="Text on the screen: read every frame of this number."
    )
    sure: bool = Field(False, description="More than 20 published items may change.")


class SpeakerAct(BaseModel):
    """One act: `name` needs `name`, `merge` needs `into`, `assign` two times instead of `speaker`.

    An `assign` without `name` gives the stretch back to whom it was found for. `confirm` and
    `refuse` answer the name that a voice suggests.
    """

    model_config = ConfigDict(extra="forbid")

    act: Literal["name", "unname", "merge", "assign", "confirm", "refuse"]
    speaker: Annotated[str, Field(max_length=100)] = Field(
        "", description="A name or a label, such as S1."
    )
    name: _Name | SkipJsonSchema[None] = None
    into: _Name | SkipJsonSchema[None] = None
    start_s: Second | SkipJsonSchema[None] = None
    end_s: Second | SkipJsonSchema[None] = None

    @model_validator(mode="after")
    def _whole(self) -> SpeakerAct:
        if self.act == "assign":
            if self.start_s is None or self.end_s is None:
                raise ValueError("start_s and end_s are expected")
        elif not self.speaker:
            raise ValueError("speaker is expected")
        if self.act == "name" and self.name is None:
            raise ValueError("name is expected")
        if self.act == "merge" and self.into is None:
            raise ValueError("into is expected")
        return self


def router(context: ApiContext) -> APIRouter:
    """Return the routes of items."""
    routes = APIRouter(prefix="/v1/items", tags=["items"])
    service = context.service

    def listed(rows: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {"object": "list", "data": list(rows), **more}

    @routes.get("/{item_id}/steps")
    def get_steps(item_id: ItemId) -> dict[str, Any]:
        """List the steps that follow the item's words, with their states."""
        known = service.items.entry(item_id).item.id
        found = service.items.statuses(ids=[known])
        return listed(
            [_step(each) for status in found for each in status.steps if not each.is_product]
        )

    @routes.post("/{item_id}/steps", status_code=202)
    def request_steps(item_id: ItemId, asked: StepsRequest, request: Request) -> dict[str, Any]:
        """Queue steps of an item for a worker; `lacking` names what no machine at work has.

        Steps that ask a service which may cost money need a key with the scope `paid`, unless
        `KB_PAID_REQUESTS` is on.
        """
        known = service.items.entry(item_id).item.id
        if paid := service.enrichment.may_cost_money(asked.steps):
            require_paid(context, request, f", which {', '.join(paid)} need")
        report = service.enrichment.run(
            [known], asked.steps, again=asked.again, speakers=asked.speakers,
            sample_rate=asked.sample_rate, sure=asked.sure,
        )  # fmt: skip
        return {
            "queued": [step for step, _ in report.queued],
            "current": [step for step, _ in report.current],
            "under_way": [step for step, _ in report.under_way],
            "without_words": bool(report.without_words),
            "lacking": {
                name: {"message": clean(error.message), "hint": clean(error.hint)}
                for name, error in report.lacking.items()
            },
        }

    @routes.get("/{item_id}/speakers")
    def get_speakers(item_id: ItemId) -> dict[str, Any]:
        """List who speaks, the one with the most speaking time first, with excerpts."""
        return listed(_speakers(service.speakers.of(item_id)))

    @routes.post("/{item_id}/speakers")
    def change_speakers(item_id: ItemId, asked: SpeakerAct) -> dict[str, Any]:
        """Name, merge or reassign speakers, in all views, exports and documents at once."""
        known = service.items.entry(item_id).item.id
        acts = service.speakers
        if asked.act == "name":
            acts.name(known, asked.speaker, asked.name or "")
        elif asked.act == "unname":
            acts.unname(known, asked.speaker)
        elif asked.act == "merge":
            acts.merge(known, asked.speaker, asked.into or "")
        elif asked.act == "assign":
            acts.assign(known, asked.start_s or 0.0, asked.end_s or 0.0, asked.name or "")
        elif asked.act == "refuse":
            service.voices.refuse(known, asked.speaker)
        else:
            service.voices.confirm(known, asked.speaker)
        return listed(_speakers(acts.of(known)))

    @routes.get("/{item_id}/sound")
    def get_sound(item_id: ItemId) -> dict[str, Any]:
        """List the other items with the same sound: where, and whose words were taken over."""
        found = service.enrichment.sound_links(service.items.entry(item_id))
        return {**listed(found.as_dicts()), "not_compared_yet": found.left}

    @routes.get("/{item_id}/screen")
    def get_screen(item_id: ItemId) -> dict[str, Any]:
        """List the pages of text that were on the screen, with the times of their showings."""
        entry = service.items.entry(item_id)
        found = service.enrichment.screen_text(entry, service.items.transcript(entry.item.id))
        pages = found.pages if found is not None else ()
        rows = [
            {
                "text": clean("\n".join(page.rows())),
                "showings": [{"start_s": start, "end_s": end} for start, end in page.showings],
            }
            for page in pages
        ]
        return listed(
            rows, read=found is not None, picture=found.has_picture if found is not None else None
        )

    @routes.get("/{item_id}/notes")
    def get_notes(item_id: ItemId) -> dict[str, Any]:
        """Return what a language model noted: summary, chapters, highlights, answers, terms.

        Each statement has the transcript's own words, and a link that opens them.
        """
        return asdict(notes_view(service, item_id))

    @routes.get("/{item_id}/recurring")
    def get_recurring(item_id: ItemId) -> dict[str, Any]:
        """List what recurs in the item's channel, such as an intro, with its times."""
        found = service.enrichment.recurring(service.items.entry(item_id))
        rows = [
            {
                "start_s": each.start_s,
                "end_s": each.end_s,
                "items": each.items,
                "by_sound": each.by_sound,
                "by_text": each.by_text,
            }
            for each in found
        ]
        return listed(rows)

    return routes


def _step(found: StepStatus) -> dict[str, Any]:
    return {
        "step": found.step,
        "status": found.status,
        "progress": round(found.progress, 3),
        "error": clean(found.error) or None,
        "hint": clean(found.hint) or None,
    }


def _speakers(found: Sequence[Speaker]) -> list[dict[str, Any]]:
    return [
        {
            "speaker": clean(each.shown),
            "is_named": each.is_named,
            "labels": list(each.labels),
            "seconds": round(each.seconds, 2),
            "share": round(each.share, 4),
            "suggested": clean(each.suggested) or None,
            "similarity": each.similarity,
            "excerpts": [{**asdict(part), "text": clean(part.text)} for part in each.excerpts],
        }
        for each in found
    ]
