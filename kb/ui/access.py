"""The limits of a dashboard that others reach."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st
from streamlit.runtime.secrets import secrets_singleton

from kb.service.sessions import COOKIE, Sessions
from kb.service.views import current_user
from kb.settings import Settings, get_settings

# What people elsewhere may not change: folders and files of this machine, addresses to which keys
# are sent, and the limits themselves.
MACHINE_SETTINGS = frozenset(
    (
        *("home", "database_url", "folder_sink", "presets_file", "model_cache", "embedding_model"),
        *("yt_api_endpoint", "yt_watch_url", "yt_api_keys_file", "cookies_file", "proxy"),
        *("odin_base_url", "password", "users", "trusted_proxies", "public_url", "shared"),
        *("ingest_folders", "private_hosts", "upload_max_gb", "uploads_at_once", "upload_idle_s"),
        "group_access",
    )
)

_reached_by_others = False  # the server listens beyond this machine


def set_reached_by_others(value: bool) -> None:
    """Record whether the server listens beyond this machine."""
    global _reached_by_others
    _reached_by_others = value


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
