"""Run the commands of README and documents as they are written, and report those that fail.

    python tools/docs_check.py [PAGE]...       (make docs-check)

They run one after the other in a folder with recordings of the names that the documents use, with
a library that has a talk and a conversation; YouTube, ODIN and the language model are those of the
tests, on this machine (tests/support/document_stage.py). `ID` is an item of it, `CHANNEL` a
channel. Servers run until they say that they are ready. Left out, and listed with the reason: what
needs a model of the hub, another package, or another machine. Nothing outside of a temporary
folder changes.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Mapping
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


def main(wanted: list[str]) -> int:
    count, failed, left_out = 0, [], []
    with tempfile.TemporaryDirectory() as name, Stage(Path(name) / "stage") as stage:
        for document in sorted(documents(), key=lambda path: path.name in LAST):
            if wanted and document.name not in wanted:
                continue
            steps = [*BEFORE.get(document.name, ()), *dict.fromkeys(commands(document))]
            for command in steps:
                if why := reason(command):
                    left_out.append(f"{document.name}: {command} ({why})")
                    continue
                for needed in NEEDS.get(command, ()):
                    before = run(stage, needed, document.name)
                    if not good(needed, before):
                        print(f"       before it: {needed}\n  {before.said[-300:]}")
                began = time.monotonic()
                ran = run(stage, command, document.name)
                count += 1
                print(f"{time.monotonic() - began:5.1f} s  {document.name}: {command}", flush=True)
                if not good(command, ran):
                    failed.append(f"{document.name}: {command}\n  {ran.code}: {ran.said[-600:]}")
                    print(failed[-1], flush=True)
                if command in AFTER:
                    run(stage, AFTER[command], document.name)
    print("\nLeft out:", *left_out, sep="\n")
    print(f"\n{count} commands ran, {len(failed)} failed, {len(left_out)} left out.")
    for each in failed:
        print(each)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
