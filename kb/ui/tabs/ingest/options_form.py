"""How to take something in: preset cards, the knobs of this run, recognizer, knowledge bases."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from gpu.presets import Preset, find_preset
from gpu.throughput import Estimate
from kb.asr.engines import ENGINES
from kb.errors import UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.sinks import SINKS
from kb.ui.i18n import format_number, text
from kb.ui.widgets import messages

PRESET, MODEL, ENGINE, LANGUAGE = "run_preset", "run_model", "run_engine", "run_language"
SINK_CHOICE, METADATA, KEEP, AGAIN = "run_sinks", "run_metadata", "run_keep", "run_again"
KEEPS = ("audio", "mp3", "mp4")
MODELS = (
    "demo",
    "openai/whisper-base",
    "openai/whisper-small",
    "openai/whisper-medium",
    "openai/whisper-large-v3-turbo",
    "openai/whisper-large-v3",
)
LANGUAGES = ("auto", "en", "de", "fr", "es", "it", "nl", "pl", "pt", "ru", "tr", "uk", "ja", "zh")
CARDS_A_ROW = 4
# Knob: the preset's field, smallest, largest, step. The ranges are the presets' own.
_KNOBS: dict[str, tuple[float, float, float]] = {
    "batch_size": (1, 256, 1),
    "chunk_s": (5, 600, 1),
    "overlap_s": (0, 299, 0.5),
    "workers": (1, 32, 1),
}


def chosen_preset(service: Service) -> Preset:
    """The preset of this run. Raises SettingsError."""
    return find_preset(
        st.session_state.get(PRESET) or service.settings.preset, service.presets.all()
    )  # fmt: skip


def cards(service: Service, audio_s: float, left_s: float) -> Estimate:
    """Draw the presets to choose from; returns what the chosen one is expected to do.

    `audio_s` of sound would be added to the `left_s` that wait already. Raises SettingsError,
    LibraryError.
    """
    presets = service.presets.all()
    chosen = chosen_preset(service)
    state = st.session_state
    run_options = RunOptions(model=state.get(MODEL) or None, engine=state.get(ENGINE) or None)
    forecasts = {each.preset: each for each in service.machines.estimates(run_options)}
    st.markdown(f"**{text('preset')}**", help=text("preset_help"))
    names = list(presets)
    for start in range(0, len(names), CARDS_A_ROW):
        for column, name in zip(
            st.columns(CARDS_A_ROW, gap="small"), names[start : start + CARDS_A_ROW], strict=False
        ):
            with column:
                _card(presets[name], forecasts[name], name == chosen.name, audio_s, left_s)
    return forecasts[chosen.name]


def _card(preset: Preset, speed: Estimate, selected: bool, audio_s: float, left_s: float) -> None:
    kind = "chosen" if selected else "other"
    with st.container(
        border=True, key=f"preset-{kind}-{preset.name}", gap="xxsmall", height="stretch"
    ):
        st.button(
            f"{preset.label}{' ✓' if selected else ''}", key=f"preset-{preset.name}",
            type="primary" if selected else "secondary", width="stretch",
            on_click=_select_preset, args=(preset.name,),
        )  # fmt: skip
        st.caption(_figures(preset))
        st.caption(_speed_text(speed, audio_s, left_s), help=_speed_help(speed))


def _figures(preset: Preset) -> str:
    key = "preset_figures_one" if preset.workers == 1 else "preset_figures"
    return text(
        key, batch=preset.batch_size, chunk=preset.chunk_s, overlap=preset.overlap_s,
        workers=preset.workers, timestamps=text(f"timestamps_{preset.timestamps}"),
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
    """What the figures of a card are taken from."""
    if not speed.rtfx:
        return text("speed_unknown_help")
    words = text("speed_help", basis=messages.escape_markdown(speed.basis))
    if speed.batch_reason:
        words += " " + text(
            "speed_batch", batch=speed.batch, reason=messages.escape_markdown(speed.batch_reason)
        )
    return words


def _select_preset(name: str) -> None:
    st.session_state[PRESET] = name


def knobs(preset: Preset) -> None:
    """Draw the preset's figures for this run to be changed."""
    with st.expander(text("knobs")):
        st.caption(text("knobs_help", preset=messages.escape_markdown(preset.label)))
        columns = st.columns(5, gap="small")
        for column, (field, (low, high, step)) in zip(columns, _KNOBS.items(), strict=False):
            kind = int if isinstance(getattr(preset, field), int) else float
            column.number_input(
                text(f"knob_{field}"), min_value=kind(low), max_value=kind(high),
                value=kind(getattr(preset, field)), step=kind(step) or kind(1),
                key=_knob_key(preset, field), persist_state="session",
                help=text(f"knob_{field}_help"),
            )  # fmt: skip
        columns[-1].selectbox(
            text("knob_timestamps"), ["segment", "word"],
            index=["segment", "word"].index(preset.timestamps),
            format_func=lambda value: text(f"timestamps_{value}"),
            key=_knob_key(preset, "timestamps"), persist_state="session",
            help=text("knob_timestamps_help"),
        )  # fmt: skip


