"""Questions to the library over HTTP: sentences with their sources, or the passages alone."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from kb.api.context import ApiContext
from kb.api.errors import ApiError, retry_after
from kb.api.guard import require_paid
from kb.errors import KnowledgeBaseError
from kb.service.answer_views import answer_view

AT_ONCE = 3  # questions to the language model; each has a process of its own
WAIT_S = 10.0  # that a refused client is asked to wait


class QuestionRequest(BaseModel):
    """A question to the library; without `model` the answer is the passages that fit."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, max_length=2_000)]
    model: StrictBool = Field(
        True, description="Let the language model answer, if one is configured."
    )


def router(context: ApiContext) -> APIRouter:
    """Return the route of questions."""
    routes = APIRouter(prefix="/v1/answers", tags=["answers"])
    service, free = context.service, threading.Semaphore(AT_ONCE)

    @routes.post("")
    def answer(asked: QuestionRequest, request: Request) -> dict[str, Any]:
        """Answer a question from the library, each sentence with its source.

        `outcome` is `answered`, `not_in_library`, or `passages` where no model is configured, asked
        or able to answer. A question to a model needs a key with the scope `paid`, unless
        `KB_PAID_REQUESTS` is on.
        """
        asks = asked.model and bool(context.settings.llm_url)
        if asks:
            require_paid(context, request, ", which answers of a language model need")
            if not free.acquire(blocking=False):
                raise ApiError(
                    429,
                    "rate_limit_exceeded",
                    f"{AT_ONCE} questions are being answered.",
                    hint="Try again in a few seconds.",
                    headers=retry_after(WAIT_S),
                )
        try:
            found = service.answers.ask(asked.question, with_model=asked.model)
        except KnowledgeBaseError as error:  # nothing is in the index yet
            raise ApiError(404, error.code or "error", error.message, hint=error.hint) from error
        finally:
            if asks:
                free.release()
        return {"object": "answer", **asdict(answer_view(service, asked.question, found))}

    return routes
