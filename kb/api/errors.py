"""Errors of the API in OpenAI's form.

    {"error": {"message": "…", "type": "…", "param": null, "code": "…"}}

Both ways out of FastAPI have this form: its own errors of validation, and Starlette's HTTP errors.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from kb.errors import (
    Cancelled,
    GPUError,
    KBError,
    LibraryError,
    MediaUnavailable,
    ModelUnavailable,
    RetryLater,
    TranscriptionError,
    UsageError,
)
from kb.service.access_keys import QuotaUsedUp
from kb.types.safe_text import hide_credentials, printable

log = logging.getLogger(__name__)

# Clients obey a longer Retry-After by giving up.
LONGEST_WAIT_S = 120
CLIENT_GONE = 499
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_INVALID, _SERVER = "invalid_request_error", "server_error"
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """A refusal with its status; `param` is the field of the request that is at fault."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.hint = hint
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """Return the body of the answer."""
        kind = _KINDS.get(self.status, _SERVER if self.status >= 500 else _INVALID)
        message = f"{self.message} {self.hint}".strip()
        error: dict[str, Any] = {
            "message": printable(hide_credentials(message)),
            "type": kind,
            "param": self.param,
            "code": self.code,
        }
        if self.hint:
            error["kb"] = {"hint": printable(hide_credentials(self.hint))}
        return {"error": error}

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.document(), self.status, headers=self.headers)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to try again."""
    return {"Retry-After": str(max(1, min(LONGEST_WAIT_S, math.ceil(seconds))))}


def api_error(error: KBError) -> ApiError:
    """Return the refusal for an error of the service."""
    code, headers = error.code or "error", {}
    is_link = code.startswith("address.")
    if isinstance(error, MediaUnavailable):
        status, code = 400, code if is_link else "invalid_audio"
    elif isinstance(error, ModelUnavailable):
        status, code = (404, "model_not_found") if error.code == "model.unknown" else (503, code)
    elif isinstance(error, QuotaUsedUp):
        # The client must not repeat it: the quota is one of a day or a month.
        status, code = 429, "insufficient_quota"
        headers = {"x-should-retry": "false", **retry_after(LONGEST_WAIT_S)}
    elif code in ("searches.unknown", "searches.gone"):
        status = 404
    elif isinstance(error, UsageError):
        status = 400
    elif error.code == "index.empty":  # the library has nothing to be asked for yet
        status = 409
    elif isinstance(error, Cancelled):
        status = CLIENT_GONE
    elif isinstance(error, RetryLater):
        status, until = 503, error.until
        code = "model_not_loaded" if code == "recognizer.other_model" else code
        headers = retry_after(until - time.time() if until else 5)
    elif isinstance(error, TranscriptionError | GPUError | LibraryError) or error.retryable:
        status, headers = 503, retry_after(5)
    else:
        status = 500
    is_file = isinstance(error, MediaUnavailable) and not is_link
    param = "file" if is_file else None
    return ApiError(status, code, error.message, hint=error.hint, param=param, headers=headers)


def field_error(error: ValidationError | RequestValidationError) -> ApiError:
    """Return the refusal for the first field that is missing or has a bad value."""
    first = error.errors()[0]
    # FastAPI puts the part of the request first: ("body", "field").
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    name = place[0] if place else None
    if first["type"] == "missing" and place:
        return ApiError(400, "missing_required_parameter", f"{place[-1]} is missing.", param=name)
    if first["type"] == "json_invalid":
        return ApiError(400, "invalid_json", "The body is no JSON.")
    reason = str(first["msg"]).removeprefix("Value error, ")
    shown = printable(repr(first.get("input", "")))[:80]
    return ApiError(400, "invalid_value", f"{name}: {reason}, not {shown}.", param=name)


class _ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorDocument(BaseModel):
    """The body of every refusal."""

    error: _ErrorBody


# Any route may refuse: a key, a field, a size, a limit; or the recognizer may fail.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorDocument, "description": "The request is refused."},
    "5XX": {"model": ErrorDocument, "description": "The server cannot answer now."},
}


def allowed_methods(app: Any, scope: Scope) -> str:
    """Return the methods that the routes of a path take, as in the header Allow."""
    return ", ".join(
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] == Match.FULL for route in app.routes)
    )


def install(app: FastAPI) -> None:
    """Give every error of an application OpenAI's form."""

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> JSONResponse:
        if error.status == 405:
            error.headers["Allow"] = allowed_methods(app, request.scope)
        return error.response()

    @app.exception_handler(KBError)
    async def failed(_request: Request, error: KBError) -> JSONResponse:
        return api_error(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return field_error(error).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        message = str(error.detail)
        if error.status_code == 404:
            message = f"There is no {request.url.path}."
        elif error.status_code == 405:
            message = f"{request.url.path} does not take {request.method}."
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = allowed_methods(app, request.scope)
        found = ApiError(error.status_code, code, message, headers=headers)
        return found.response()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _error: Exception) -> JSONResponse:
        log.error("A request to %s failed", request.url.path)
        return ApiError(500, "unexpected", "The server failed; see its log.").response()
