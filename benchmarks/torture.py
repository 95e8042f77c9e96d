"""SIGKILL of workers at random moments: every item must still end once and complete.

    python benchmarks/torture.py            30 kills over 40 items on SQLite, then 10 kills
                                            over 16 items on PostgreSQL with two workers
    python benchmarks/torture.py --short    6 kills over 8 items on SQLite
    python benchmarks/torture.py --machines 60 random faults of three machines over 200 items;
                                            with --items and --events fewer

The items are first processed in an undisturbed library. Then the same items are processed in a
library whose worker is killed (half of the time with its inference process, as in a power cut)
and restarted. At the end every item must be done, its words and times must equal those of the
undisturbed run, the knowledge base must hold each passage exactly once, and no temporary file
may be left.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from benchmarks.support.machine_events import EVENTS, MachinesResult, MachinesTorture
from benchmarks.support.torn_machine import Machine, views_of
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.postgres import server_process
from tests.support.waiting import WAIT_S
from tests.support.workers import ACTIVE_STATES, Lab, write_talks

WORDS = 24  # per item: about ten seconds of speech
KILL_AFTER_S = (0.2, 10.0)  # after the worker's start: during its first steps or an item
DEADLINE_S = 600.0  # for the last item, after the last kill


@dataclass(frozen=True, slots=True)
class TortureResult:
    """The counts after the kills; `not_done` and the counts below it should be zero."""

    items: int
    kills: int
    killed_at_work: int
    seconds: float
    not_done: int
    different_words: int
    doubled_passages: int
    missing_passages: int
    blamed: int
    leftovers: int

    @property
    def clean(self) -> bool:
        """Return True if nothing was lost, doubled, changed or left over."""
        wrong = (self.not_done, self.different_words, self.doubled_passages)
        return not any((*wrong, self.missing_passages, self.blamed, self.leftovers))


def run_undisturbed(folder: Path, files: Sequence[Path]) -> Lab:
    """Process the files without kills; return the library after its worker has ended."""
    lab = Lab(folder)
    with lab:
        ids = lab.ingest(files)
        worker = lab.start()
        lab.wait_finished(ids, DEADLINE_S)
        lab.stop(worker)
    return lab


def torture(
    lab: Lab, calm: Lab, files: Sequence[Path], kills: int, rng: np.random.Generator, workers: int
) -> TortureResult:
    """Kill a worker at each of `kills` random moments while the files are processed."""
    began = time.monotonic()
    names = [f"worker-{number}" for number in range(workers)]
    running: dict[str, psutil.Process] = {name: lab.start(name=name) for name in names}
    at_work = 0
    # The items are queued in parts, so that there is work in progress until the last kill.
    parts = [list(part) for part in np.array_split(np.asarray(files, dtype=object), kills)]
    ids: list[str] = []
    for number in range(kills):
        if parts[number]:
            ids += lab.ingest(parts[number])
        time.sleep(rng.uniform(*KILL_AFTER_S))
        name = names[int(rng.integers(workers))]
        at_work += bool(lab.jobs.items.running(name))
        host = lab.inference_process_of(running[name])
        lab.kill(running[name])
        if host is not None and rng.random() < 0.5:  # otherwise it must end without a signal
            with suppress(psutil.NoSuchProcess):  # it has noticed the end of its worker
                host.kill()
        running[name] = lab.start(name=name)
    done = lab.wait_finished(ids, DEADLINE_S)
    for worker in running.values():
        lab.stop(worker)
    return _compare(lab, calm, done.values(), kills, at_work, time.monotonic() - began)


def _compare(
    lab: Lab, calm: Lab, done: object, kills: int, at_work: int, seconds: float
) -> TortureResult:
    states = list(done)  # type: ignore[call-overload]
    assert not [state for state in states if state.state in ACTIVE_STATES]
    expected, found = calm.words(), lab.words()
    passages, known = Counter(lab.passages()), set(calm.passages())
    return TortureResult(
        items=len(states),
        kills=kills,
        killed_at_work=at_work,
        seconds=seconds,
        not_done=sum(state.state != "done" for state in states),
        different_words=sum(found.get(item) != words for item, words in expected.items()),
        doubled_passages=sum(count - 1 for count in passages.values()),
        missing_passages=len(known ^ set(passages)),
        blamed=sum(bool(state.attempts) for state in states),
        leftovers=len(lab.leftovers()),
    )


@contextmanager
def postgres_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """Run a separate PostgreSQL; yield its address, and a function that crashes and starts it."""
    with server_process() as server:

        def restart() -> None:
            process = psutil.Process(server.get_pid())
            process.send_signal(signal.SIGQUIT)  # an immediate stop, as a crash: with a recovery
            process.wait(WAIT_S)
            server.ensure_postgres_running()

        yield str(server.get_uri()), restart


def machines(
    folder: Path,
    files: Sequence[Path],
    events: int,
    rng: np.random.Generator,
    count: int = 3,
    *,
    pace_s: float = 0.0,
    kinds: Sequence[str] = EVENTS,
) -> tuple[MachinesResult, float]:
    """Play faults of `count` machines that share a library.

    At the same time as many machines process the same items without faults in a library of their
    own. `pace_s`: seconds for each window; 0 is as fast as the processors allow. Return the counts,
    and the seconds of the undisturbed machines.
    """
    with ExitStack() as made:
        quiet = made.enter_context(torn_machines(folder / "quiet", count, pace_s, rng, kinds))
        torn = made.enter_context(torn_machines(folder / "torn", count, pace_s, rng, kinds))
        # Windows one by one: a batch of many would be lost as a whole with its machine.
        ids = [each.lab.ingest(files, batch_size=1) for each in (quiet, torn)]
        with ThreadPoolExecutor(1) as beside:
            undisturbed = beside.submit(quiet.run, ids[0], 0)
            played, seconds = torn.run(ids[1], events)
            _, undisturbed_s = undisturbed.result()
        assert len(quiet.lab.words()) == len(files), "the undisturbed library is not whole"
        return torn.result(quiet.lab, ids[1], played, seconds), undisturbed_s


@contextmanager
def torn_machines(
    folder: Path, count: int, pace_s: float, rng: np.random.Generator, kinds: Sequence[str]
) -> Iterator[MachinesTorture]:
    """Yield machines with a server, a share and a network of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as made:
        url, restart = made.enter_context(postgres_server())
        lab = Lab(folder, KB_DATABASE_URL=url, KB_WORKER_TIMEOUT_S="8")
        lab.home.mkdir(parents=True, exist_ok=True)
        views = made.enter_context(views_of(lab.home, folder / "views"))
        made.enter_context(lab)
        found = [
            Machine(
                f"machine-{number}", lab, made.enter_context(DatabaseProxy.before(url)),
                folder / f"mount-{number}", url, views, pace_s,
            )
            for number in range(count)
        ]  # fmt: skip
        yield MachinesTorture(lab, found, rng, restart, kinds)


