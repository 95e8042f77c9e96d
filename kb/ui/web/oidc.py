"""Sign-in through OpenID Connect by Streamlit, and the check that a user is allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping

import streamlit as st
from starlette.requests import HTTPConnection

from kb.settings import Settings
from kb.ui.access import oidc_enabled
from kb.ui.i18n import text


def check_access(settings: Settings) -> bool:
    """Return whether this visitor may see the page; draw the sign-in form if not."""
    if not oidc_enabled():
        return True
    if not st.user.is_logged_in:
        st.markdown(f"## {text('app')}")
        st.markdown(text("sign_in_asked"))
        st.button(text("sign_in"), on_click=st.login, type="primary", key="sign-in")
        return False
    if not is_allowed_user(settings, st.user.to_dict()):
        st.error(text("sign_in_refused", who=str(st.user.get("email") or "")))
        st.button(text("sign_out"), on_click=st.logout, key="sign-out")
        return False
    return True


def is_request_allowed(settings: Settings, connection: HTTPConnection) -> bool:
    """Return whether a request to an additional route is allowed, by the cookie of the sign-in."""
    if not oidc_enabled():
        return True
    user = _user(connection)
    return bool(user.get("is_logged_in")) and is_allowed_user(settings, user)


def user_name(connection: HTTPConnection) -> str:
    """Return the address of the user who sent a request; empty without a sign-in by OIDC."""
    return str(_user(connection).get("email") or "") if oidc_enabled() else ""


def _user(connection: HTTPConnection) -> dict[str, object]:
    # Streamlit's function reads the cookie, because Streamlit signs and splits it.
    from streamlit.web.server.starlette.starlette_websocket import (
        USER_COOKIE_NAME,
        _get_signed_cookie_with_chunks,
    )

    raw = _get_signed_cookie_with_chunks(dict(connection.cookies), USER_COOKIE_NAME)
    try:
        user = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return user if isinstance(user, dict) else {}


def is_allowed_user(settings: Settings, user: Mapping[str, object]) -> bool:
    """Return whether a signed-in user is one of those allowed (`KB_USERS`)."""
    allowed = {name.strip().casefold() for name in settings.users.split(",") if name.strip()}
    if not allowed:
        return True
    verified = user.get("email_verified", True) not in (False, "false")
    return verified and str(user.get("email", "")).casefold() in allowed
