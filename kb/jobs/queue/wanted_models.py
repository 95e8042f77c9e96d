"""The recognizers that items of the queue need."""

from __future__ import annotations

import sqlalchemy as sa

from kb.database import Database, items
from kb.database.repeating import repeated
from kb.jobs.queue.item_states import ACTIVE, FAILED
from kb.jobs.queue.request_settings import ASKED
from kb.jobs.queue.views import READ_STAGES
from kb.jobs.queue.workflow_ids import LISTING


@repeated
def wanted_models(database: Database) -> set[tuple[str, str]]:
    """Return engine and model of all items that are to be transcribed; "" for a default.

    Those that have failed because of their model are among them, since a retry needs it. Raises
    LibraryError.
    """
    c = items.c
    stored = c.options[ASKED]["settings"]
    names = [
        # The request's settings have the run's own choice; rows of a version before have none.
        sa.func.coalesce(stored[name].as_string(), c.options[name].as_string(), "")
        for name in ("engine", "model")
    ]
    lacks_model = sa.and_(
        c.state == FAILED, sa.func.coalesce(c.problem["code"].as_string(), "").startswith("model.")
    )
    query = sa.select(*names).distinct().where(
        c.source != LISTING,
        sa.func.coalesce(c.stage, "").not_in(READ_STAGES),
        sa.or_(c.state.in_(ACTIVE), lacks_model),
    )  # fmt: skip
    with database.begin() as connection:
        return {(str(engine), str(model)) for engine, model in connection.execute(query)}
