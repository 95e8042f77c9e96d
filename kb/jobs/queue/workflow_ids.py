"""Names that client and worker must agree on.

A workflow with a wrong name or queue would stay queued for ever without an error, so the names
are only here. A workflow whose steps change order gets a new name (`_v2`).
"""

APPLICATION = "kb-ingest"
APPLICATION_VERSION = "1"  # pinned: by default it is a hash of the source

ITEM_QUEUE = "items"
PUBLISH_QUEUE = "publish"
CAPTIONS_QUEUE = "captions"
QUEUES = (ITEM_QUEUE, PUBLISH_QUEUE, CAPTIONS_QUEUE)

INGEST = "ingest_v1"
PUBLISH = "publish_v1"
CAPTIONS = "captions_v1"

ITEM_LANE = "items"
DOWNLOAD_LANE = "download"

LISTING = "listing"  # the `source` column of rows that are listings (`ListingJob`)

FOREVER = 4102444800.0  # 2100-01-01: paused by hand


def ingest_id(item_id: str, serial: int) -> str:
    """Return the id of the workflow of an item; a used id is never run again."""
    return f"ingest:{item_id}:{serial}"


def publish_id(sink: str, item_id: str, serial: int) -> str:
    """Return the id of the workflow that publishes an item to a remote knowledge base."""
    return f"publish:{sink}:{item_id}:{serial}"


def captions_id(item_id: str, serial: int) -> str:
    """Return the id of the workflow that makes an item's captions searchable before its turn."""
    return f"captions:{item_id}:{serial}"


def publish_lane(sink: str) -> str:
    """Return the name of the lane of one knowledge base."""
    return f"{PUBLISH_QUEUE}:{sink}"


def queue_of(workflow_id: str) -> str:
    """Return the queue that a workflow belongs to, to put it there again."""
    if workflow_id.startswith("captions:"):
        return CAPTIONS_QUEUE
    return PUBLISH_QUEUE if workflow_id.startswith("publish:") else ITEM_QUEUE
