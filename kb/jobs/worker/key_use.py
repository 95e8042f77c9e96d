"""Sound of jobs over HTTP: what they have read is counted for their keys once they have ended."""

from __future__ import annotations

from kb.database import Database
from kb.jobs.queue.access_keys import AccessKeys
from kb.jobs.queue.api_jobs import ApiJobs


def settle_ended(database: Database) -> None:
    """Count what ended jobs have read instead of what was expected. Raises LibraryError.

    An item that was not read (failed, cancelled, removed) counts nothing, or what it has read once
    it was tried again. Several workers may do this at once: a job is settled by one of them.
    """
    jobs, keys = ApiJobs(database), AccessKeys(database)
    open_ones = jobs.unsettled()
    sounds = jobs.sounds(list({each for job in open_ones for each in job.own}))
    for job in open_ones:
        own = [sounds[each] for each in job.own if each in sounds]
        if not any(each.under_way for each in own):
            read_s = sum(each.duration_s or 0.0 for each in own if each.was_read)
            keys.settle_job(job, read_s, for_good=not any(each.tried_again for each in own))
