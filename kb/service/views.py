"""Names of the lower layers for the user interfaces, grouped by subject.

A name whose module loads an HTTP client, and which is used in annotations only, is imported only
for the type checker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# Machines and presets
from gpu.monitor import Sample as Sample
from gpu.preset_figures import RANGES as RANGES
from gpu.preset_figures import Preset as Preset
from gpu.preset_file import FIGURES as FIGURES
from gpu.status import BudgetUse as BudgetUse
from gpu.status import Machine as Machine
from gpu.throughput import Calibration as Calibration
from gpu.throughput import Estimate as Estimate
from gpu.throughput import Speed as Speed
from kb.hub.fetch_state import FetchState as FetchState
from kb.inference.downloads import ModelFacts as ModelFacts
from kb.inference.downloads import Verification as Verification
from kb.inference.memory_fit import MemoryRoom as MemoryRoom
from kb.inference.needed_fetch import NeededFetch as NeededFetch

# The queue
from kb.jobs.queue.client import JobQueue as JobQueue
from kb.jobs.queue.client import LaneState as LaneState
from kb.jobs.queue.hung_worker import CrashLoop as CrashLoop
from kb.jobs.queue.item_states import ACTIVE as ACTIVE
from kb.jobs.queue.item_states import STATES as STATES
from kb.jobs.queue.machine_needs import UnmetNeed as UnmetNeed
from kb.jobs.queue.outbox_states import CANCELLED as CANCELLED
from kb.jobs.queue.outbox_states import CHANGED as CHANGED
from kb.jobs.queue.outbox_states import FAILED as FAILED
from kb.jobs.queue.outbox_states import HELD as HELD
from kb.jobs.queue.outbox_states import IN_PROGRESS as IN_PROGRESS
from kb.jobs.queue.outbox_states import SYNCED as SYNCED
from kb.jobs.queue.outbox_states import SYNCING as SYNCING
from kb.jobs.queue.outbox_states import WAITING as WAITING
from kb.jobs.queue.outbox_states import OutboxEntry as OutboxEntry
from kb.jobs.queue.reasons import MissingItem as MissingItem
from kb.jobs.queue.reasons import Reason as Reason
from kb.jobs.queue.retry_schedule import end_of_tries as end_of_tries
from kb.jobs.queue.run_forecast import TimeLeft as TimeLeft
from kb.jobs.queue.runs import Failure as Failure
from kb.jobs.queue.runs import Run as Run
from kb.jobs.queue.views import PENDING as PENDING
from kb.jobs.queue.views import TURN as TURN
from kb.jobs.queue.views import QueueFigures as QueueFigures
from kb.jobs.queue.views import QueuePage as QueuePage
from kb.jobs.queue.views import QueueRow as QueueRow
from kb.jobs.queue.workflow_ids import LISTING as LISTING

# The library
from kb.library import LibraryEntry as LibraryEntry
from kb.library.audit import AuditLog as AuditLog
from kb.library.audit import current_user as current_user
from kb.library.metadata import LibraryListing as LibraryListing
from kb.library.versions import Version as Version
from kb.pipeline.hold import waits_for_review as waits_for_review
from kb.pipeline.previews import may_have_still as may_have_still

# Sources
from kb.sources.keys.key_ring import ApiKey as ApiKey
from kb.sources.keys.key_ring import KeyStatus as KeyStatus
from kb.sources.listing.listing import ListingReport as ListingReport
from kb.sources.listing.scan import Scan as Scan
from kb.sources.listing.scan import ScannedItem as ScannedItem
from kb.sources.looks import Look as Look
from kb.sources.subscriptions import Subscription as Subscription
from kb.transcript.caption_parser import AUTOMATIC_CAPTIONS as AUTOMATIC_CAPTIONS
from kb.transcript.caption_parser import HUMAN_CAPTIONS as HUMAN_CAPTIONS

# Knowledge bases
if TYPE_CHECKING:
    from kb.jobs.publisher import CostEstimate as CostEstimate
    from kb.sinks.odin.chat import Answer as Answer
    from kb.sinks.odin.chat import Reference as Reference
    from kb.sinks.odin.file_upload import FileResult as FileResult
    from kb.sinks.odin.sync import SyncPlan as SyncPlan
    from kb.sinks.odin.sync import SyncResult as SyncResult
