"""The workers of a queue: which are alive, and requests that they stop."""

from __future__ import annotations

from collections.abc import Sequence

from kb import storage
from kb.database import Database
from kb.database.other_versions import OTHER_VERSION
from kb.errors import LibraryError
from kb.jobs.queue import heartbeat, hung_worker, worker_names
from kb.settings import Settings


class QueueWorkers:
    """The workers of one library. Every method that reads the database may raise LibraryError."""

    _settings: Settings

    @property
    def database(self) -> Database:
        raise NotImplementedError

    def workers(self) -> list[heartbeat.WorkerInfo]:
        """Return the workers that are alive now."""
        return [w for w in heartbeat.list_workers(self.database) if w.is_alive()]

    def at_work(self) -> dict[str, int]:
        """Return the names and processes of the workers that are alive, of any version."""
        try:
            return {each.executor_id: each.pid for each in self.workers()}
        except LibraryError as error:
            if error.code not in OTHER_VERSION:
                raise
        found = Database.workers_of_any_version(self._settings)
        return {each.executor_id: each.pid for each in found}

    @property
    def own_executor_id(self) -> str:
        """The name of a worker with these settings on this machine."""
        return worker_names.executor_id(self._settings)

    def is_own(self, worker: heartbeat.WorkerInfo) -> bool:
        """Return whether a worker is the one that these settings start on this machine.

        Without a name in the settings it may have one of its own (`worker_names.other_name`).
        """
        own = self.own_executor_id
        named = worker.executor_id == own or (
            not self._settings.executor_id and worker.executor_id.startswith(f"{own}-")
        )
        return named and worker.is_here

    def own_worker_alive(self) -> bool:
        """Return whether this machine's worker of these settings is alive."""
        return any(self.is_own(worker) for worker in self.workers())

    def stop_workers(self) -> list[str]:
        """Request every worker of this library to stop; return their names.

        Those of this machine are asked first, without the database. Raises LibraryError when it
        does not answer, or when a request cannot be written.
        """
        local = self.stop_local_workers()
        others = [name for name in self.at_work() if name not in local]
        self._request_stop(others)
        return [*local, *others]

    def stop_local_workers(self) -> list[str]:
        """Request the workers of this machine to stop; return their names. Reads no database."""
        names = [each.executor_id for each in self.local_workers()]
        self._request_stop(names)
        return names

    def _request_stop(self, names: Sequence[str]) -> None:
        for name in names:
            storage.write_bytes(worker_names.stop_file(self._settings, name), b"")

    def local_workers(self) -> list[worker_names.LocalWorker]:
        """Return the worker processes of this library on this machine; reads no database."""
        return worker_names.local_workers(self._settings)

    def hung_workers(self) -> list[heartbeat.WorkerInfo]:
        """Return the workers of this machine whose process lives without a heartbeat.

        Those of a database of another version are not known.
        """
        try:
            return hung_worker.hung_workers(heartbeat.list_workers(self.database))
        except LibraryError as error:
            if error.code not in OTHER_VERSION:
                raise
            return []

    def end_hung_workers(self) -> list[str]:
        """End the processes of hung workers; return the workers' names. Raises LibraryError."""
        return [each.executor_id for each in self.hung_workers() if hung_worker.end(each)]

    def end_local_workers(self) -> list[str]:
        """End the worker processes of this machine; return their names. Reads no database.

        Raises LibraryError.
        """
        found = [(each, worker_names.process_of(each)) for each in self.local_workers()]
        for worker, process in found:
            hung_worker.end_process(process, worker.executor_id)
        return [worker.executor_id for worker, _ in found]

    def crash_loops(self) -> list[hung_worker.CrashLoop]:
        """Return the workers that end again and again without signing off."""
        return hung_worker.crash_loops(self.database, heartbeat.list_workers(self.database))

    def _live_workers(self) -> set[str]:
        return {worker.executor_id for worker in self.workers()}
