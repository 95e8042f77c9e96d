"""Settings of language models: the address that is asked, and what it may cost."""

from __future__ import annotations

import math
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from kb.settings.part import SettingsPart

SCOPES = ("call", "item", "run", "month")


def read_caps(value: str) -> dict[str, float]:
    """Return the limits of a text such as `call=60000, month=5000000`. Raises ValueError."""
    found: dict[str, float] = {}
    for part in filter(str.strip, value.split(",")):
        scope, mark, number = (each.strip() for each in part.partition("="))
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not mark or scope not in SCOPES or not 0 <= limit < math.inf:
            raise ValueError(f"{', '.join(SCOPES)} with a number expected, such as month=5000000")
        found[scope] = limit
    return found


def _caps(value: str) -> str:
    read_caps(value)
    return value


def _address(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        complete = bool(parts.hostname) and parts.port != 0  # reading a bad port raises
    except ValueError:
        complete = False
    if not complete or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address such as http://localhost:11434/v1 expected, without a key")
    return value


class LanguageModelSettings(SettingsPart):
    """Settings of language models. Without an address nothing is asked and nothing leaves."""

    llm_url: Annotated[str, AfterValidator(_address)] = Field(
        "",
        alias="KB_LLM_URL",
        pattern=r"^(https?://[^\s]+)?$",
        description="Language model: address of a service with OpenAI's chat protocol, up to "
        "/v1, such as http://localhost:11434/v1 (Ollama), https://api.openai.com/v1 or "
        "https://generativelanguage.googleapis.com/v1beta/openai (Gemini). Transcripts are sent "
        "there by the steps that are asked for; empty sends nothing.",
    )
    llm_model: str = Field(
        "",
        alias="KB_LLM_MODEL",
        max_length=200,
        description="Language model: its name at that service.",
    )
    llm_key: SecretStr = Field(
        SecretStr(""),
        alias="KB_LLM_KEY",
        description="Language model: key, sent as a header only. Where it is empty, OPENAI_API_KEY "
        "or GEMINI_API_KEY of the environment is taken, if the address is that provider's.",
    )
    llm_adapter: Literal["openai", "litellm"] = Field(
        "openai",
        alias="KB_LLM_ADAPTER",
        description="Language model: the package that asks it, openai or litellm (which must be "
        "installed).",
    )
    llm_table: str = Field(
        "",
        alias="KB_LLM_TABLE",
        description="Language model: a table of models and prices of your own, in the form of "
        "kb/enrich/llm/models.yaml; its rows come before those there.",
    )
    llm_prompts: str = Field(
        "",
        alias="KB_LLM_PROMPTS",
        description="Language model: folder with prompts of your own, named as those in "
        "kb/enrich/llm/prompts/.",
    )
    llm_token_caps: Annotated[str, AfterValidator(_caps)] = Field(
        "call=100000,item=2000000,run=20000000,month=50000000",
        alias="KB_LLM_TOKEN_CAPS",
        description="Language model: tokens (sent and received) at most for one call, one item, "
        "one run and a month. They are counted before a call by the bytes of its text, afterwards "
        "by what the service says.",
    )
    llm_price_caps: Annotated[str, AfterValidator(_caps)] = Field(
        "",
        alias="KB_LLM_PRICE_CAPS",
        description="Language model: price at most in the table's currency, in the same form, such "
        "as item=0.5,month=20. A model without a price in the table is then not asked.",
    )
    llm_timeout_s: float = Field(
        180.0,
        alias="KB_LLM_TIMEOUT_S",
        gt=0,
        le=3600,
        description="Language model: seconds until the whole answer must be there.",
    )
    llm_cache_mb: int = Field(
        256,
        alias="KB_LLM_CACHE_MB",
        ge=0,
        le=100_000,
        description="Language model: size of the answers that are kept in the library's database "
        "so that the same question is not paid twice.",
    )
    llm_cache_days: int = Field(
        365,
        alias="KB_LLM_CACHE_DAYS",
        ge=0,
        le=36_500,
        description="Language model: days after its last use until such an answer is deleted.",
    )
    llm_doubtful: Literal["mark", "leave_out"] = Field(
        "mark",
        alias="KB_LLM_DOUBTFUL",
        description="Language model: doubtful passages are marked for the model, or left out.",
    )
