"""Names that client and worker must share.

A workflow with a wrong name or queue would stay queued for ever without an error, so that the names
are defined only here. A workflow whose steps change their order gets a new name (`_v2`).
"""

from kb.jobs.queue import step_states

APPLICATION = "kb-ingest"
APPLICATION_VERSION = "1"  # fixed: by default it is a hash of the source code

ITEM_QUEUE = "items"
PUBLISH_QUEUE = "publish"
CAPTIONS_QUEUE = "captions"
STEP_QUEUE = "steps"
PRODUCT_QUEUE = "products"
QUEUES = (ITEM_QUEUE, PUBLISH_QUEUE, CAPTIONS_QUEUE, STEP_QUEUE, PRODUCT_QUEUE)

INGEST = "ingest_v1"
PUBLISH = "publish_v1"
CAPTIONS = "captions_v1"
STEP = "step_v1"
PRODUCT = "product_v1"

ITEM_LANE = "items"
DOWNLOAD_LANE = "download"

LISTING = "listing"  # value of the column `source` in rows that are listings (`ListingJob`)

FOREVER = 4102444800.0  # 2100-01-01: paused by a person


def ingest_id(item_id: str, serial: int) -> str:
    """Return the id of the workflow of an item; a used id is never run again."""
    return f"ingest:{item_id}:{serial}"


def publish_id(sink: str, item_id: str, serial: int) -> str:
    """Return the id of the workflow that publishes an item to a remote knowledge base."""
    return f"publish:{sink}:{item_id}:{serial}"


def captions_id(item_id: str, serial: int) -> str:
    """Return the id of the workflow that puts an item's captions into the local index."""
    return f"captions:{item_id}:{serial}"


def step_id(step: str, item_id: str, serial: int) -> str:
    """Return the id of the workflow of a step that follows an item's words."""
    return f"step:{step}:{item_id}:{serial}"


def publish_lane(sink: str) -> str:
    """Return the name of the lane of one knowledge base."""
    return f"{PUBLISH_QUEUE}:{sink}"


def machine_lane(executor: str) -> str:
    """Return the name of the lane of the items that one worker takes."""
    return f"{ITEM_LANE}@{executor}"


def queue_of(workflow_id: str) -> str:
    """Return the queue of a workflow, to queue it again."""
    if workflow_id.startswith("captions:"):
        return CAPTIONS_QUEUE
    if workflow_id.startswith(f"step:{step_states.PRODUCT}"):
        return PRODUCT_QUEUE
    if workflow_id.startswith("step:"):
        return STEP_QUEUE
    return PUBLISH_QUEUE if workflow_id.startswith("publish:") else ITEM_QUEUE
