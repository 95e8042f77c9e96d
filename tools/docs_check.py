"""Run the commands of README and documents as they are written, and report those that fail.

    python tools/docs_check.py [--from PAGE] [--minutes N] [PAGE]...       (make docs-check)

They run one after the other in a folder with recordings of the names that the documents use, with
a library that has a talk and a conversation; YouTube, ODIN and the language model are those of the
tests, on this machine (tests/support/document_stage.py). `ID` is an item of it, `CHANNEL` a
channel. Servers run until they say that they are ready. Left out, and listed with the reason: what
needs a model of the hub, another package, or another machine. Nothing outside of a temporary
folder changes. A command that fails ends nothing: the end lists all that failed. A pass that takes
longer than its minutes ends after a page, and says with which page the next one begins.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.document_commands import arguments, commands, documents  # noqa: E402
from tests.support.document_stage import Ran, Stage  # noqa: E402

LEFT_OUT: Mapping[str, str] = {
    r"^kb models (add|fetch)\b": "installs a package",
    r"large-v3|--via (local|whisper)": "a model of the hub",
    r"^kb move-queue\b": "a PostgreSQL server",
    r"--host 0\.0\.0\.0": "opens a port to the network",
}
SERVERS: Mapping[str, str] = {
    r"^kb app\b": r"http://",
    r"^kb serve\b": r"http://",
    r"^kb mcp --http$": r"http://",
    r"^kb status --watch": r"\S",
}
# What a page's reader has done before, by an earlier page or in the dashboard.
BEFORE: Mapping[str, tuple[str, ...]] = {
    "dub.md": ("kb translate ID --into de --wait",),
    "evidence.md": ("kb ingest talk.mp4 --wait",),
    "films.md": ("kb enrich ID --steps highlights --wait",),
    "speakers.md": ("kb enrich ID --steps speakers --wait",),
}
# Commands around one: what it needs, and what puts back what it took.
# A copy of the database may be from before an item was done: the files and a worker bring it there.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "kb remove --undo ID": ("kb reindex", "kb worker --exit-when-idle", "kb remove ID"),
    "kb restore": ("kb worker --stop",),
}
AFTER: Mapping[str, str] = {"kb remove ID": "kb remove --undo ID"}
LAST = ("files.md", "upkeep.md")  # they put back an older database
ITEMS: Mapping[str, str] = {"speakers.md": "panel"}
MINUTES = 90.0  # of a pass; 150 commands, each with a process of its own
# 1 is the answer of a check that found something: a machine without a card, words in doubt.
FINDS = re.compile(r"^kb (doctor|transcribe|ingest|verify|sync|evidence)\b")


def reason(command: str) -> str:
    """Return why a command is left out, empty if it is run."""
    return next((why for pattern, why in LEFT_OUT.items() if re.search(pattern, command)), "")


def run(stage: Stage, command: str, page: str) -> Ran:
    """Run one command as it is written."""
    words = stage.words(arguments(command), ITEMS.get(page, "talk"))
    sign = next((sign for pattern, sign in SERVERS.items() if re.search(pattern, command)), "")
    return stage.serve(words, sign) if sign else stage.run(words)


def good(command: str, ran: Ran) -> bool:
    """Tell whether a command did what its page promises."""
    fine = ran.code == 0 or (ran.code == 1 and FINDS.match(command))
    return bool(fine) and "Traceback" not in ran.said


class Pass:
    """One pass over the pages: what ran, what failed, and what was left out."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.count = 0
        self.failed: list[str] = []
        self.left_out: list[str] = []

    def page(self, document: Path) -> None:
        """Run the commands of a page, with those that its reader has run before."""
        steps = [*BEFORE.get(document.name, ()), *dict.fromkeys(commands(document))]
        for command in steps:
            if why := reason(command):
                self.left_out.append(f"{document.name}: {command} ({why})")
            else:
                self._command(document.name, command)

    def _command(self, page: str, command: str) -> None:
        for needed in NEEDS.get(command, ()):
            before = run(self.stage, needed, page)
            if not good(needed, before):
                print(f"       before it: {needed}\n  {before.said[-300:]}")
        began = time.monotonic()
        ran = run(self.stage, command, page)
        self.count += 1
        code = f"  (exit code {ran.code})" if ran.code else ""
        print(f"{time.monotonic() - began:5.1f} s  {page}: {command}{code}", flush=True)
        if not good(command, ran):
            self.failed.append(f"{page}: {command}\n  {ran.code}: {ran.said[-600:]}")
            print(self.failed[-1], flush=True)
        if command in AFTER:
            run(self.stage, AFTER[command], page)


def pages(wanted: Collection[str], first: str) -> list[Path]:
    """Return the pages in the order of a pass, those named by `wanted`, from `first` on."""
    found = sorted(documents(), key=lambda path: path.name in LAST)
    names = [path.name for path in found]
    unknown = {name for name in (*wanted, first) if name} - set(names)
    if unknown:
        raise SystemExit(f"No such page: {', '.join(sorted(unknown))}. Pages: {', '.join(names)}")
    found = found[names.index(first) :] if first else found
    return [path for path in found if not wanted or path.name in wanted]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="names of files, such as odin.md")
    parser.add_argument("--from", dest="first", default="", metavar="PAGE", help="begin with it")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin no page after them")
    given = parser.parse_args(arguments)
    until = time.monotonic() + given.minutes * 60
    todo, rest = pages(given.pages, given.first), []
    with tempfile.TemporaryDirectory() as name, Stage(Path(name) / "stage") as stage:
        found = Pass(stage)
        for number, document in enumerate(todo):
            if time.monotonic() > until:
                rest = todo[number:]
                break
            found.page(document)
    print("\nLeft out:", *found.left_out, sep="\n")
    print(
        f"\n{found.count} commands ran, {len(found.failed)} failed, {len(found.left_out)} left out."
    )
    print(*found.failed, sep="\n")
    if rest:
        print(
            f"{given.minutes:g} minutes are over, and {len(rest)} pages are left. Go on with: "
            f"make docs-check FROM={rest[0].name}"
        )
    return 1 if found.failed or rest else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
