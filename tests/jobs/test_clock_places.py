"""The places that read this machine's own time of day beside a database, each with its reason.

Times in a library's database are by the database's clock (`Database.time`), because machines that
share it may have clocks that are wrong. A new place belongs there, or into this table.
"""

from __future__ import annotations

import ast
from pathlib import Path

import kb

ROOT = Path(kb.__file__).parent
FOLDERS = ("database", "jobs", "sources")

# Reads of the time of day by file, as a count, so that a further one in the same file is noticed.
OWN_MACHINE = "a file of this machine alone: its clock was written there, too"
SHOWN = "a date that is shown or recorded for people, and compared with nothing"
ASKED = "the default of an argument, or of a file without a server"
CALENDAR = "today, in this machine's calendar, for a person who enters a date"
PLACES = {
    "database/database.py": (2, ASKED),
    "database/snapshots.py": (3, "copies of a file, which one machine alone has"),
    "jobs/digest/schedule.py": (1, ASKED),
    "jobs/queue/renewals.py": (1, SHOWN),
    "jobs/queue/telemetry.py": (1, "the interval between two points; the row's time is replaced"),
    "jobs/retention.py": (1, SHOWN),
    "jobs/worker/model_fetches.py": (2, "the time of an error of a fetch, which is changed here"),
    "sources/listing/filters.py": (1, CALENDAR),
    "sources/rate_limit/machine_lock.py": (1, OWN_MACHINE),
}  # fmt: skip

_CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("date", "today")}
_CLOCKS |= {("datetime", "utcnow"), ("datetime", "today")}


def reads(path: Path) -> int:
    """Return the number of places in a file that name the time of day."""
    return sum(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in _CLOCKS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_every_read_of_the_time_of_day_has_its_reason() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    found = {path.relative_to(ROOT).as_posix(): reads(path) for path in files}
    assert {name: count for name, count in found.items() if count} == {
        name: count for name, (count, _) in PLACES.items()
    }
