"""Checks of this machine: the state of each part, and the command that repairs it."""

from __future__ import annotations

import platform
import shlex
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from gpu.preset_figures import Preset
from gpu.presets import load_presets
from kb import storage
from kb.database import DATABASE_NAME, Database
from kb.database.snapshots import check_file, snapshots
from kb.errors import KBError
from kb.inference.session import InferenceSession
from kb.jobs.clock_check import clock_problem
from kb.jobs.queue.heartbeat import list_workers
from kb.jobs.queue.hung_worker import crash_loops
from kb.jobs.queue.library_tie import LibraryTie
from kb.jobs.queue.telemetry import read_machines
from kb.library import Library
from kb.library.products import Products
from kb.service.existing import has_library
from kb.service.health_check import HealthCheck, State, with_commas, with_semicolons
from kb.service.health_database import check_server
from kb.service.health_hardware import check_hardware
from kb.service.health_models import check_meaning, check_models
from kb.service.health_odin import check_odin
from kb.service.health_sources import check_sources
from kb.service.health_storage import check_storage
from kb.service.health_workers import check_crash_loop, check_worker
from kb.service.language_model import check_language_model
from kb.service.presets import Presets
from kb.service.setting_choices import choice_mistakes
from kb.service.speech import check_speech
from kb.settings import Settings, current_sources, tolerated_mistakes
from kb.storage import permissions
from kb.storage.free_space import size_text

__all__ = ["HealthCheck", "check_all", "check_meaning"]

LOW_DISK_BYTES = 10 * 2**30
DATABASE_CHECK_S = 10.0


def check_all(settings: Settings, session: InferenceSession) -> list[HealthCheck]:
    """Run all checks and return their results, in the order of display. Raises nothing."""
    return [
        _python(),
        _settings(),
        *_faulty_settings(settings),
        *_hardware(settings, session),
        *check_models(settings, session),
        *_found("Language model", check_language_model(settings)),
        *_found("Voices", check_speech(settings)),
        _presets(settings),
        _library(settings),
        *_rights(settings),
        *_products(settings),
        *_found("Object storage", check_storage(settings)),
        *_database(settings),
        *(server := check_server(settings)),
        _disk(settings),
        *_workers(settings, server),
        *_sources(settings, server),
        *_found("ODIN", check_odin(settings)),
    ]


def _failed(name: str, error: KBError) -> HealthCheck:
    return HealthCheck.of(name, "fail", error)


def _python() -> HealthCheck:
    found = KBError(
        "check.python",
        "{version} on {system}",
        version=platform.python_version(),
        system=platform.system(),
    )
    return HealthCheck.of("Python", "ok", found)


def _settings() -> HealthCheck:
    """Return the files that were read and the place of each value, without the values."""
    sources = current_sources()
    files: list[KBError | str] = [
        KBError(
            "clause.settings_file",
            "{path} ({count:setting|settings})",
            path=file.path,
            count=len(file.values),
        )
        for file in sources.files
    ]
    read = with_commas(files) or KBError("clause.no_env_file", "no .env file is read")
    places = with_semicolons([read, *(origin.clause() for origin in sources.origins.values())])
    if sources.misspelt:
        wrong = with_commas(
            [
                KBError("clause.setting_meant", "{name} (meant: {meant}?)", name=name, meant=meant)
                for name, meant in sources.misspelt.items()
            ]
        )
        misspelt = KBError(
            "check.settings_misspelt",
            "The environment has names that are no settings: {wrong}; {places}",
            hint="Correct the names in the environment.",
            wrong=wrong,
            places=places,
        )
        return HealthCheck.of("Settings", "warn", misspelt)
    ignored = [name for file in sources.files for name in file.ignored]
    if ignored:
        passed = KBError(
            "check.settings_ignored",
            "{places}; not ours, passed over: {names}",
            places=places,
            names=", ".join(ignored),
        )
        return HealthCheck.of("Settings", "ok", passed)
    return HealthCheck.of("Settings", "ok", KBError("check.settings", "{places}", places=places))


