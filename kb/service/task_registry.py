"""What can be done as a task (see `kb.service.tasks`): name → function.

Each takes the settings, plain JSON arguments and a listener for progress, may raise any
KBError, and answers plain JSON. Nothing secret goes in or comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kb.errors import KBError, UsageError
from kb.options import RunOptions
from kb.service.service import Service
from kb.settings import Settings

if TYPE_CHECKING:
    from kb.sinks.odin.sync import Outcome, SyncPlan

CHECK_TIMEOUT_S = 15.0  # somebody waits for the answer


class Progress(Protocol):
    """Told how many of how many are done, and what is on its way."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None: ...


Task = Callable[[Settings, dict[str, Any], Progress], Mapping[str, Any]]


def check(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Whether key, secret and project fit: the project's name and what it holds."""
    wait_s = min(CHECK_TIMEOUT_S, settings.odin_timeout_s)
    patient = settings.replace(odin_retries=min(1, settings.odin_retries), odin_timeout_s=wait_s)
    with _service(patient) as service:
        odin = service.remote.odin
        about = odin.client.project_data()
        held = odin.inventory()
        return {
            "project": str(about.get("name") or about.get("title") or settings.odin_project_id),
            "items": len(held.items),
            "documents": sum(len(found) for found in held.items.values()),
            "others": len(held.nameless),
        }


def plan(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """What differs between library and project; changes nothing."""
    with _service(settings) as service:
        return _told(service.remote.plan())


def sync(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Does what a fresh plan says; `prune` also deletes what is only in the project."""
    prune = bool(arguments.get("prune"))
    with _service(settings) as service:
        made = service.remote.plan()
        titles = {step.item_id: step.title for step in made.steps}
        progress(0, len(made.to_do(prune=prune)))

        def told(item_id: str, state: str, done: int, total: int) -> None:
            progress(done, total, titles.get(item_id, item_id))

        return _outcome(service.remote.apply(made, prune=prune, progress=told))


def upload(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Sends the files of `folder` (or one file) to the project as they are."""
    from kb.sinks.odin.file_upload import FileResult, files_in, upload_files

    place = Path(str(arguments["folder"])).expanduser()
    if not place.exists():
        raise UsageError(f"There is no file or folder {place}.", hint="Check the path.")
    files = files_in(place) if place.is_dir() else [place]
    if not files:
        raise UsageError(f"{place} holds nothing that ODIN takes.", hint="See the list of types.")
    progress(0, len(files))
    results: list[FileResult] = []

    def told(result: FileResult) -> None:
        results.append(result)
        progress(len(results), len(files), result.path.name)

    with _service(settings) as service:
        service.library.prepare()
        own = dict(arguments.get("metadata") or {})
        upload_files(service.remote.odin, files, own, told)
    return {"files": [{**asdict(r), "path": str(r.path)} for r in results]}


def ask(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """The project's answer to `question` and its sources."""
    with _service(settings) as service:
        return asdict(service.remote.ask(str(arguments["question"])))


def doctor(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Every check of this machine."""
    from kb.service.health import check_all

    with _service(settings) as service:
        return {"checks": [asdict(c) for c in check_all(settings, service.recognition)]}


def test_key(
    settings: Settings, arguments: dict[str, Any], progress: Progress
) -> Mapping[str, Any]:
    """Asks YouTube's Data API one unit's worth with the key known by `fingerprint`."""
    from kb.sources.youtube.key_check import check_key

    with _service(settings) as service:
        return check_key(settings, service.jobs.catalogue, str(arguments["fingerprint"]))


def calibrate(
    settings: Settings, arguments: dict[str, Any], progress: Progress
) -> Mapping[str, Any]:
    """Measures this machine with the model in force, and keeps what was found."""
    with _service(settings) as service:
        recipe = service.recipe(RunOptions())

        def told(share: float) -> None:
            progress(round(100 * share), 100)

        found = service.hardware.calibrate(service.recognition, recipe, progress=told)
        return {"model": found.model, "took_s": found.took_s}


TASKS: dict[str, Task] = {
    "check": check,
    "plan": plan,
    "sync": sync,
    "upload": upload,
    "ask": ask,
    "doctor": doctor,
    "calibrate": calibrate,
    "test_key": test_key,
}


@contextmanager
def _service(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    try:
        yield service
    finally:
        if "remote" in service.__dict__:
            service.remote.close()
        service.close()


def _told(made: SyncPlan) -> Mapping[str, Any]:
    return {
        "steps": [asdict(step) for step in made.steps],
        "counts": made.counts,
        "in_step": made.in_step,
        "others": made.others,
        "documents": made.documents,
        "words": made.words,
        "credits": made.credits,
    }


def _outcome(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "done": list(outcome.done),
        "waiting": list(outcome.waiting),
        "failed": {item_id: _words(error) for item_id, error in outcome.failed.items()},
    }


def _words(error: KBError) -> dict[str, str]:
    return {"error": error.message, "hint": error.hint}