def _knob_key(preset: Preset, field: str) -> str:
    return f"knob-{preset.name}-{field}"


def _knob(preset: Preset, field: str) -> Any:
    return st.session_state.get(_knob_key(preset, field), getattr(preset, field))


def choices(settings: Settings) -> None:
    """Draw what else a run can choose."""
    first = st.columns([3, 2, 2, 2], gap="small")
    first[0].selectbox(
        text("model"), ["", *MODELS], key=MODEL, help=text("model_help"),
        format_func=lambda name: _model_label(name, settings.model),
        accept_new_options=True, persist_state="session",
    )  # fmt: skip
    first[1].selectbox(
        text("engine"), list(dict.fromkeys((settings.engine, *ENGINES))), key=ENGINE,
        help=text("engine_help"), persist_state="session",
    )  # fmt: skip
    first[2].selectbox(
        text("language"), list(dict.fromkeys((settings.language, *LANGUAGES))), key=LANGUAGE,
        format_func=lambda code: text("language_auto") if code == "auto" else code,
        help=text("language_help"), accept_new_options=True, persist_state="session",
    )  # fmt: skip
    first[3].selectbox(
        text("keep"), KEEPS, index=KEEPS.index(settings.keep), key=KEEP,
        format_func=lambda name: text(f"keep_{name}"), help=text("keep_help"),
        persist_state="session",
    )  # fmt: skip
    second = st.columns([3, 6], gap="small")
    second[0].multiselect(
        text("sinks"), list(SINKS), default=[s for s in settings.sink_names if s in SINKS],
        key=SINK_CHOICE, format_func=lambda name: text(f"sink_{name}"), help=text("sinks_help"),
        persist_state="session",
    )  # fmt: skip
    second[1].text_input(
        text("metadata"), key=METADATA, placeholder="team=research, topic=harbour",
        help=text("metadata_help"), persist_state="session",
    )  # fmt: skip
    st.checkbox(text("again"), key=AGAIN, persist_state="session")


def _model_label(name: str, setting: str) -> str:
    if not name:
        return text("model_setting", model=setting) if setting else text("model_default")
    return text("model_demo") if name == "demo" else name


def options(service: Service) -> RunOptions:
    """The choices as they stand. Raises SettingsError or UsageError for what cannot be."""
    state = st.session_state
    preset = chosen_preset(service)
    changed = {
        field: _knob(preset, field)
        for field in (*_KNOBS, "timestamps")
        if _knob(preset, field) != getattr(preset, field)
    }
    sinks = state.get(SINK_CHOICE)
    run_options = RunOptions(
        preset=preset.name,
        model=state.get(MODEL) or None,
        engine=state.get(ENGINE) or None,
        language=state.get(LANGUAGE) or None,
        sinks=tuple(sinks) if sinks is not None else None,
        keep=state.get(KEEP) or None,
        again=bool(state.get(AGAIN)),
        metadata=_metadata(str(state.get(METADATA) or "")),
        **changed,
    )
    run_options.resolve_preset(service.settings)
    return run_options


def _metadata(typed: str) -> Mapping[str, str] | None:
    """`key=value` pairs, separated by commas. Raises UsageError."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in typed.split(","))):
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(text("metadata_wrong", pair=pair), hint=text("metadata_wrong_hint"))
        found[key.strip()] = value.strip()
    return found or None
