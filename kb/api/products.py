"""Films, dubs and evidence packs of items: ordered, cancelled, and their files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.requests import Request
from starlette.responses import FileResponse

from kb.api.context import ApiContext
from kb.api.errors import ApiError
from kb.api.guard import require_paid
from kb.service.products import KeptProduct, OrderedProduct
from kb.types.safe_text import clean

Second = Annotated[float, Field(ge=0, le=1e6)]
_BY_EXTENSION = {".zip": "application/zip", ".mp4": "video/mp4", ".m4a": "audio/mp4"}
VoiceName = Annotated[str, Field(max_length=200)]


class StretchFields(BaseModel):
    """A stretch of the medium, in seconds, with its title in a reel."""

    model_config = ConfigDict(extra="forbid")

    start_s: Second
    end_s: Second
    title: Annotated[str, Field(max_length=200)] = ""


class ProductRequest(BaseModel):
    """A product to make.

    `evidence` needs one stretch; a reel without any takes the highlights; a `dub` needs a language
    that there is a translation into.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["captions", "karaoke", "soft", "reel", "evidence", "dub"]
    # A name: files of this machine are not read for a caller.
    style: Annotated[str, Field(max_length=40, pattern=r"^[a-z]*$")] = ""
    stretches: list[StretchFields] = Field([], max_length=60)
    length_s: Annotated[float, Field(ge=1, le=36_000)] | SkipJsonSchema[None] = Field(
        None, description="A reel lasts no longer."
    )
    words: Literal["captions", "karaoke", "none"] = Field(
        "captions", description="What a reel shows of the words."
    )
    fetch: bool = Field(
        False, description="Fetch the picture of an item that is kept as sound, once."
    )
    sign: bool = Field(False, description="Sign an evidence pack with the key of the library.")
    language: Annotated[str, Field(max_length=40)] = Field("", description="Of a dub, such as de.")
    voice: VoiceName = Field(
        "", description="Of a dub: a name of GET /v1/voices; empty: one of this machine."
    )
    voices: dict[VoiceName, VoiceName] = Field(
        {}, max_length=100, description="Of a dub: a voice by the name of its speaker."
    )
    sound_only: bool = Field(
        False, description="Of a dub: its sound alone, else a copy of the video where there is one."
    )


def router(context: ApiContext) -> APIRouter:
    """Return the routes of products."""
    routes = APIRouter(prefix="/v1/items", tags=["items"])
    service = context.service

    @routes.get("/{item_id}/products")
    def get_products(item_id: str) -> dict[str, Any]:
        """List what was ordered, with its state, and the files that are there."""
        entry = service.items.entry(item_id)
        return {
            "object": "list",
            "data": [_ordered(each) for each in service.products.ordered(entry.item.id)],
            "files": [_kept(each) for each in service.products.kept(entry)],
        }

    @routes.post("/{item_id}/products", status_code=202)
    def order_product(item_id: str, asked: ProductRequest, received: Request) -> dict[str, Any]:
        """Queue a product for a worker; one that is under way stays as it is.

        A dub with a voice of a service elsewhere needs a key with the scope `paid`, unless
        `KB_PAID_REQUESTS` is on.
        """
        known = service.items.entry(item_id).item.id
        if asked.kind == "dub":  # a voice of a service may cost money
            names = [asked.voice, *asked.voices.values()]
            if any(service.speech.may_cost(name.partition(":")[0]) for name in names):
                require_paid(context, received, ", which voices of a service need")
        step = service.products.request(known, _order(context, known, asked))
        found = next(each for each in service.products.ordered(known) if each.step == step)
        return _ordered(found)

    @routes.delete("/{item_id}/products/{product}")
    def cancel_product(item_id: str, product: str) -> dict[str, Any]:
        """Cancel a product that is under way; its file stays where it is made already."""
        known = service.items.entry(item_id).item.id
        return {"id": clean(product), "cancelled": service.products.cancel(known, product)}

    @routes.get(
        "/{item_id}/products/files/{name}",
        response_class=FileResponse,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    def get_file(item_id: str, name: str) -> FileResponse:
        """Send the file of a product, whole or in ranges."""
        found = service.products.file(service.items.entry(item_id).item.id, name)
        if found is None or not found.path.is_file():
            raise ApiError(404, "no_product", "There is no such file.", hint="Order it again.")
        kind = _BY_EXTENSION.get(found.path.suffix, "application/octet-stream")
        return FileResponse(found.path, media_type=kind, filename=found.file_name)

    return routes


def _order(context: ApiContext, item_id: str, asked: ProductRequest) -> Any:
    if asked.kind == "dub":
        return _dub(context, item_id, asked)
    # They load the decoders of media, which a server need not wait for.
    from kb.service.video import Stretch, Wish

    stretches = tuple(
        Stretch(each.start_s, each.end_s, clean(each.title)) for each in asked.stretches
    )
    if asked.kind == "evidence":
        if len(stretches) != 1:
            raise ApiError(
                400, "stretches", "An evidence pack is of one stretch.", param="stretches"
            )
        only = stretches[0]
        return context.service.evidence.order(
            only.start_s, only.end_s, sign=asked.sign, fetch=asked.fetch
        )
    reel = asked.kind == "reel"
    words = asked.words if reel and asked.words != "none" else None
    wish = Wish(
        asked.kind, asked.style, stretches=stretches if reel else (),
        length_s=asked.length_s if reel else None, words=words,
    )  # fmt: skip
    return context.service.videos.order(wish, fetch=asked.fetch)


def _dub(context: ApiContext, item_id: str, asked: ProductRequest) -> Any:
    from kb.service.dubbing import DUB_SOUND, Dub
    from kb.service.notation import language_code

    language = language_code(asked.language)
    if not language:
        raise ApiError(400, "language", "A dub needs a language, such as de.", param="language")
    voices = {clean(name): clean(voice) for name, voice in asked.voices.items()}
    return context.service.dubbing.order(
        item_id, Dub(language, clean(asked.voice), voices),
        DUB_SOUND if asked.sound_only else "", fetch=asked.fetch and not asked.sound_only,
    )  # fmt: skip


def _ordered(found: OrderedProduct) -> dict[str, Any]:
    return {
        "id": found.step,
        "kind": found.kind,
        "status": found.status,
        "progress": round(found.share, 3),
        "left_s": None if found.left_s is None else round(found.left_s, 1),
        "error": clean(found.error) or None,
        "hint": clean(found.hint) or None,
    }


def _kept(found: KeptProduct) -> dict[str, Any]:
    return {
        "name": found.path.name,
        "kind": found.kind,
        "bytes": found.size_bytes,
        "made_at": found.made_at,
        "picture": found.picture or None,
        "language": clean(found.language) or None,
        "stretches": [
            {"start_s": start, "end_s": end, "title": clean(title)}
            for start, end, title in found.stretches
        ],
    }
