"""GET /v1/models: the recognizers that a request may name. Nothing is loaded."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter

from kb.api.context import ApiContext
from kb.api.errors import ApiError


def router(context: ApiContext) -> APIRouter:
    """Return the routes of models."""
    routes = APIRouter(prefix="/v1/models", tags=["models"])
    made = int(time.time())

    def entry(name: str) -> dict[str, Any]:
        owner = name.partition("/")[0] if "/" in name else "kb-ingest"
        return {"id": name, "object": "model", "created": made, "owned_by": owner}

    @routes.get("")
    def list_models() -> dict[str, Any]:
        """List the served models: the default, those on this machine, the aliases."""
        names = (*context.models.names(), *context.models.aliases())
        return {"object": "list", "data": [entry(name) for name in names]}

    @routes.get("/{name:path}")
    def get_model(name: str) -> dict[str, Any]:
        """Return one model."""
        if context.models.find(name) is None:
            message = f"The model {name} is not served."
            raise ApiError(404, "model_not_found", message, param="model")
        return entry(name)

    return routes
