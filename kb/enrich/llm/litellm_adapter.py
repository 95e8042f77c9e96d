"""The second adapter: the package litellm, which knows the protocols of many providers.

The model's name begins with its provider, such as `openai/tiny` or `mistral/mistral-small-2603`.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from kb.enrich.llm import protocol
from kb.enrich.llm.endpoint import Endpoint
from kb.enrich.llm.protocol import Arrived, LostError, NotSentError
from kb.errors import KBError, UsageError

# Variables that are meant for OpenAI's own service would be sent to any address.
_FOREIGN_HEADERS = ("openai-organization", "openai-project")
_answered = threading.local()  # `status` of the last answer that this thread got


def prepare() -> None:
    """Import the package, without requests of its own and without its advertisements."""
    # Without it the import asks GitHub for a table of prices.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # Dozens, about types of its own, also at its first question.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydantic\b")
    import litellm  # type: ignore[import-not-found, unused-ignore]

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    # Its messages hold questions and answers.
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if litellm.client_session is None:
        litellm.client_session = _session()


def _session() -> Any:
    """Return an HTTP client that follows no redirect and reads answers up to their limit."""
    import httpx

    def sent(request: Any) -> None:
        _answered.status = None
        request.headers["accept-encoding"] = "identity"
        for name in _FOREIGN_HEADERS:
            request.headers.pop(name, None)

    def answered(response: Any) -> None:
        _answered.status = response.status_code
        protocol.bound(httpx, response)

    hooks: Any = {"request": [sent], "response": [answered]}
    return httpx.Client(follow_redirects=False, timeout=None, event_hooks=hooks)


def ask(
    endpoint: Endpoint,
    messages: Sequence[Mapping[str, str]],
    schema: Mapping[str, Any],
    most_tokens: int,
) -> Arrived:
    """Ask once. Raises NotSentError and LostError."""
    import litellm

    _answered.status = None
    try:
        litellm.get_llm_provider(model=endpoint.model, api_base=endpoint.url)
    except Exception:  # of its many
        raise NotSentError(_no_provider(endpoint)) from None
    try:
        answer = litellm.completion(
            model=endpoint.model, api_base=endpoint.url, api_key=endpoint.key or "none",
            messages=list(messages), timeout=endpoint.timeout_s, num_retries=0, max_retries=0,
            **{endpoint.row.limit: most_tokens}, **protocol.options(endpoint, schema),
        )  # fmt: skip
        return protocol.read_answer(endpoint, answer.model_dump_json(warnings=False).encode())
    except (LostError, NotSentError):
        raise
    except Exception as error:
        raise _error(endpoint, error, litellm) from None


def _error(endpoint: Endpoint, error: Exception, litellm: Any) -> LostError | NotSentError:
    """Return the error for one of litellm, which gives a status of its own to what has none."""
    if isinstance(error, litellm.Timeout):
        return LostError(protocol.no_answer(endpoint))
    response = getattr(error, "response", None)
    # Providers that do not use the session above have the status of the error alone.
    status = getattr(_answered, "status", None) or getattr(error, "status_code", None)
    if getattr(_answered, "status", None) == 200:
        return LostError(protocol.broken(endpoint))
    if isinstance(error, litellm.APIConnectionError) or not isinstance(status, int):
        return LostError(protocol.unreachable(endpoint, error))
    if getattr(_answered, "status", None) is None and status == 500:
        return LostError(protocol.unreachable(endpoint, error))
    return protocol.refusal(endpoint, status, response)


def _no_provider(endpoint: Endpoint) -> KBError:
    return UsageError(
        "llm.no_provider",
        "litellm does not know the provider of {model}.",
        hint="Put it before the name: KB_LLM_MODEL=openai/{model}, for any service with OpenAI's "
        "protocol.",
        model=endpoint.model,
    )