def _faulty_settings(settings: Settings) -> list[HealthCheck]:
    """Return a check for each setting that the other commands refuse."""
    mistakes = [*tolerated_mistakes(), *choice_mistakes(settings)]
    return [_failed("Settings", mistake) for mistake in mistakes]


def _hardware(settings: Settings, session: InferenceSession) -> list[HealthCheck]:
    try:
        found = check_hardware(settings, session.manager, session.model_name())
    except KBError as error:
        return [_failed("Hardware", error)]
    return found


def _found(name: str, results: Iterable[tuple[State, KBError]]) -> list[HealthCheck]:
    return [HealthCheck.of(name, state, found) for state, found in results]


def _presets(settings: Settings) -> HealthCheck:
    try:
        presets = _load_presets(settings)
    except KBError as error:
        return _failed("Presets", error)
    named = KBError("check.presets", "{names}", names=", ".join(presets))
    return HealthCheck.of("Presets", "ok", named)


def _load_presets(settings: Settings) -> dict[str, Preset]:
    return load_presets(settings.presets_path)


def _library(settings: Settings) -> HealthCheck:
    library = Library(settings.home)
    try:
        if not has_library(settings.home):
            # A check must not create the folder.
            absent = KBError(
                "check.library_absent",
                "{home}: not created yet; the first ingest creates it",
                home=settings.home,
            )
            return HealthCheck.of("Library", "ok", absent)
        library.prepare()
        listing = library.scan()
    except KBError as error:
        return _failed("Library", error)
    if listing.problems:
        unread = KBError(
            "check.library_problem",
            "{home}: {count:item|items}; {cause}",
            hint="{cause.hint}",
            home=settings.home,
            count=len(listing.entries),
            cause=listing.problems[0],
        )
        return HealthCheck.of("Library", "warn", unread)
    found = KBError(
        "check.library",
        "{home}: {count:item|items}",
        home=settings.home,
        count=len(listing.entries),
    )
    return HealthCheck.of("Library", "ok", found)


def _rights(settings: Settings) -> list[HealthCheck]:
    """Return a warning for a library of an earlier version that other accounts can read."""
    found = permissions.open_to_others(settings.home, group=settings.group_access)
    if found is None:
        return []
    folder = shlex.quote(str(settings.home))
    if settings.group_access:
        problem = KBError(
            "check.rights_group",
            "{found} can be read by other accounts of this machine",
            hint="Run: chmod -R o= {folder}",
            found=found,
            folder=folder,
        )
    else:
        problem = KBError(
            "check.rights",
            "{found} can be read by other accounts of this machine",
            hint="Run: chmod -R go= {folder}; or, for a library that a group shares, set "
            "KB_GROUP_ACCESS=true.",
            found=found,
            folder=folder,
        )
    return [HealthCheck.of("Rights", "warn", problem)]


def _products(settings: Settings) -> list[HealthCheck]:
    """Return the number and size of kept films; none without a film."""
    found = Products(settings.home, settings.products_gb, settings.products_days).use()
    if not found.count:
        return []
    kept = KBError(
        "check.products",
        "{count:film|films}, {size} of at most {most:g} GB, kept for {days:g} days after its last "
        "use",
        count=found.count,
        size=size_text(found.size_bytes),
        most=settings.products_gb,
        days=settings.products_days,
    )
    return [HealthCheck.of("Products", "ok", kept)]


