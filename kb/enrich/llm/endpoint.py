"""The service that is asked: address, model, key, limits; and what is missing for it."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from kb.enrich.llm.table import Row, find_row
from kb.errors import KBError, ModelUnavailable
from kb.settings import Settings
from kb.types.addresses import is_loopback
from kb.types.safe_text import is_header_value

PACKAGES = {"openai": "kb-ingest[llm]", "litellm": "kb-ingest[litellm]"}
# A provider's own variable is read for that provider's host alone, and only encrypted.
PROVIDER_KEYS = {
    "api.openai.com": "OPENAI_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service and a model of it. `key` is never shown; `priced_at` is the date of the price."""

    url: str
    model: str
    adapter: str
    row: Row
    priced_at: date
    timeout_s: float
    key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def place(self) -> str:
        """The service as it is shown: host and port."""
        return urlsplit(self.url).netloc

    @property
    def is_local(self) -> bool:
        """True if what is sent stays on this machine."""
        return is_loopback(self.host)

    @property
    def is_plain(self) -> bool:
        """True if what is sent leaves this machine without encryption."""
        return not self.is_local and urlsplit(self.url).scheme == "http"


def find_endpoint(settings: Settings) -> Endpoint:
    """Return the configured service. Raises ModelUnavailable if there is none.

    Raises SettingsError for a table with a mistake. Nothing is asked, and no package is imported.
    """
    if (problem := missing(settings)) is not None:
        raise problem
    url = settings.llm_url.rstrip("/")
    host = urlsplit(url).hostname or ""
    own = Path(settings.llm_table).expanduser() if settings.llm_table else None
    name = settings.llm_model
    if settings.llm_adapter == "litellm":  # its names begin with the provider
        name = name.rpartition("/")[2]
    found = find_row(host, name, own)
    return Endpoint(
        url=url,
        model=settings.llm_model,
        adapter=settings.llm_adapter,
        row=found.row,
        priced_at=found.at,
        timeout_s=settings.llm_timeout_s,
        key=_key(settings),
    )


def missing(settings: Settings) -> KBError | None:
    """Return the error of what is missing for a question to a language model, None if nothing."""
    if not settings.llm_url or not settings.llm_model:
        return ModelUnavailable(
            "llm.no_address",
            "No language model is configured.",
            hint="Set KB_LLM_URL and KB_LLM_MODEL, see .env.example. Transcripts are sent there.",
        )
    package = settings.llm_adapter
    if importlib.util.find_spec(package) is None:
        return ModelUnavailable(
            "llm.no_package",
            "The package {package} is not installed.",
            hint="Install it: pip install '{requirement}'",
            package=package,
            requirement=PACKAGES[package],
        )
    if not is_header_value(_key(settings)):
        return ModelUnavailable(
            "llm.key_form",
            "The key of the language model holds characters that no key has (spaces, line breaks, "
            "letters with accents).",
            hint="Check KB_LLM_KEY, or the provider's own variable.",
        )
    return None


def _key(settings: Settings) -> str:
    """Return the key, of the settings or of the provider's own variable."""
    own = settings.llm_key.get_secret_value().strip()
    return own or _provider_key(settings.llm_url.rstrip("/"))


def _provider_key(url: str) -> str:
    parts = urlsplit(url)
    name = PROVIDER_KEYS.get(parts.hostname or "")
    return os.environ.get(name, "").strip() if name and parts.scheme == "https" else ""
