"""The presets as cards: their figures, and their estimated speed on this machine."""

from __future__ import annotations

import time

import streamlit as st

from kb.options import RunOptions
from kb.service import Service
from kb.service.views import Estimate, Preset
from kb.ui.i18n import format_number, has_text, text
from kb.ui.i18n.error_messages import machine_reason
from kb.ui.tabs.ingest.options_form import OptionsForm
from kb.ui.widgets import messages

CARDS_A_ROW = 4
FORM = "run"
PRESET = f"{FORM}_preset"


def ingest_form(service: Service) -> OptionsForm:
    """Return the form of the Ingest tab, with the preset that is chosen there.

    Raises SettingsError.
    """
    return OptionsForm(FORM, service, chosen_preset(service))


def chosen_preset(service: Service) -> Preset:
    """Return the preset of this run. Raises SettingsError."""
    return service.presets.find(st.session_state.get(PRESET) or service.settings.preset)


def preset_cards(service: Service, audio_s: float, left_s: float) -> Estimate:
    """Draw the presets to choose from; return the estimate for the chosen one.

    `audio_s` of sound would be added to the `left_s` that wait already. Raises SettingsError,
    LibraryError.
    """
    presets = service.presets.all()
    form = ingest_form(service)
    chosen = chosen_preset(service)
    run_options = RunOptions(model=form.value("model"), engine=form.value("engine"))
    forecasts = {each.preset: each for each in service.machines.estimates(run_options)}
    st.markdown(f"**{text('option_preset')}**", help=text("option_preset_help"))
    names = list(presets)
    for start in range(0, len(names), CARDS_A_ROW):
        for column, name in zip(
            st.columns(CARDS_A_ROW, gap="small"), names[start : start + CARDS_A_ROW], strict=False
        ):
            with column:
                _card(presets[name], forecasts[name], name == chosen.name, audio_s, left_s)
    return forecasts[chosen.name]


def _card(preset: Preset, speed: Estimate, selected: bool, audio_s: float, left_s: float) -> None:
    with st.container(
        border=True, key=f"preset-card-{preset.name}", gap="xxsmall", height="stretch"
    ):
        st.button(
            f"{preset.label}{' ✓' if selected else ''}", key=f"preset-{preset.name}",
            type="primary" if selected else "secondary", width="stretch",
            on_click=_select_preset, args=(preset.name,),
        )  # fmt: skip
        st.caption(_trade(preset), help=_figures(preset))
        st.caption(_speed_text(speed, audio_s, left_s), help=_speed_help(speed))


def how_text(service: Service) -> str:
    """Return how the run is made, in one line: preset, recognizer, language, knowledge bases.

    Raises SettingsError.
    """
    form, preset = ingest_form(service), chosen_preset(service)
    named = f"how_{preset.name}"
    language = form.value("language") or service.settings.language
    sinks = form.value("sinks")
    if sinks is None:
        sinks = service.settings.sink_names
    choices = [
        text(named) if has_text(named) else preset.label,
        str(form.value("model") or service.queue.default_model() or text("option_model_default")),
        language if language and language != "auto" else text("how_language"),
        " + ".join(_sink(name) for name in sinks) or "–",
    ]
    return text("how", choices=" · ".join(map(messages.escape_markdown, choices)))


def _sink(name: str) -> str:
    key = f"option_sinks_{name}"
    return text(key) if has_text(key) else name


def _trade(preset: Preset) -> str:
    key = f"preset_trade_{preset.name}"
    return text(key) if has_text(key) else _figures(preset)


def _figures(preset: Preset) -> str:
    key = "preset_figures_one" if preset.workers == 1 else "preset_figures"
    return text(
        key, batch=preset.batch_size, chunk=preset.chunk_s, overlap=preset.overlap_s,
        workers=preset.workers, timestamps=text(f"option_timestamps_{preset.timestamps}"),
        vram=preset.vram_budget_gb,
    )  # fmt: skip


def _speed_text(speed: Estimate, audio_s: float, left_s: float) -> str:
    if not speed.rtfx:
        return text("speed_unknown")
    words = text("speed_known", speed=format_number(speed.rtfx, 0 if speed.rtfx >= 20 else 1))
    if audio_s:
        end = time.time() + (audio_s + left_s) / speed.rtfx
        words += " · " + text("speed_end", time=messages.format_datetime(end))
    return words


def _speed_help(speed: Estimate) -> str | None:
    """Return the basis of a card's estimate as a help text."""
    if not speed.rtfx:
        return text("speed_unknown_help")
    words = text("speed_help", basis=messages.escape_markdown(machine_reason(speed.basis)))
    if speed.batch_reason:
        reason = messages.escape_markdown(machine_reason(speed.batch_reason))
        words += " " + text("speed_batch", batch=speed.batch, reason=reason)
    return words


def _select_preset(name: str) -> None:
    st.session_state[PRESET] = name
