"""The fetch of the models that an engine needs, before a process loads them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from kb.asr.engines import check_engine, engine_spec
from kb.asr.engines.model_lookup import model_folder, resolve
from kb.errors import KBError, ModelUnavailable
from kb.hub.conduct import Conduct
from kb.hub.fetch_progress import Report
from kb.hub.models import known_ready
from kb.settings import Settings


def are_ready(engine: str, model: str) -> bool:
    """Return True if the models that an engine needs for `model` are complete, or are folders."""
    try:
        check_engine(engine)
        refs = [resolve(name) for name in engine_spec(engine).needs(model)]
    except KBError:
        return False
    return all(ref.local or known_ready(ref.target) is not None for ref in refs)


def targets(engine: str, model: str) -> set[str]:
    """Return the names at the hub of the models that an engine needs; unknown ones are left out."""
    found: set[str] = set()
    with suppress(KBError):  # an engine that a version before had
        for name in engine_spec(engine).needs(model):
            with suppress(ModelUnavailable):
                ref = resolve(name)
                found |= set() if ref.local else {ref.target}
    return found


def within_floor(settings: Settings, conduct: Conduct | None = None) -> Conduct:
    """Return the conduct of a fetch that leaves the floor of free space of the settings."""
    chosen = conduct or Conduct()
    floor = settings.free_space.floor_bytes
    return replace(chosen, room_bytes=max(chosen.room_bytes, floor))


def fetch_models(
    engine: str,
    model: str,
    *,
    report: Report = lambda state: None,
    cancelled: Callable[[], bool] = lambda: False,
    conduct: Conduct | None = None,
) -> None:
    """Fetch the models that an engine needs for `model`, where they are not complete here.

    A failure of another model than `model` is left to the engine, which names its setting. Raises
    SettingsError for the engine, ModelUnavailable and Cancelled.
    """
    check_engine(engine)
    for name in engine_spec(engine).needs(model):
        try:
            model_folder(resolve(name), report=report, cancelled=cancelled, conduct=conduct)
        except ModelUnavailable:
            if name == model:
                raise
