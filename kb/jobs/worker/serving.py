"""The answers of a worker to the needs of items that wait because some machine lacks something."""

from __future__ import annotations

from kb.asr.engines import check_engine
from kb.asr.engines.model_lookup import identify, resolve
from kb.errors import KBError
from kb.jobs.queue import machine_needs
from kb.jobs.queue.machine_needs import Need
from kb.jobs.worker.context import WorkerContext
from kb.pipeline.enrichment import step_states

# Noticed when a model is loaded only: a machine that has not tried says nothing.
_SEEN_AT_WORK = frozenset((
    "engine.no_cublas", "engine.no_compiler", "model.aligner_missing", "models.other_aligner",
    "models.other_machine",
))  # fmt: skip


def record_answers(context: WorkerContext) -> None:
    """Record which needs of waiting items this machine can meet, and which steps it has.

    Raises LibraryError.

    One machine alone has no other to name, so a library in a file records nothing.
    """
    database = context.items.database
    if database.is_sqlite:
        return
    answers = {
        need.key: found
        for need in machine_needs.needs(database)
        if (found := answer(need, context.lacking.get(need.key))) is not None
    }
    steps = [each.name for each in step_states() if each.lacking is None]
    if (answers, steps) != context.answers:
        machine_needs.record_answers(database, context.executor, answers, steps)
        context.answers = (answers, steps)


def answer(need: Need, seen: str | None = None) -> str | None:
    """Return the code of the error that an item with this need gets here, "" for none.

    `seen` is the code that an item got here. None: not known.
    """
    if need.code in _SEEN_AT_WORK:
        return seen
    try:
        if need.model:
            resolve(need.model)
        engine = need.engine or identify(need.model)[0]
        if not engine:
            return seen
        check_engine(engine)
    except KBError as error:
        return error.code
    return ""
