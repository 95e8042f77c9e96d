"""Products of items (films, dubs, packs), each in a workflow of its own, in a lane of their own.

ffmpeg makes them at a lower priority than the recognizer. A product that a killed worker was making
is made again: its draft has no name that anything finds.
"""

from __future__ import annotations

from kb.errors import Cancelled
from kb.jobs.queue.step_states import CANCELLED, DONE, StepRow
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.media.low_priority import low_priority


class ProductSteps(EnrichSteps):
    """One product of one item."""

    def _carry_out(self, row: StepRow) -> str:
        # They load the decoders of media.
        from kb.pipeline.product_order import Order
        from kb.pipeline.products import obtain, trim

        context = self._context
        entry = context.library.find(self._id)
        if entry is None or entry.transcript_path is None:
            return self._end(row, CANCELLED)  # removed, or its files are gone
        context.require_room()

        def advance(share: float) -> None:
            if not self._is_wanted_now(row):
                raise Cancelled("step.cancelled", "Cancelled; nothing half written is left.")
            self._report(row, share)

        with low_priority():
            obtain(
                context.library.fenced(context.fences.step(row)), context.settings, entry,
                Order.from_dict(row.options), progress=advance,
                fetch_picture=lambda item, folder, arrived: self._fetch_picture(
                    row, item, folder, arrived
                ),
            )  # fmt: skip
        ended = self._end(row, DONE)
        trim(context.library, context.settings)
        return ended