def _database(settings: Settings) -> list[HealthCheck]:
    """Return the check of every page of the database file; none without a file.

    A damaged page is not noticed by opening the database.
    """
    path = settings.home / DATABASE_NAME
    if settings.database_url.get_secret_value() or not path.is_file():
        return []
    kept = snapshots(settings.home)
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept[0].made_at)) if kept else ""
    try:
        found = check_file(path, DATABASE_CHECK_S)
    except KBError as error:
        return [HealthCheck.of("Database", "warn", error)]
    if found.problems:
        return [HealthCheck.of("Database", "fail", _damaged(path, found.problems[0], day))]
    if found.complete:
        read = KBError("clause.database_read", "{file}: every page is readable", file=path.name)
    else:
        read = KBError(
            "clause.database_part",
            "{file}: no damage in the part that was read within {seconds} s",
            file=path.name,
            seconds=f"{DATABASE_CHECK_S:g}",
        )
    if not kept:
        return [HealthCheck.of("Database", "ok", KBError("check.database", "{read}", read=read))]
    copied = KBError(
        "check.database_copies",
        "{read}; {count:copy|copies}, the last of {day}",
        read=read,
        count=len(kept),
        day=day,
    )
    return [HealthCheck.of("Database", "ok", copied)]


def _damaged(path: Path, problem: str, day: str) -> KBError:
    if day:
        return KBError(
            "check.database_damaged",
            "{path} is damaged: {problem}",
            hint="Put the copy of {day} in its place: kb worker --stop; kb restore",
            path=path,
            problem=problem,
            day=day,
        )
    return KBError(
        "check.database_lost",
        "{path} is damaged: {problem}",
        hint="There is no copy of it: move {file} away and run: kb reindex",
        path=path,
        problem=problem,
        file=path.name,
    )


def _disk(settings: Settings) -> HealthCheck:
    folder = settings.home
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    room: dict[str, Any] = {"free": free / 2**30, "folder": folder}
    floor = settings.free_space.floor_bytes
    if free < floor:
        waits = KBError(
            "check.disk_full",
            "{free:,.0f} GB free at {folder}; work waits until {floor:,.1f} GB are free",
            hint="Free some space, or lower KB_MIN_FREE_GB.",
            floor=floor / 1e9,
            **room,
        )
        return HealthCheck.of("Disk", "fail", waits)
    if free < LOW_DISK_BYTES:
        low = KBError(
            "check.disk_low",
            "{free:,.0f} GB free at {folder}",
            hint="Free some space, or set KB_HOME to another disk.",
            **room,
        )
        return HealthCheck.of("Disk", "warn", low)
    return HealthCheck.of(
        "Disk", "ok", KBError("check.disk", "{free:,.0f} GB free at {folder}", **room)
    )


def _workers(settings: Settings, server: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return one check for each machine that a live worker reports on."""
    is_shared = bool(settings.database_url.get_secret_value())
    if _is_away(server) or not (is_shared or has_library(settings.home)):
        return []
    try:
        database = Database.open(settings)
    except KBError:
        return []  # the check of the database reports the error
    try:
        problem = LibraryTie(database, Library(settings.home)).problem()
        found = read_machines(database)
        loops = crash_loops(database, list_workers(database))
        clock = clock_problem(database)
    except KBError as error:
        return [_failed("Workers", error)]
    finally:
        database.close()
    presets = Presets(settings).readable()
    times = [HealthCheck.of("Clock", "warn", clock)] if clock else []
    return [
        *([_failed("Library", problem)] if problem is not None else []),
        *(check_worker(machine, presets) for machine in found),
        *(check_crash_loop(loop, settings) for loop in loops),
        *times,
    ]


def _is_away(server: Sequence[HealthCheck]) -> bool:
    """Return True if the server was asked in vain: every further wait takes seconds."""
    return any(check.state == "fail" for check in server)


def _sources(settings: Settings, server: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return the checks of the API keys, of yt-dlp and its programs, and of the download lane."""
    with storage.scratch_folder() as scratch:
        # A check must not create the library.
        chosen = settings if has_library(settings.home) else settings.replace(home=scratch)
        if _is_away(server):
            chosen = settings.replace(home=scratch, database_url=SecretStr(""))
        try:
            database = Database.open(chosen)
        except KBError as error:
            return [_failed("Database", error)]
        try:
            found = check_sources(settings, database)
        finally:
            database.close()
    return list(found)
