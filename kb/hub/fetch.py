"""Fetches the files of a model, several at once, and continues what an earlier fetch has left.

Each file is received into a part beside its blob, compared by its digest and moved into place. A
part stays when the process ends in any way, and the next fetch asks for the rest (HTTP Range). A
failure that may pass is tried again with growing pauses; `patience_s` without a new byte ends the
fetch with the error of the last failure.
"""

from __future__ import annotations

import errno
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from filelock import BaseFileLock, Timeout

from kb.errors import Cancelled, KBError, ModelUnavailable
from kb.hub import cache, errors, fetch_state, records
from kb.hub.arrivals import WEIGHTS, Arrivals, is_refusal
from kb.hub.client import HubClient, HubFile, Listing, endpoint
from kb.hub.conduct import Conduct
from kb.hub.errors import PassingTrouble
from kb.hub.fetch_progress import FetchProgress, Report
from kb.hub.fetch_state import FetchState
from kb.hub.kind import ModelKind
from kb.hub.records import ReadyRecord
from kb.types.safe_text import hide_credentials

log = logging.getLogger(__name__)

AT_ONCE = 4  # files
MOST_WRONG = 3  # arrivals of a file with another digest
POLL_S = 0.1

Result = TypeVar("Result")


class Fetch:
    """One fetch of a repository. `run` does the work in the calling thread and four others."""

    def __init__(
        self,
        repository: str,
        kind: ModelKind,
        *,
        revision: str = "main",
        report: Report = lambda state: None,
        cancelled: Callable[[], bool] = lambda: False,
        conduct: Conduct | None = None,
    ) -> None:
        """Prepare the fetch of the files that a kind of model needs."""
        self._repository = repository
        self._kind = kind
        self._revision = revision
        self._cancelled = cancelled
        self._conduct = conduct or Conduct()
        self._place = cache.repository_folder(repository)
        self._arrivals: Arrivals | None = None
        self._stop = threading.Event()
        source = hide_credentials(endpoint())
        self._progress = FetchProgress(
            FetchState(repository, source, str(self._place), "waiting", kind=kind.name),
            self._place,
            report,
        )

    def run(self, found: Callable[[], ReadyRecord | None]) -> ReadyRecord:
        """Fetch what is missing and return the record of the complete model.

        `found` is asked when this process is the only one that fetches this model: another one may
        have completed it in the meantime. Raises ModelUnavailable and Cancelled.
        """
        lock = fetch_state.fetch_lock(self._place)
        self._wait_for(lock)
        try:
            known = found()
            if known is not None:
                return known
            before = fetch_state.last_state(self._place)
            if self._conduct.respect_pause and before is not None and before.state == "paused":
                self._progress.state = before
                fetch_state.request(self._place, "pause")
                self._check_stop()
            if before is None or before.state != "starting":  # else a request is for this fetch
                fetch_state.request(self._place, "")
            return self._run(before)
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._stop.set()
            lock.release()

    def _wait_for(self, lock: BaseFileLock) -> None:
        """Take the lock; while another process fetches, report its state."""
        while True:
            try:
                records.state_folder().mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=0)
                return
            except Timeout:
                self._progress.report(fetch_state.read_state(self._place) or self._progress.state)
                self._check_stop(others=True)
                time.sleep(2 * POLL_S)
            except OSError as error:
                raise errors.not_writable(
                    self._repository, records.state_folder(), error
                ) from error

    def _run(self, before: FetchState | None) -> ReadyRecord:
        if before is not None:  # shown until the list of files is here
            self._progress.change(size=before.size, done=before.done)
        self._progress.begin()
        listing = self._in_thread(self._ask)
        files = self._kind.choose(self._repository, listing.files)
        arrivals = self._arrivals = Arrivals(listing, files, self._kind)
        self._progress.change(size=sum(file.size for file in files), done=0, state="verifying")
        missing = self._in_thread(lambda: self._missing(listing, files))
        self._make_room(missing)
        self._progress.change(state="fetching")
        self._receive_all(listing, [file for file in missing if not _is_weights(file)])
        arrivals.check_descriptions()
        self._receive_all(listing, [file for file in missing if _is_weights(file)])
        self._progress.change(state="verifying")
        record = arrivals.complete(self._check_stop)
        records.write(self._place, record)
        fetch_state.forget_state(self._place)
        return record

    def _ask(self) -> Listing:
        client = HubClient(self._conduct.deadlines)
        attempt = 0
        try:
            while True:
                try:
                    return client.listing(self._repository, self._revision)
                except PassingTrouble as trouble:
                    attempt += 1
                    self._pause(trouble, attempt)
        finally:
            client.close()

    def _missing(self, listing: Listing, files: Sequence[HubFile]) -> list[HubFile]:
        """Return the files that are not here with the listed digest, one for each digest."""
        missing: list[HubFile] = []
        for file in files:
            path = cache.stored_at(self._repository, listing.commit, file)
            whole = False
            if path is not None:
                with suppress(OSError):
                    whole = path.stat().st_size == file.size and bool(
                        cache.has_digest(path, file.digest)
                    )
            if whole:
                self._progress.add(file.size)
            elif file.digest in (each.digest for each in missing):
                self._progress.add(file.size)  # the same bytes under another name
            else:
                missing.append(file)
                self._progress.add(self._part_size(file))
            self._raise_if_stopped()
        return missing

    def _part_size(self, file: HubFile) -> int:
        part = cache.part_path(self._repository, file)
        try:
            size = part.stat().st_size
        except OSError:
            return 0
        if size > file.size:
            part.unlink(missing_ok=True)
            return 0
        return size

    def _make_room(self, missing: Sequence[HubFile]) -> None:
        """Wait until the disk has room for the missing bytes."""
        attempt = 0
        while True:
            need = sum(file.size - self._part_size(file) for file in missing)
            free = cache.room(self._place) - self._conduct.room_bytes
            if not need or need <= free:
                return
            attempt += 1
            trouble = errors.disk_full(self._repository, self._place, need, max(0, free))
            self._in_thread(partial(self._pause, trouble, attempt))

    def _receive_all(self, listing: Listing, missing: Sequence[HubFile]) -> None:
        try:
            (self._place / "blobs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.not_writable(self._repository, self._place, error) from error
        rest: queue.SimpleQueue[HubFile] = queue.SimpleQueue()
        for file in sorted(missing, key=lambda file: file.size):
            rest.put(file)
        count = self._progress.active = min(AT_ONCE, len(missing))
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            client = HubClient(self._conduct.deadlines)
            try:
                while not self._stop.is_set():
                    try:
                        file = rest.get_nowait()
                    except queue.Empty:
                        break
                    self._receive(client, listing, file)
                ended.put(None)
            except BaseException as error:
                ended.put(error)
            finally:
                client.close()
                self._progress.thread_ended()

        # Daemons: a thread inside a silent connection does not keep the process alive.
        for number in range(count):
            threading.Thread(target=work, daemon=True, name=f"fetch-{number}").start()
        for _ in range(count):
            failure = self._wait_for_end(ended)
            if failure is not None:
                raise failure

    def _in_thread(self, act: Callable[[], Result]) -> Result:
        """Run `act` in a daemon thread, so that Ctrl-C and a stop are noticed at once."""
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        results: list[Result] = []
        self._progress.active = 1

        def work() -> None:
            try:
                results.append(act())
                ended.put(None)
            except BaseException as error:
                ended.put(error)

        threading.Thread(target=work, daemon=True, name="fetch").start()
        failure = self._wait_for_end(ended)
        if failure is not None:
            raise failure
        return results[0]

    def _wait_for_end(self, ended: queue.SimpleQueue[BaseException | None]) -> BaseException | None:
        while True:
            try:
                return ended.get(timeout=POLL_S)
            except queue.Empty:
                self._check_stop()
                self._progress.show()

    def _receive(self, client: HubClient, listing: Listing, file: HubFile) -> None:
        """Receive a file until its digest is right, and put it into place."""
        attempt = wrong = 0
        while not self._stop.is_set():
            before = self._part_size(file)
            try:
                self._receive_rest(client, listing, file)
                sha256 = cache.has_digest(cache.part_path(self._repository, file), file.digest)
                if sha256:
                    return
                wrong += 1
                self._discard(file)
                if wrong > 1:
                    trouble = errors.wrong_file(self._repository, file.name, file.digest, "other")
                    if wrong >= MOST_WRONG:
                        raise trouble.error
                    raise trouble
            except PassingTrouble as trouble:
                attempt = 1 if self._part_size(file) > before else attempt + 1
                self._pause(trouble, attempt)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
                    raise errors.not_writable(self._repository, self._place, error) from error
                attempt += 1
                need = file.size - self._part_size(file)
                free = cache.room(self._place)
                self._pause(errors.disk_full(self._repository, self._place, need, free), attempt)

    def _receive_rest(self, client: HubClient, listing: Listing, file: HubFile) -> None:
        part = cache.part_path(self._repository, file)
        first = self._part_size(file)
        if first == file.size and part.is_file():
            return
        if not file.size:
            part.touch()
            return
        with client.open(self._repository, listing.commit, file, first) as (place, blocks):
            if place < first:
                self._discard(file)
            with part.open("ab") as stream:
                done = place
                for block in blocks:
                    if self._stop.is_set():
                        return
                    if done + len(block) > file.size:
                        self._discard(file)
                        raise errors.foreign_answer(self._repository, hide_credentials(endpoint()))
                    stream.write(block)
                    stream.flush()
                    done += len(block)
                    self._progress.add(len(block), received=True)
        if done < file.size and not self._stop.is_set():
            raise errors.broken_off(self._repository, file.name, done, file.size)

    def _discard(self, file: HubFile) -> None:
        part = cache.part_path(self._repository, file)
        with suppress(OSError):
            self._progress.add(-part.stat().st_size)
            part.unlink()

    def _pause(self, trouble: PassingTrouble, attempt: int) -> None:
        """Wait before the next attempt. Raises the error when patience is over."""
        conduct = self._conduct
        pause_s = min(conduct.longest_pause_s, conduct.first_pause_s * 2 ** (attempt - 1))
        pause_s *= random.uniform(0.75, 1.0)
        if trouble.retry_after_s is not None:
            pause_s = max(pause_s, trouble.retry_after_s)
        patience_s = (
            conduct.unreachable_patience_s
            if trouble.unreachable and self._progress.state.state == "waiting"
            else conduct.patience_s
        )
        if self._progress.still_for_s() + pause_s > patience_s:
            raise _with_next_try(trouble.error, time.time() + pause_s)
        log.info("%s Next try in %.0f s.", trouble.error.message, pause_s)
        with self._progress.waiting(trouble.error, time.time() + pause_s):
            self._stop.wait(pause_s)
            self._raise_if_stopped()

    def _check_stop(self, *, others: bool = False) -> None:
        """Raise Cancelled if the caller or a user asked for a stop."""
        asked = "" if others else fetch_state.requested(self._place)
        if asked or self._cancelled():
            self._stop.set()
            self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise Cancelled(
                "model.fetch_stopped",
                "The fetch of {name} was stopped.",
                hint="What has arrived is kept. Go on with: kb models pull {name}",
                name=self._repository,
            )

    def _end(self, error: BaseException) -> None:
        """Leave the state of a fetch that did not complete; none of its files if it is over."""
        self._stop.set()
        asked = fetch_state.requested(self._place)
        fetch_state.request(self._place, "")
        state = replace(self._progress.state, bytes_per_s=0.0, at=time.time())
        if asked == "cancel" or is_refusal(error):
            if self._arrivals is not None:
                self._arrivals.take_back()
            cache.discard_parts(self._repository)
            state = replace(state, done=0)
        cache.remove_empty(self._repository)
        if asked == "cancel":
            fetch_state.forget_state(self._place)
            return
        if isinstance(error, KBError) and not isinstance(error, Cancelled):
            state = replace(state, state="failed", problem=error.record())
        else:
            state = replace(state, state="paused" if asked == "pause" else "stopped")
        fetch_state.write_state(self._place, state)


def _is_weights(file: HubFile) -> bool:
    return file.name.endswith(WEIGHTS)


def _with_next_try(error: ModelUnavailable, at: float) -> ModelUnavailable:
    error.until = at
    return error
