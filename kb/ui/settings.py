"""The Settings tab: what works on this machine, and the settings in force."""

from __future__ import annotations

import streamlit as st
from pydantic import SecretStr

from kb.health import Check, check_all
from kb.settings import Settings
from kb.ui import session, show
from kb.ui.texts import counted, text

_CHECKS = "checks"
_SIGNS = {"ok": ":green[✓]", "warn": ":orange[!]", "fail": ":red[✕]"}
_SHOWN = (
    "home", "preset", "model", "engine", "language", "sinks", "device", "hold_below",
    "embedding_model", "normalize_loudness", "presets_file", "keep",
)  # fmt: skip


def render() -> None:
    """Draw the tab."""
    left, right = st.columns([11, 9], gap="large")
    with left:
        st.markdown(f"##### {text('health')}")
        _health()
    with right:
        st.markdown(f"##### {text('settings')}")
        _settings(session.service().settings)


def _health() -> None:
    checks: list[Check] | None = st.session_state.get(_CHECKS)
    if checks is None:
        service = session.service()
        with st.spinner(text("health_checking")):
            checks = check_all(service.settings, service.recognition)
        st.session_state[_CHECKS] = checks
    worst = {check.state for check in checks}
    if "fail" in worst:
        st.error(text("health_fail"))
    elif "warn" in worst:
        st.warning(counted("health_warn", sum(check.state == "warn" for check in checks)))
    else:
        st.success(text("health_ok"))
    for check in checks:
        st.markdown(f"{_SIGNS[check.state]} **{show.plain(check.name)}** — "
                    f"{show.plain(check.detail)}")  # fmt: skip
        if check.fix:
            st.code(check.fix, language=None, wrap_lines=True)
    st.button(
        text("health_again"), key="health-again",
        on_click=lambda: st.session_state.pop(_CHECKS, None),
    )  # fmt: skip


def _settings(settings: Settings) -> None:
    rows = ["| {} | {} |".format(text("setting_name"), text("setting_value")), "|---|---|"]
    for name in _SHOWN:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            continue  # a page is no place for them, masked or not
        shown = show.plain(str(value)) if value != "" else f"*{text('setting_default')}*"
        alias = Settings.model_fields[name].alias
        rows.append(f"| `{alias}` | {shown} |")
    st.markdown("\n".join(rows))
    st.caption(text("settings_help"))