def report_machines(outcome: MachinesResult, undisturbed_s: float) -> bool:
    """Print the figures of the machines; return True if all targets are met."""
    figure("torture.machines.items", outcome.items, "items")
    for name, times in sorted(outcome.events.items()):
        figure(f"torture.machines.{name}", times, "events")
    figure("torture.machines.edits", outcome.edits, "edits")
    figure("torture.machines.undisturbed", undisturbed_s, "s")
    zeros = ("lost", "doubled", "overwritten", "false_states", "differ_from_index")
    met = [
        figure(f"torture.machines.{name}", getattr(outcome, name), "count", at_most=0)
        for name in zeros
    ]
    figure("torture.machines.seconds", outcome.seconds, "s")
    figure("torture.machines.ratio.all", outcome.seconds / undisturbed_s, "x")
    # A machine that is frozen, cut off or without its folder waits by design until this ends.
    figure("torture.machines.held", outcome.held_s, "s")
    ratio = (outcome.seconds - outcome.held_s) / undisturbed_s
    met.append(figure("torture.machines.ratio", ratio, "x", at_most=1.5))
    return all(met)


def report(where: str, outcome: TortureResult) -> bool:
    """Print the figures of one round; return True if all targets are met."""
    figure(f"torture.{where}.items", outcome.items, "items")
    figure(f"torture.{where}.kills", outcome.kills, "kills")
    figure(f"torture.{where}.killed_at_work", outcome.killed_at_work, "kills")
    figure(f"torture.{where}.seconds", outcome.seconds, "s")
    zeros = (
        "not_done",
        "different_words",
        "doubled_passages",
        "missing_passages",
        "blamed",
        "leftovers",
    )
    met = [
        figure(f"torture.{where}.{name}", getattr(outcome, name), "count", at_most=0)
        for name in zeros
    ]
    return all(met)


def main() -> int:
    """Run the rounds; return 0 if every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--short", action="store_true", help="6 kills over 8 items, SQLite only")
    parser.add_argument("--full", action="store_true", help="the same as without --short")
    parser.add_argument("--machines", action="store_true", help="faults of three machines")
    parser.add_argument("--items", type=int, default=200, help="items for --machines")
    parser.add_argument("--events", type=int, default=60, help="faults for --machines")
    parser.add_argument("--pace", type=float, default=6.0, help="seconds a window, --machines")
    parser.add_argument("--kinds", nargs="+", choices=EVENTS, default=EVENTS, help="--machines")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    if chosen.machines:
        with tempfile.TemporaryDirectory(prefix="kb-torture-") as name:
            folder = Path(name)
            files = write_talks(folder / "in", chosen.items, words=WORDS, seed=chosen.seed)
            outcome = machines(
                folder, files, chosen.events, rng, pace_s=chosen.pace, kinds=chosen.kinds
            )
            return 0 if report_machines(*outcome) else 1
    items, kills = (8, 6) if chosen.short else (40, 30)
    with tempfile.TemporaryDirectory(prefix="kb-torture-") as name:
        folder = Path(name)
        files = write_talks(folder / "in", items, words=WORDS, seed=chosen.seed)
        calm = run_undisturbed(folder / "calm", files)
        figure("torture.run_undisturbed.passages", len(calm.passages()), "passages")
        with Lab(folder / "sqlite") as lab:
            well = report("sqlite", torture(lab, calm, files, kills, rng, workers=1))
        if not chosen.short:
            few = files[:16]
            calm = run_undisturbed(folder / "calm-few", few)
            with (
                postgres_server() as (url, _),
                Lab(folder / "postgres", KB_DATABASE_URL=url, KB_WORKER_TIMEOUT_S="5") as lab,
            ):
                well &= report("postgres", torture(lab, calm, few, 10, rng, workers=2))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
