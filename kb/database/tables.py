"""Tables of the library database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()


def _problem_column() -> sa.Column[Any]:
    """Return a column for an error's code and values; NULL for an error without a code."""
    return sa.Column("problem", sa.JSON(none_as_null=True))


_schema = sa.Table(
    "kb_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("applied_at", sa.Double, nullable=False),
)


items = sa.Table(
    "kb_items",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False, default=""),
    sa.Column("source", sa.Text, nullable=False, default=""),
    sa.Column("reference", sa.Text, nullable=False, default=""),
    sa.Column("published", sa.Text, nullable=False, default=""),
    sa.Column("duration_s", sa.Double),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False, default=""),
    sa.Column("progress", sa.Double, nullable=False, default=0.0),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("hint", sa.Text, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("deaths", sa.Integer, nullable=False, default=0),
    # `run` counts the requested transcriptions (--again), `serial` the workflows started for the
    # item: the workflow's id contains it, so that an old workflow is recognized.
    sa.Column("run", sa.Integer, nullable=False, default=1),
    sa.Column("serial", sa.Integer, nullable=False, default=1),
    sa.Column("executor", sa.Text, nullable=False, default=""),
    sa.Column("priority", sa.Integer, nullable=False, default=1000),
    sa.Column("item", sa.JSON, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON),
    sa.Column("wait_until", sa.Double),
    sa.Column("enqueued_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("grade", sa.Text, nullable=False, default="", server_default=""),
    sa.Column("expected_errors", sa.Double),
    # The number of the last attempt at the item, or of the last change by hand; see
    # `kb.library.fencing`.
    sa.Column("fencing_token", sa.BigInteger, nullable=False, default=0, server_default="0"),
    _problem_column(),
    # The first failure of a series whose cause can pass, and the newest yt-dlp that it was met
    # with; `wait_until` of such a failed item is the time of its next attempt.
    sa.Column("failing_since", sa.Double),
    sa.Column("failed_with", sa.Text),
    sa.Index("kb_items_state", "state"),
    sa.Index("kb_items_enqueued", "enqueued_at"),
)


# Runs: each is what one request, or one look at a followed source, has queued. The options of an
# item have the id of its newest run (`kb.options.RUN`); `run_items` has all of them. `forecast` is
# what was expected before, `measured` what a worker has measured since (`kb.jobs.queue.runs`).
# `ended_at` is the time at which its last item ended first, `reported_at` that of its e-mail.
runs = sa.Table(
    "kb_runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False, default=""),
    sa.Column("who", sa.Text, nullable=False, default=""),
    sa.Column("followed", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("forecast", sa.JSON(none_as_null=True)),
    sa.Column("measured", sa.JSON(none_as_null=True)),
    sa.Column("ended_at", sa.Double),
    sa.Column("reported_at", sa.Double),
    sa.Index("kb_runs_created", "created_at"),
    sa.Index("kb_runs_ended", "ended_at"),
)


run_items = sa.Table(
    "kb_run_items",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Index("kb_run_items_item", "item_id"),
)


lanes = sa.Table(
    "kb_lanes",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("paused_until", sa.Double),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("strikes", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.Double, nullable=False, default=0.0),
    sa.Column("updated_at", sa.Double, nullable=False, default=0.0),
    _problem_column(),
)


workers = sa.Table(
    "kb_workers",
    metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False, default=""),
    sa.Column("pid", sa.Integer, nullable=False, default=0),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("facts", sa.JSON),
    sa.Column("instance", sa.Text),  # a random word of the process that has the name
)


# Keys are never stored: `fingerprint` is the beginning of a key's SHA-256.
api_keys = sa.Table(
    "kb_api_keys",
    metadata,
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False, default="ready"),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("until", sa.Double),
    sa.Column("day", sa.Text, nullable=False, default=""),
    sa.Column("units", sa.Integer, nullable=False, default=0),
    sa.Column("updated_at", sa.Double, nullable=False, default=0.0),
)


# An interrupted listing continues at `next_token`; its pages so far are stored too.
listings = sa.Table(
    "kb_listings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("pages", sa.Integer, nullable=False, default=0),
    sa.Column("next_token", sa.Text, nullable=False, default=""),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
)


