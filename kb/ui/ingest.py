"""The Ingest tab: what to take in, with which preset and model, and how it goes."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from gpu.presets import Preset, find_preset
from kb.errors import KBError, UsageError
from kb.jobs.options import RunOptions
from kb.service import ItemStatus, Service
from kb.ui import session, show, uploads
from kb.ui.runner import RunView, on_the_queue, runner
from kb.ui.texts import DEFAULT_LANGUAGE, MESSAGES, text

_PATHS, _UPLOADS, _PROBLEM = "ingest_paths", "ingest_uploads", "ingest_problem"
_PRESET, _MODEL, _LANGUAGE, _AGAIN = "preset", "model", "language", "again"

_MODELS = (
    "demo",
    "openai/whisper-base",
    "openai/whisper-small",
    "openai/whisper-medium",
    "openai/whisper-large-v3-turbo",
    "openai/whisper-large-v3",
)
_LANGUAGES = ("auto", "en", "de", "fr", "es", "it", "nl", "pl", "pt", "ru", "tr", "uk", "ja", "zh")
_REFRESH_S = 1


def render() -> None:
    """Draw the tab."""
    service = session.service()
    try:
        presets = service.presets()
        chosen = find_preset(service.settings.preset, presets)
    except KBError as error:
        show.error(error)
        return
    left, right = st.columns([11, 9], gap="large")
    with left:
        _form(service, presets, chosen)
    with right:
        st.markdown(f"##### {text('progress')}")
        follow()


def follow() -> None:
    """Draw how the run goes, each second anew while something is on the queue."""
    every = _REFRESH_S if _going() else None
    st.fragment(_progress, run_every=every)()


def _going() -> bool:
    return runner().running or bool(on_the_queue(session.service(), limit=1))


def _form(service: Service, presets: dict[str, Preset], chosen: Preset) -> None:
    with st.form("ingest", border=False):
        st.text_area(
            text("paths"),
            key=_PATHS,
            placeholder=text("paths_placeholder"),
            help=text("paths_help"),
            height=84,
            persist_state="session",
        )
        st.file_uploader(
            text("upload"),
            accept_multiple_files=True,
            key=_upload_key(),
            help=text("upload_help"),
        )
        st.radio(
            text("preset"),
            list(presets),
            index=list(presets).index(chosen.name),
            format_func=lambda name: presets[name].label,
            captions=[_figures(preset) for preset in presets.values()],
            key=_PRESET,
            help=text("preset_help"),
            persist_state="session",
        )
        model, language = st.columns(2)
        with model:
            st.selectbox(
                text("model"),
                ["", *_MODELS],
                format_func=lambda name: _model_label(name, service.settings.model),
                key=_MODEL,
                help=text("model_help"),
                accept_new_options=True,
                persist_state="session",
            )
        with language:
            known = list(dict.fromkeys((service.settings.language, *_LANGUAGES)))
            st.selectbox(
                text("language"),
                known,
                format_func=lambda code: text("language_auto") if code == "auto" else code,
                key=_LANGUAGE,
                help=text("language_help"),
                accept_new_options=True,
                persist_state="session",
            )
        st.checkbox(text("again"), key=_AGAIN, persist_state="session")
        st.form_submit_button(text("start"), type="primary", on_click=_start)
    problem = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        show.error(problem)


def _start() -> None:
    """What the button does. What goes wrong is kept for the drawing that follows."""
    state = st.session_state
    dropped = state.get(_upload_key()) or []
    paths = [line.strip() for line in state.get(_PATHS, "").splitlines() if line.strip()]
    options = RunOptions(
        preset=state.get(_PRESET),
        model=state.get(_MODEL) or None,
        language=state.get(_LANGUAGE),
        again=bool(state.get(_AGAIN)),
    )
    folder = None
    try:
        if not paths and not dropped:
            raise UsageError(text("nothing_given"), hint=text("nothing_given_hint"))
        if runner().running:
            raise UsageError(text("busy"), hint=text("busy_hint"))
        if dropped:
            folder, kept = uploads.keep(dropped)
            paths += kept
        runner().start(paths, options, folder)
    except KBError as error:
        uploads.discard(folder)
        state[_PROBLEM] = error
        return
    state[_PATHS] = ""
    state["uploads_taken"] = state.get("uploads_taken", 0) + 1


def _upload_key() -> str:
    # A file uploader is emptied by giving it another name.
    return f"{_UPLOADS}-{st.session_state.get('uploads_taken', 0)}"


def _progress() -> None:
    if session.redraw_asked():
        st.rerun()
    view = runner().view()
    own = {status.id for status in view.items}
    others = [s for s in on_the_queue(session.service()) if s.id not in own]
    if not view.started and not others:
        st.info(text("progress_empty"))
        return
    if view.error is not None:
        show.error(view.error)
    _summary(view)
    for problem in view.refused:
        show.error(problem)
    for status in _by_interest(view):
        _item(status)
    for title, reason in view.skipped:
        st.caption(text("skipped", title=show.plain(title), reason=show.plain(reason)))
    if others:
        _others(others, idle=not view.running)
    if view.running or others:
        st.session_state["followed"] = True
        return
    st.button(
        text("open_library"), on_click=session.go_to, args=("tab_library",), key="open-library"
    )
    if st.session_state.pop("followed", False):
        st.rerun()  # the whole page: this part then stops renewing itself


def _by_interest(view: RunView) -> list[ItemStatus]:
    """What runs, then what has ended with the last one first, then what waits its turn."""
    rank = {"running": 0, "queued": 2}
    last_first = list(reversed(view.items))
    return sorted(last_first, key=lambda status: rank.get(status.state, 1))


def _others(others: list[ItemStatus], *, idle: bool) -> None:
    """What is on the queue from elsewhere: the command line, another visitor, an earlier run."""
    st.markdown(f"**{text('others')}**")
    for status in others:
        _item(status)
    if idle and all(status.state == "queued" for status in others):
        st.button(
            text("resume"),
            key="resume",
            help=text("resume_help"),
            on_click=_resume,
            args=([status.id for status in others],),
        )


def _resume(ids: list[str]) -> None:
    try:
        runner().resume(ids)
    except KBError as error:
        st.session_state[_PROBLEM] = error
    session.redraw()


def _summary(view: RunView) -> None:
    elapsed = show.length(view.elapsed_s)
    if view.running and not view.items:
        st.caption(text("progress_reading"))
        st.progress(0.0)
    elif view.running and all(status.state == "queued" for status in view.items):
        st.caption(text("progress_preparing"))
    elif view.running:
        done = len(view.ended)
        st.caption(text("progress_running", elapsed=elapsed, done=done, all=len(view.items)))
    elif view.items:
        counts = Counter(status.state for status in view.items)
        words = ", ".join(f"{count} {text(f'state_{state}')}" for state, count in counts.items())
        st.caption(text("progress_ended", elapsed=elapsed, counts=words))
    elif view.skipped:
        st.success(text("progress_nothing"))


def _item(status: ItemStatus) -> None:
    with st.container(border=True, gap="xsmall", key=f"run-{status.id}"):
        title = show.plain(status.title)
        if status.state == "running":
            done = min(1.0, max(0.0, status.progress))
            st.markdown(f"**{title}**")
            st.progress(done, text=f"{stage(status.stage)} · {done:.0%}")
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"{show.colored_state(status.state)} · **{title}**", width="stretch")
            if status.state in ("done", "held"):
                st.button(
                    text("open_item"),
                    key=f"run-open-{status.id}",
                    on_click=session.open_item,
                    args=(status.id,),
                    type="tertiary",
                )
        if status.error:
            message = uploads.without_place(status.error)
            show.trouble(message, status.hint, severe=status.state == "failed")


def stage(name: str) -> str:
    """What is being done to an item, in words."""
    return text(f"stage_{name}") if f"stage_{name}" in MESSAGES[DEFAULT_LANGUAGE] else name


def _figures(preset: Preset) -> str:
    values = {
        "batch": preset.batch_size,
        "chunk": preset.chunk_s,
        "overlap": preset.overlap_s,
        "timestamps": preset.timestamps,
    }
    if preset.workers == 1:
        return text("preset_figures_one", **values)
    return text("preset_figures", workers=preset.workers, **values)


def _model_label(name: str, setting: str) -> str:
    if name == "demo":
        return text("model_demo")
    if name:
        return name
    return text("model_setting", model=setting) if setting else text("model_default")
