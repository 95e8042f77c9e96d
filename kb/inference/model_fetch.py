"""The fetch of the models that an engine needs, before a process loads them."""

from __future__ import annotations

from collections.abc import Callable

from kb.asr.engines import check_engine, engine_spec
from kb.asr.engines.model_lookup import model_folder, resolve
from kb.errors import ModelUnavailable
from kb.hub.fetch import Conduct, Report


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