listing_pages = sa.Table(
    "kb_listing_pages",
    metadata,
    sa.Column("listing_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("items", sa.JSON, nullable=False),
)


# The known lists of sources: see `kb.sources.listing.known_list`.
lists = sa.Table(
    "kb_lists",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("looks", sa.Integer, nullable=False, default=0),
    sa.Column("walks", sa.JSON),
    sa.Column("whole_at", sa.Double),
    sa.Column("extent", sa.Text, nullable=False, default=""),
    sa.Column("missing", sa.Integer, nullable=False, default=0),
    sa.Column("surplus", sa.Integer),
    sa.Column("low", sa.Integer),
    sa.Column("counted_at", sa.Double),
    sa.Column("floors", sa.JSON),
)


list_entries = sa.Table(
    "kb_list_entries",
    metadata,
    sa.Column("list_id", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("since", sa.Integer, nullable=False),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("moment", sa.Text, nullable=False, default=""),
    sa.Column("gone", sa.Boolean, nullable=False),
    sa.Column("available", sa.Boolean, nullable=False),
    sa.Column("read_at", sa.Double),
    sa.Column("item", sa.JSON(none_as_null=True)),
)


# Of the version before the known lists; nothing reads it.
whole_listings = sa.Table(
    "kb_whole_listings",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("filters", sa.Text, primary_key=True),
    sa.Column("missing", sa.Integer, nullable=False),
    sa.Column("ended_at", sa.Double),
)


subscriptions = sa.Table(
    "kb_subscriptions",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("every_s", sa.Double, nullable=False),
    sa.Column("filters", sa.JSON, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double),
    sa.Column("error", sa.Text, nullable=False, default=""),
    _problem_column(),
    sa.Column("channel_id", sa.Text),  # the lasting id, unknown before the first check
    # The present names of the channel or playlist, and those by which it was followed earlier.
    sa.Column("title", sa.Text),
    sa.Column("handle", sa.Text),
    sa.Column("names", sa.JSON(none_as_null=True)),
    sa.Column("followed_at", sa.Double),  # the last request to follow it; null: `created_at`
)


# Looks at followed references: one row for each attempt, also for one that was killed. `ended_at`
# is null while it runs; `executor` is the worker that makes it.
looks = sa.Table(
    "kb_looks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subscription", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("executor", sa.Text, nullable=False, default=""),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("outcome", sa.Text, nullable=False, default=""),
    sa.Column("via", sa.Text, nullable=False, default=""),
    sa.Column("reported", sa.Integer),
    sa.Column("listed", sa.Integer, nullable=False, default=0),
    sa.Column("units", sa.Integer, nullable=False, default=0),
    sa.Column("found", sa.Integer, nullable=False, default=0),
    sa.Column("known", sa.Integer, nullable=False, default=0),
    sa.Column("filtered", sa.Integer, nullable=False, default=0),
    sa.Column("unavailable", sa.Integer, nullable=False, default=0),
    sa.Column("queued", sa.Integer, nullable=False, default=0),
    sa.Column("retried", sa.Integer, nullable=False, default=0),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("hint", sa.Text, nullable=False, default=""),
    _problem_column(),
    sa.Column("next_at", sa.Double),
)


# Items in remote knowledge bases. A row is written before any data is sent, so that a process that
# finds a row that is not `synced` reads the remote first; `owner` is the process that works on it.
publications = sa.Table(
    "kb_publications",
    metadata,
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("content_sha256", sa.Text, nullable=False, default=""),
    sa.Column("names", sa.JSON, nullable=False),
    sa.Column("extra", sa.JSON, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("owner", sa.Text, nullable=False, default=""),
    sa.Column("owned_at", sa.Double, nullable=False, default=0.0),
    sa.Column("updated_at", sa.Double, nullable=False),
)


# The activity of each worker's machine. `now` is written every few seconds, `history` less often.
machines = sa.Table(
    "kb_machines",
    metadata,
    sa.Column("executor_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("now", sa.JSON, nullable=False),
    sa.Column("history", sa.JSON, nullable=False),
)


# One row for each transcription: its duration, and the model and device that were used.
speeds = sa.Table(
    "kb_speeds",
    metadata,
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("ended_at", sa.Double, nullable=False),
    sa.Column("executor_id", sa.Text, nullable=False, default=""),
    sa.Column("host", sa.Text, nullable=False, default=""),
    sa.Column("engine", sa.Text, nullable=False, default=""),
    sa.Column("model", sa.Text, nullable=False, default=""),
    sa.Column("preset", sa.Text, nullable=False, default=""),
    sa.Column("media_s", sa.Double, nullable=False),
    sa.Column("asr_s", sa.Double, nullable=False),
    sa.Column("total_s", sa.Double, nullable=False),
    sa.Index("kb_speeds_ended", "ended_at"),
)


# The results of `kb calibrate`, one row for each machine, device, engine and model.
calibrations = sa.Table(
    "kb_calibrations",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)


# The state of each item in each knowledge base, and the uploads that are still to be made: any
# worker sends a waiting row when `due_at` has come. `serial` numbers the workflows, `since` is the
# time of the request, `extra` the own metadata of the request (empty: the same as before),
# `project` the remote project that has the item (null: not recorded).
deliveries = sa.Table(
    "kb_deliveries",
    metadata,
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("hint", sa.Text, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("serial", sa.BigInteger, nullable=False, default=0),
    sa.Column("priority", sa.Integer, nullable=False, default=1000),
    sa.Column("extra", sa.JSON),
    sa.Column("due_at", sa.Double),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    _problem_column(),
    sa.Column("project", sa.Text),
    sa.Index("kb_deliveries_item", "item_id"),
    sa.Index("kb_deliveries_status", "status"),
)


# Steps that follow an item's words (`kb.enrich`), one row for each item and step. The results are
# files of the library; a row says what is still to do, or why there is no result. `serial` numbers
# the workflows, `options` are those of the request, `since` is the time of the request.
steps = sa.Table(
    "kb_steps",
    metadata,
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("progress", sa.Double, nullable=False, default=0.0),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("hint", sa.Text, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("serial", sa.BigInteger, nullable=False, default=0),
    sa.Column("priority", sa.Integer, nullable=False, default=1000),
    sa.Column("options", sa.JSON(none_as_null=True)),
    sa.Column("due_at", sa.Double),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    _problem_column(),
    sa.Index("kb_steps_item", "item_id"),
    sa.Index("kb_steps_status", "status"),
)


# Facts about the library: its identity, which its folder has too (`kb.library.identity`), and for
# SQLite the last number of an attempt (`kb.database.fencing`).
library_facts = sa.Table(
    "kb_library",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


# PostgreSQL's counter of attempts. A row would be locked by each of them until its transaction
# ends, a machine that hangs in one included.
fencing_tokens = sa.Sequence("kb_fencing_tokens", start=1)


# A row says that the queue was moved from here to another database, so that no process continues
# what is left here.
moves = sa.Table(
    "kb_moves",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)


# Jobs of programs over HTTP. `own` are the items that the job has queued, `known` those that were
# there already; `asked` is the SHA-256 of the request, and `idempotency_key` the caller's own word
# for it. A notice is sent to `webhook` once, when all its items have ended. `charged_s` seconds of
# sound are counted for its key on `charge_day` until then; at `settled_at` what was read was.
api_jobs = sa.Table(
    "kb_api_jobs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, nullable=False, default=""),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("own", sa.JSON, nullable=False),
    sa.Column("known", sa.JSON, nullable=False),
    sa.Column("webhook", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("cancelled_at", sa.Double),
    sa.Column("noticed_at", sa.Double),
    sa.Column("charge_day", sa.Text),
    sa.Column("charged_s", sa.Double),
    sa.Column("settled_at", sa.Double),
    sa.UniqueConstraint("caller", "idempotency_key"),
    sa.Index("kb_api_jobs_created", "created_at"),
)


# Notices to webhooks. `next_at` is None once a notice has arrived or was given up.
notices = sa.Table(
    "kb_webhook_notices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("next_at", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, default=""),
)


# Keys of the HTTP API: the SHA-256 of each, never the key. Quotas are seconds of sound, and
# transcriptions under way at once; null for none.
access_keys = sa.Table(
    "kb_access_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("day_s", sa.Double),
    sa.Column("month_s", sa.Double),
    sa.Column("at_once", sa.Integer),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
)


# Seconds of sound that each key has used, by day (UTC, `2026-11-27`). Work under way is counted by
# its declared length; `read_s` are those of ended work alone.
access_use = sa.Table(
    "kb_access_use",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("read_s", sa.Double, nullable=False, default=0.0, server_default="0"),
    sa.Column("used_at", sa.Double, nullable=False),
)


# Calls of language models: reserved before the call, settled by what the service says it used. A
# call whose answer never came stays `open`: its reservation counts. `price` is null where the
# model's price is not known.
llm_calls = sa.Table(
    "kb_llm_calls",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False, default=""),
    sa.Column("item_id", sa.Text, nullable=False, default=""),
    sa.Column("run", sa.Text, nullable=False, default=""),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("reserved_price", sa.Double),
    sa.Column("tokens_in", sa.BigInteger, nullable=False, default=0),
    sa.Column("tokens_out", sa.BigInteger, nullable=False, default=0),
    sa.Column("price", sa.Double),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Index("kb_llm_calls_started", "started_at"),
    sa.Index("kb_llm_calls_item", "item_id"),
    sa.Index("kb_llm_calls_run", "run"),
)


# Answers of language models by the SHA-256 of all that was asked; they can be asked for again.
llm_answers = sa.Table(
    "kb_llm_answers",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("ending", sa.Text, nullable=False, default=""),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("used_at", sa.Double, nullable=False),
    sa.Index("kb_llm_answers_used", "used_at"),
)


# Items whose words a saved search has found when they were new. Each is reported once: the row and
# the notice to the webhook are one transaction. `at_s` is the second of the first hit.
search_alerts = sa.Table(
    "kb_search_alerts",
    metadata,
    sa.Column("search", sa.Text, primary_key=True),
    sa.Column("item_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("at_s", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double),
)
