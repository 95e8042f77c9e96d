"""The durable workflows. Read top to bottom, this is the order of stages.

Importing this module registers them with DBOS; only a worker does.
"""

from __future__ import annotations

from dbos import DBOS

from kb.jobs.queue import workflow_ids
from kb.jobs.worker.caption_steps import CaptionsWork
from kb.jobs.worker.context import Workplace
from kb.jobs.worker.item_steps import ENDED, ItemWork
from kb.jobs.worker.publish_steps import PublishWork

# A killed worker is nobody's fault: no number of recoveries fails an item.
_NEVER = 1_000_000

_place: Workplace | None = None
_work: type[ItemWork] = ItemWork


def install(place: Workplace, work: type[ItemWork] = ItemWork) -> None:
    """Sets what the steps of this process work with, and what does their work."""
    global _place, _work
    _place, _work = place, work


def _here() -> Workplace:
    assert _place is not None, "install() comes before launch"
    return _place


@DBOS.workflow(name=workflow_ids.INGEST, max_recovery_attempts=_NEVER)
def ingest(item_id: str, serial: int) -> None:
    """One item: fetch → transcribe and write → publish."""
    for stage in (fetch, transcribe, publish):
        if stage(item_id, serial) == ENDED:
            return


@DBOS.step(name="fetch")
def fetch(item_id: str, serial: int) -> str:
    return _work(_here(), item_id, serial).fetch()


@DBOS.step(name="transcribe")
def transcribe(item_id: str, serial: int) -> str:
    return _work(_here(), item_id, serial).transcribe()


@DBOS.step(name="publish")
def publish(item_id: str, serial: int) -> str:
    return _work(_here(), item_id, serial).publish()


@DBOS.workflow(name=workflow_ids.PUBLISH, max_recovery_attempts=_NEVER)
def publish_remote(sink: str, item_id: str, serial: int) -> None:
    """One item to one remote knowledge base; holds no place among the items."""
    send(sink, item_id, serial)


@DBOS.step(name="send")
def send(sink: str, item_id: str, serial: int) -> str:
    return PublishWork(_here(), sink, item_id, serial).run()


@DBOS.workflow(name=workflow_ids.CAPTIONS, max_recovery_attempts=_NEVER)
def captions_first(item_id: str) -> None:
    """One item's captions into the local index, ahead of its own turn."""
    show_captions(item_id)


@DBOS.step(name="captions")
def show_captions(item_id: str) -> str:
    return CaptionsWork(_here(), item_id).run()
