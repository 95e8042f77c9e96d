"""Registry of tasks (see `kb.service.tasks`): name → function.

Each function takes the settings, plain JSON arguments and a progress listener, may raise any
KBError, and returns plain JSON. Neither arguments nor results contain secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kb.errors import UsageError
from kb.options import RunOptions
from kb.service.service import Service
from kb.settings import Settings

if TYPE_CHECKING:
    from kb.sinks.odin.file_upload import FileResult
    from kb.sinks.odin.sync import SyncPlan, SyncResult

MB = 10**6
MOST_FINDINGS = 200  # of a check of the library that its page shows
CHECK_TIMEOUT_S = 15.0  # a user waits for the answer


class Progress(Protocol):
    """A progress listener: number done, total, and a note on the current step."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None: ...


Task = Callable[[Settings, dict[str, Any], Progress], Mapping[str, Any]]


def check(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Check key, secret and project; return the project's name and the counts of its contents."""
    wait_s = min(CHECK_TIMEOUT_S, settings.odin_timeout_s)
    quick_settings = settings.replace(
        odin_retries=min(1, settings.odin_retries), odin_timeout_s=wait_s
    )
    with _service(quick_settings) as service:
        odin = service.publisher.odin
        about = odin.client.project_data()
        held = odin.inventory()
        return {
            "project": str(about.get("name") or about.get("title") or settings.odin_project_id),
            "items": len(held.items),
            "documents": sum(len(found) for found in held.items.values()),
            "others": len(held.unlabelled),
        }


def plan(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Return the differences between library and project; change nothing."""
    with _service(settings) as service:
        return _plan_document(service.publisher.plan())


def sync(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Apply a new sync plan; `prune` also deletes documents that are only in the project."""
    prune = bool(arguments.get("prune"))
    with _service(settings) as service:
        sync_plan = service.publisher.plan()
        titles = {step.item_id: step.title for step in sync_plan.steps}
        progress(0, len(sync_plan.selected_steps(prune=prune)))

        def on_progress(item_id: str, state: str, done: int, total: int) -> None:
            progress(done, total, titles.get(item_id, item_id))

        return _outcome(service.publisher.apply(sync_plan, prune=prune, progress=on_progress))


def upload(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Send the files of `folder` (or one file) to the project unchanged.

    With `uploads`, ids of files that a browser sent, these are sent instead of a folder.
    """
    from kb.service.uploads import path_of

    asked = [path_of(settings.home, str(each)) for each in arguments.get("uploads") or ()]
    dropped = [each for each in asked if each is not None]
    if len(dropped) < len(asked):
        raise UsageError(
            "upload.gone",
            "Of {total} dropped, {count:file is|files are} no longer here.",
            hint="Drop it again.",
            count=len(asked) - len(dropped),
            total=len(asked),
        )
    path = dropped[0] if dropped else Path(str(arguments["folder"])).expanduser()
    if not path.exists():
        raise UsageError(
            "upload.no_path",
            "There is no file or folder {path}.",
            hint="Check the path.",
            path=path,
        )
    done = 0

    def on_result(result: FileResult) -> None:
        nonlocal done
        done += 1
        progress(done, len(files), result.path.name)

    with _service(settings) as service:
        files = dropped or service.publisher.files_in(path)
        if not files:
            raise UsageError(
                "upload.no_files",
                "{path} holds nothing that ODIN takes.",
                hint="See the list of types.",
                path=path,
            )
        progress(0, len(files))
        own = dict(arguments.get("metadata") or {})
        results = service.publisher.upload(files, own, on_result)
    return {"files": [{**asdict(r), "path": str(r.path)} for r in results]}


def ask(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Return the project's answer to `question` and its sources, ours with their plain words."""
    from kb.sinks.odin.excerpts import words_of

    with _service(settings) as service:
        answer = service.publisher.ask(str(arguments["question"]))
    sources = [
        {**asdict(each), "text": words_of(each.text) if each.item_id else each.text}
        for each in answer.sources
    ]
    return {**asdict(answer), "sources": sources}


def ask_library(
    settings: Settings, arguments: dict[str, Any], progress: Progress
) -> Mapping[str, Any]:
    """Return the library's answer to `question` with its sources, as `LibraryAnswer` has it."""
    from kb.service.answer_views import answer_view

    question = str(arguments["question"])
    with _service(settings) as service:
        answer = service.answers.ask(question)
        problem = answer.problem or answer.no_model
        return {
            **asdict(answer_view(service, question, answer)),
            "problem": problem.problem if problem is not None else None,
        }


def doctor(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Return the results of all checks of this machine."""
    from kb.service.health import check_all

    with _service(settings) as service:
        return {"checks": [asdict(c) for c in check_all(settings, service.inference_session)]}


def test_key(
    settings: Settings, arguments: dict[str, Any], progress: Progress
) -> Mapping[str, Any]:
    """Test the key with this `fingerprint` by a request to YouTube's Data API; costs one unit."""
    from kb.sources.youtube.key_check import check_key

    with _service(settings) as service:
        return check_key(settings, service.queue.database, str(arguments["fingerprint"]))


def calibrate(
    settings: Settings, arguments: dict[str, Any], progress: Progress
) -> Mapping[str, Any]:
    """Measure this machine with the configured model, and store the result."""
    with _service(settings) as service:
        options = service.transcription.options(RunOptions())

        def on_progress(share: float) -> None:
            progress(round(100 * share), 100)

        found = service.machines.calibrate(options, progress=on_progress)
        return {"model": found.model, "took_s": found.took_s}


def verify(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Check every file of the library, mend what follows from exact files; return the findings."""
    with _service(settings) as service:
        report = service.verification.run(progress=_in_mb(progress))
        return {
            "items": report.items,
            "files": report.files,
            "bytes": report.bytes,
            "faults": len(report.faults),
            "mended": sum(each.mended for each in report.findings),
            "findings": [asdict(each) for each in report.findings[:MOST_FINDINGS]],
        }


def backup(settings: Settings, arguments: dict[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Pack the library, without its media, into a file in its folder `backups/`."""
    with _service(settings) as service:
        report = service.backup.make(progress=_in_mb(progress))
        return {**asdict(report), "path": str(report.path)}


def add_part(
    settings: Settings, arguments: dict[str, Any], progress: Progress
) -> Mapping[str, Any]:
    """Fetch the model of the step `name`; return its path."""
    with _service(settings) as service:
        return {"path": service.enrichment.add(str(arguments["name"]))}


def _in_mb(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress(done // MB, max(1, total // MB), "MB")


TASKS: dict[str, Task] = {
    "check": check,
    "plan": plan,
    "sync": sync,
    "upload": upload,
    "ask": ask,
    "ask_library": ask_library,
    "doctor": doctor,
    "calibrate": calibrate,
    "test_key": test_key,
    "verify": verify,
    "backup": backup,
    "add_part": add_part,
}


@contextmanager
def _service(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    try:
        yield service
    finally:
        service.close()


def _plan_document(sync_plan: SyncPlan) -> Mapping[str, Any]:
    return {
        "steps": [asdict(step) for step in sync_plan.steps],
        "counts": sync_plan.counts,
        "in_step": sync_plan.in_sync,
        "others": sync_plan.foreign,
        "documents": sync_plan.documents,
        "words": sync_plan.words,
        "credits": sync_plan.credits,
    }


def _outcome(result: SyncResult) -> Mapping[str, Any]:
    return {
        "done": list(result.done),
        "waiting": list(result.waiting),
        "failed": {item_id: error.record() for item_id, error in result.failed.items()},
    }
