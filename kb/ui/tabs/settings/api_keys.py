"""Keys of the HTTP API: their scopes, quotas and use; made, shown once, and revoked."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service.access_keys import SCOPES, AccessKey, KeyUse
from kb.ui import access, session
from kb.ui.i18n import text
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import asked_button

_FLASH_KEY, _MADE = "api-keys", "api_key_made"
_NAME, _SCOPES, _HOURS = "api_key_name", "api_key_scopes", "api_key_hours"
_HOUR_S = 3600.0


def render() -> None:
    """Draw the part; only where this page may change who uses the API."""
    if not access.may_change("api_keys"):
        return
    st.markdown(f"#### {text('api_keys')}")
    st.caption(text("api_keys_help"))
    with messages.steady():
        messages.show_flash(_FLASH_KEY)
        _made()
        try:
            keys = session.service().access.all()
        except KBError as error:
            messages.error(error)
            return
        for key, use in keys:
            if key.revoked_at is None:
                _key(key, use)
        if not any(key.revoked_at is None for key, _ in keys):
            st.info(text("api_keys_none"))
    _form()


def _made() -> None:
    """Draw the secret of a new key until the visitor has taken it: it is kept nowhere."""
    made: tuple[str, str] | None = st.session_state.get(_MADE)
    if made is None:
        return
    name, secret = made
    with st.container(border=True, key="api-key-made"):
        st.markdown(text("api_key_made", name=messages.escape_markdown(name)))
        st.code(secret, language=None)
        st.button(
            text("api_key_taken"), key="api-key-taken", on_click=st.session_state.pop,
            args=(_MADE, None),
        )  # fmt: skip


def _key(key: AccessKey, use: KeyUse) -> None:
    name = messages.escape_markdown(key.name)
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key=f"api-key-{key.id}"
    ):
        with st.container(gap="xxsmall"):
            st.markdown(f"**{name}** · {', '.join(map(_scope, key.scopes))}")
            st.caption(" · ".join(_use(key, use)))
        asked_button(
            text("api_key_revoke"), text("api_key_revoke_sure", name=name), _revoke, (key.id,),
            key=f"revoke-{key.id}", yes=text("api_key_revoke"),
        )  # fmt: skip


def _use(key: AccessKey, use: KeyUse) -> list[str]:
    """Return what a key has used today and this month, of its quotas, and when it was used."""
    said = []
    for period, used_s, quota_s in (
        ("day", use.day_s, key.day_s), ("month", use.month_s, key.month_s),
    ):  # fmt: skip
        used = messages.format_timedelta(used_s)
        if quota_s is not None:
            used = text("api_key_of", used=used, all=messages.format_timedelta(quota_s))
        said.append(text(f"api_key_{period}", used=used))
    if use.used_at is None:
        said.append(text("api_key_unused"))
    else:
        said.append(text("api_key_used", when=messages.format_past(use.used_at)))
    return said


def _scope(name: str) -> str:
    return text(f"api_scope_{name}")


def _form() -> None:
    with st.form("api-key-new", border=False, clear_on_submit=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                text("api_key_name"), key=_NAME, placeholder=text("api_key_name_placeholder")
            )
            labels = {name: _scope(name) for name in SCOPES}
            st.multiselect(
                text("api_key_scopes"), list(SCOPES), default=list(SCOPES[:1]), key=_SCOPES,
                format_func=labels.__getitem__,
            )  # fmt: skip
            st.number_input(
                text("api_key_hours"), min_value=0.0, value=None, step=1.0, format="%g",
                key=_HOURS, placeholder=text("api_key_any"),
            )  # fmt: skip
        st.form_submit_button(text("api_key_add"), on_click=_add)


def _add() -> None:
    state, service = st.session_state, session.service()
    hours = state.get(_HOURS)
    try:
        service.queue.prepare()
        key, secret = service.access.add(
            str(state.get(_NAME) or ""), state.get(_SCOPES) or (),
            day_s=None if hours is None else float(hours) * _HOUR_S,
        )  # fmt: skip
        service.audit.record("key added", id=key.id, name=key.name, scopes=list(key.scopes))
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    messages.clear_flash(_FLASH_KEY)
    state[_MADE] = (key.name, secret)


def _revoke(key_id: str) -> None:
    service = session.service()
    try:
        key = service.access.revoke(key_id)
        service.audit.record("key revoked", id=key.id, name=key.name)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
        return
    st.session_state.pop(_MADE, None)
    messages.flash(_FLASH_KEY, text("api_key_revoked", name=messages.escape_markdown(key.name)))
