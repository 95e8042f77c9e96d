"""The errors of ODIN's service: its refusals by HTTP status, and failed connections."""

from __future__ import annotations

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from kb.errors import KnowledgeBaseError
from kb.storage import is_lasting


class OdinRefused(KnowledgeBaseError):
    """A refusal by ODIN; `status` is the HTTP status, 0 if there is none."""

    status = 0


class OutcomeUnknown(KnowledgeBaseError):
    """A request of unknown outcome; the project must be checked before it is sent again."""

    retryable = True


def refusal_error(status: int, reason: str) -> OdinRefused:
    """Return the error for an HTTP status; `reason` is the service's message, redacted."""
    error = _refusal_error(status, reason)
    error.status = status
    return error


def _refusal_error(status: int, reason: str) -> OdinRefused:
    if 300 <= status < 400 or status == 511:
        error = OdinRefused(
            "odin.another_answered",
            "Something else answered in place of ODIN ({status}): {reason}",
            hint="Check the network in a browser: a page to sign in or a proxy may answer. Check "
            "ODIN_BASE_URL too.",
            status=status,
            reason=reason,
        )
        error.retryable = True
        return error
    if status == 404:
        return OdinRefused(
            "odin.not_found",
            "ODIN refused ({status}): {reason}",
            hint="Check ODIN_PROJECT_ID and ODIN_API_VERSION (older projects need v2).",
            status=status,
            reason=reason,
        )
    if status == 413:
        return OdinRefused(
            "odin.too_large",
            "ODIN refused ({status}): {reason}",
            hint="Lower ODIN_DOCUMENT_BYTES, or send a smaller file (200 MB at most).",
            status=status,
            reason=reason,
        )
    if status == 422:
        return OdinRefused(
            "odin.not_understood",
            "ODIN refused ({status}): {reason}",
            hint="ODIN does not understand the request: check ODIN_PROJECT_ID and "
            "ODIN_API_VERSION.",
            status=status,
            reason=reason,
        )
    if status == 429:
        return OdinRefused(
            "odin.busy",
            "ODIN refused ({status}): {reason}",
            hint="ODIN is busy: run it again later, or lower ODIN_RATE.",
            status=status,
            reason=reason,
        )
    if status >= 500:
        return OdinRefused(
            "odin.server_error",
            "ODIN refused ({status}): {reason}",
            hint="ODIN has a problem of its own: run it again later, it does what is left.",
            status=status,
            reason=reason,
        )
    return OdinRefused(
        "odin.refused",
        "ODIN refused ({status}): {reason}",
        hint="Check ODIN_BASE_URL, ODIN_PROJECT_ID and ODIN_API_VERSION.",
        status=status,
        reason=reason,
    )


def connection_error(
    error: requests.RequestException, host: str, timeout_s: float
) -> KnowledgeBaseError:
    """Return the error for a request to `host` without an answer; it contains no credentials."""
    if is_lasting(error):
        return KnowledgeBaseError(
            "odin.cannot_ask",
            "ODIN cannot be asked: its address, or that of a proxy, is not valid ({kind}).",
            hint="Correct ODIN_BASE_URL, or HTTPS_PROXY in the environment; another attempt does "
            "not help.",
            kind=type(error).__name__,
        )
    if isinstance(error, requests.exceptions.SSLError):
        return KnowledgeBaseError(
            "odin.certificate",
            "ODIN ({host}) cannot be reached: its certificate is not accepted.",
            hint="Check the network and ODIN_BASE_URL, then run it again: it does what is left.",
            retryable=True,
            host=host,
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return KnowledgeBaseError(
            "odin.proxy",
            "ODIN ({host}) cannot be reached: the proxy does not let it through.",
            hint="Check the network and ODIN_BASE_URL, then run it again: it does what is left.",
            retryable=True,
            host=host,
        )
    if isinstance(error, requests.Timeout):
        return KnowledgeBaseError(
            "odin.timeout",
            "ODIN ({host}) cannot be reached: no answer within {timeout:g} s.",
            hint="Check the network and ODIN_BASE_URL, then run it again: it does what is left.",
            retryable=True,
            host=host,
            timeout=timeout_s,
        )
    if never_sent(error):
        return KnowledgeBaseError(
            "odin.no_connection",
            "ODIN ({host}) cannot be reached: no connection.",
            hint="Check the network and ODIN_BASE_URL, then run it again: it does what is left.",
            retryable=True,
            host=host,
        )
    return KnowledgeBaseError(
        "odin.connection_lost",
        "ODIN ({host}) cannot be reached: the connection broke off.",
        hint="Check the network and ODIN_BASE_URL, then run it again: it does what is left.",
        retryable=True,
        host=host,
    )


def never_sent(error: requests.RequestException) -> bool:
    """Return True if no connection was made, so that the service cannot have the request."""
    if is_lasting(error) or isinstance(
        error, (requests.ConnectTimeout, requests.exceptions.ProxyError)
    ):
        return True
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        return isinstance(cause.reason, (NewConnectionError, ConnectTimeoutError))
    return False
