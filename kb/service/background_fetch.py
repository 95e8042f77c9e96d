"""The fetch of models in a process of its own, which goes on when page and terminal are closed.

`python -m kb.service.background_fetch KIND REPOSITORY…` runs it. Its progress and its failure are
the states of the fetches (see `kb.hub.fetch_state`), which every process reads.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from kb.errors import Cancelled, ModelUnavailable
from kb.hub import cache, fetch_state
from kb.hub.client import endpoint
from kb.hub.conduct import Conduct
from kb.hub.fetch_state import FetchState
from kb.hub.models import known_ready, ready
from kb.jobs.worker.spawn import start_detached
from kb.settings import Settings, get_settings, python_command
from kb.types.safe_text import hide_credentials

# Trouble that passes is waited for, as long as a machine may be without a network.
LONG_S = 7 * 86_400.0
PATIENT = Conduct(patience_s=LONG_S, unreachable_patience_s=LONG_S, longest_pause_s=300.0)

log = logging.getLogger(__name__)


def start(settings: Settings, kind: str, repositories: Sequence[str]) -> None:
    """Start or continue the fetch of models; complete ones and running fetches are left alone.

    Raises LibraryError if the process cannot be started.
    """
    wanted = []
    for repository in repositories:
        place = cache.repository_folder(repository)
        before = fetch_state.read_state(place)
        if known_ready(repository) is not None or (before is not None and before.is_running):
            continue
        fetch_state.request(place, "")
        size, done = (before.size, before.done) if before is not None else (0, 0)
        source = hide_credentials(endpoint())
        started = FetchState(
            repository, source, str(place), "starting", size, done, at=time.time(), kind=kind
        )
        fetch_state.write_state(place, started)
        wanted.append(repository)
    if wanted:
        command = python_command("-m", "kb.service.background_fetch", kind, *wanted)
        start_detached(command, settings, settings.home / "logs" / "models.log")


def run(kind: str, repositories: Sequence[str]) -> int:
    """Fetch models, one after the other; return 1 if one of them failed."""
    from kb.inference.model_fetch import within_floor
    from kb.inference.model_kinds import KINDS

    failed = False
    conduct = within_floor(get_settings(), PATIENT)
    for repository in repositories:
        try:
            ready(repository, KINDS[kind], conduct=conduct)
            # A model that was here already, verified now, had no fetch that would forget it.
            fetch_state.forget_state(cache.repository_folder(repository))
        except Cancelled as stop:
            log.info("%s", stop)
        except ModelUnavailable as error:
            log.warning("%s", error)
            failed = True
    return int(failed)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    get_settings()  # variables of the hub in .env
    sys.exit(run(sys.argv[1], sys.argv[2:]))
