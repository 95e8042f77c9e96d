"""The durable workflows, with their stages in order.

Importing this module registers them with DBOS; only a worker imports it.
"""

from __future__ import annotations

from dbos import DBOS

from kb.jobs.queue import workflow_ids
from kb.jobs.worker.caption_steps import CaptionSteps
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.jobs.worker.item_steps import ItemSteps, StepResult
from kb.jobs.worker.product_steps import ProductSteps
from kb.jobs.worker.publish_steps import PublishSteps

# A killed worker is not an error of the item: no number of recoveries fails it.
_UNLIMITED = 1_000_000

_context: WorkerContext | None = None
_steps: type[ItemSteps] = ItemSteps


def install(context: WorkerContext, steps: type[ItemSteps] = ItemSteps) -> None:
    """Set the context of this process's steps, and the class that executes them."""
    global _context, _steps
    _context, _steps = context, steps


def _require_context() -> WorkerContext:
    assert _context is not None, "install() comes before launch"
    return _context


@DBOS.workflow(name=workflow_ids.INGEST, max_recovery_attempts=_UNLIMITED)
def ingest(item_id: str, serial: int) -> None:
    """Process one item: fetch → transcribe and write → publish.

    The steps return the values of `StepResult` as plain strings: DBOS records the results, and a
    record must not depend on a class of this project.
    """
    for stage in (fetch, transcribe, publish):
        if stage(item_id, serial) == StepResult.ENDED:
            return


@DBOS.step(name="fetch")
def fetch(item_id: str, serial: int) -> str:
    return _steps(_require_context(), item_id, serial).fetch().value


@DBOS.step(name="transcribe")
def transcribe(item_id: str, serial: int) -> str:
    return _steps(_require_context(), item_id, serial).transcribe().value


@DBOS.step(name="publish")
def publish(item_id: str, serial: int) -> str:
    return _steps(_require_context(), item_id, serial).publish().value


@DBOS.workflow(name=workflow_ids.PUBLISH, max_recovery_attempts=_UNLIMITED)
def publish_remote(sink: str, item_id: str, serial: int) -> None:
    """Publish one item to one remote knowledge base, without a slot in the queue of items."""
    send(sink, item_id, serial)


@DBOS.step(name="send")
def send(sink: str, item_id: str, serial: int) -> str:
    return PublishSteps(_require_context(), sink, item_id, serial).run()


@DBOS.workflow(name=workflow_ids.CAPTIONS, max_recovery_attempts=_UNLIMITED)
def captions_first(item_id: str) -> None:
    """Put one item's captions into the local index before the item is processed."""
    show_captions(item_id)


@DBOS.step(name="captions")
def show_captions(item_id: str) -> str:
    return CaptionSteps(_require_context(), item_id).run()


@DBOS.workflow(name=workflow_ids.STEP, max_recovery_attempts=_UNLIMITED)
def follow_words(step: str, item_id: str, serial: int) -> None:
    """Carry out one step of an item whose words are written."""
    enrich(step, item_id, serial)


@DBOS.step(name="enrich")
def enrich(step: str, item_id: str, serial: int) -> str:
    return EnrichSteps(_require_context(), step, item_id, serial).run()


@DBOS.workflow(name=workflow_ids.PRODUCT, max_recovery_attempts=_UNLIMITED)
def make_product(step: str, item_id: str, serial: int) -> None:
    """Make one product of an item."""
    produce(step, item_id, serial)


@DBOS.step(name="product")
def produce(step: str, item_id: str, serial: int) -> str:
    return ProductSteps(_require_context(), step, item_id, serial).run()
