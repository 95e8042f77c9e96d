"""The limits of a dashboard that others reach, and the files that Streamlit may trust."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import streamlit as st
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton

from kb.errors import SettingsError
from kb.service.sessions import COOKIE, Sessions
from kb.service.views import current_user
from kb.settings import BUNDLED, Settings, env_folder, get_settings
from kb.settings.env_file import env_file

# What people elsewhere may not change: folders and files of this machine, addresses to which keys
# are sent, and the limits themselves.
MACHINE_SETTINGS = frozenset(
    (
        *(
            "home",
            "database_url",
            "folder_sink",
            "presets_file",
            "models_file",
            "model_cache",
            "embedding_model",
        ),
        *("yt_api_endpoint", "yt_watch_url", "yt_api_keys_file", "cookies_file", "proxy"),
        *("odin_base_url", "password", "users", "trusted_proxies", "public_url", "shared"),
        *("ingest_folders", "private_hosts", "upload_max_gb", "uploads_at_once", "upload_idle_s"),
        *("mcp_write", "paid_requests", "group_access"),
        *("digest_webhook", "smtp_host", "smtp_port", "smtp_security"),
        *("api_keys", "api_max_mb", "api_waiting", "api_uploads", "webhook_secret"),
        "search_webhook",
        *(
            "index_url",
            "media_url",
            "media_cache_gb",
            "s3_endpoint",
            "s3_region",
            "s3_key_id",
            "s3_secret",
        ),
        *("llm_url", "llm_adapter", "llm_table", "llm_prompts", "llm_token_caps", "llm_price_caps"),
        *("screen_reader", "vision_url", "vision_key", "vision_account"),
    )
)

_reached_by_others = False  # the server listens beyond this machine


def set_reached_by_others(value: bool) -> None:
    """Record whether the server listens beyond this machine."""
    global _reached_by_others
    _reached_by_others = value


def check_secrets_files() -> None:
    """Raise SettingsError if Streamlit would read secrets from a foreign current folder.

    Streamlit puts every value of `secrets.toml` into the environment, from where the settings and
    the worker's Python take addresses, passwords and paths. The current folder is trusted only if
    it is the project's, the account's own or has the trusted `.env`.
    """
    here = Path.cwd()
    if here in (BUNDLED, env_file().resolve().parent, Path.home()):
        return
    folder = here / ".streamlit"
    named_by = Path(config.get_where_defined("secrets.files"))
    found = [Path(each) for each in st.get_option("secrets.files")]
    foreign = [each for each in found if each.exists() and folder in each.parents]
    if named_by.parent == folder:
        foreign.append(named_by)
    if foreign:
        # The folder of an installed package is not for files of the user.
        trusted = BUNDLED if env_folder() == BUNDLED else Path.home()
        raise SettingsError(
            "setting.untrusted_secrets",
            "{path} comes with the current folder and may not set secrets of the dashboard.",
            hint="Start the dashboard by kb app, or move the file to {trusted}.",
            path=foreign[0],
            trusted=trusted / ".streamlit",
        )


def oidc_enabled() -> bool:
    """Return whether `.streamlit/secrets.toml` has an `[auth]` section."""
    return bool(secrets_singleton.load_if_toml_exists() and secrets_singleton.get("auth"))


def page_settings() -> Settings:
    """Return the settings for the page: with the limits of `KB_SHARED` if others reach it.

    Raises SettingsError.
    """
    settings = get_settings()
    others = _reached_by_others or oidc_enabled() or bool(settings.password.get_secret_value())
    return _shared(settings) if others and not settings.shared else settings


def signs_in() -> bool:
    """Return whether visitors sign in, so that `visitor` tells them apart."""
    return oidc_enabled() or bool(get_settings().password.get_secret_value())


def visitor() -> str:
    """Return the name of this visitor for the log of actions: an address, or a session's name."""
    if oidc_enabled():
        return str(st.user.get("email") or "unknown")
    try:
        token = st.context.cookies.get(COOKIE, "")
    except (AttributeError, RuntimeError):  # outside of a request
        token = ""
    settings = get_settings()
    if not token or not isinstance(token, str) or not settings.password.get_secret_value():
        return f"{current_user()} (dashboard)"
    return f"session {_sessions(settings).name_of(token)}"


@lru_cache(maxsize=1)
def _sessions(settings: Settings) -> Sessions:
    return Sessions(settings.home, settings.password.get_secret_value())


def may_change(name: str) -> bool:
    """Return whether the page may change a setting, by the name of its field."""
    return name not in MACHINE_SETTINGS or not page_settings().shared


@lru_cache(maxsize=1)
def _shared(settings: Settings) -> Settings:
    return settings.replace(shared=True)
