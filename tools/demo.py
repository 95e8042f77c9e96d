"""The demo of `make demo`: the sample channel into a knowledge base, and a question answered.

Everything is real: the same service, queue, worker and recognizer code as for any other media,
only with the small bundled model. One talk comes with its true transcript: who speaks in it and
what is on its screen is found out here, where the parts of these steps are. The library is `.demo/`
in the project; run again, it finds all of it done and answers at once. Ends with an exit code other
than 0 when anything fails.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
CONVERSATION = ROOT / "samples-conversation"

# Before anything of the package is imported: it reads the environment once.
os.environ["KB_HOME"] = str(ROOT / ".demo")
os.environ["KB_MODEL"] = "demo"
os.environ["KB_SINKS"] = "local"

from rich.text import Text  # noqa: E402

from kb.cli.output import console  # noqa: E402
from kb.cli.output.items import print_problems  # noqa: E402
from kb.cli.output.progress import ingest_progress  # noqa: E402
from kb.errors import KBError  # noqa: E402
from kb.options import RunOptions  # noqa: E402
from kb.service import ItemStatus, Service  # noqa: E402
from kb.transcript.chunks import format_length, format_timestamp  # noqa: E402
from kb.types import Hit  # noqa: E402

QUESTION = "What did the engineer discover under the snowfall?"
EXPECTED_WORD = ("broken", "bridge")
"""Words of the passage that answers it; anything else would be the wrong one."""

TAKEN = (".mp4", ".srt")
INTRODUCTION = re.compile(r"\bI am ([A-Z][a-z]+ [A-Z][a-z]+)")
OK_STATES = ("done", "held")
"""Held: the words are there and can be searched, but some speech carries none."""


def main() -> int:
    """Run the demo; returns the exit code."""
    began = time.monotonic()
    service = Service()
    say("The sample channel goes into a knowledge base …", "bold")
    statuses = ingest(service)
    print_problems(statuses)
    if any(status.state not in OK_STATES for status in statuses):
        say("Not all of the talks made it.", "bold red")
        return 1
    answer = best(service)
    if answer is None:
        say("The question was not answered: no passage found.", "bold red")
        return 1
    show(answer)
    if not all(word in answer.text for word in EXPECTED_WORD):
        say("This is not the passage that answers it.", "bold red")
        return 1
    show_conversation(service, statuses)
    say(f"Done in {time.monotonic() - began:.0f} s. The library is {service.settings.home}.")
    say("Look at it in the browser:  KB_HOME=.demo KB_MODEL=demo make app")
    return 0


def ingest(service: Service) -> list[ItemStatus]:
    """Take the samples in, with bars; returns how each of them stands."""
    # The demo recognizer does not know these voices: their transcript is taken in with the medium.
    known = [str(path) for path in sorted(CONVERSATION.glob("*.*")) if path.suffix in TAKEN]
    report = service.ingest.run([str(SAMPLES), *known], RunOptions())
    for problem in report.refused:
        console.print_error(problem)
    if report.enqueued:
        with ingest_progress(len(report.enqueued), shown=sys.stderr.isatty()) as (listener, _):
            service.follow.run(report.enqueued, listener)
    ids = [*report.enqueued, *(skipped.id for skipped in report.skipped)]
    statuses = service.items.statuses(ids=ids)
    words = sum(service.items.transcript(s.id).word_count for s in statuses if s.state in OK_STATES)
    if report.enqueued:
        say(f"  {len(statuses)} talks, {words} words.")
    else:
        say(f"  Nothing had to be done twice: {len(statuses)} talks, {words} words are there.")
    return statuses


def best(service: Service) -> Hit | None:
    """The passage that answers the question, from the knowledge base."""
    hits = service.search.run(QUESTION, limit=1).hits
    return hits[0] if hits else None


def show(hit: Hit) -> None:
    """Print question and answer."""
    say(f"\nQuestion: {QUESTION}", "bold cyan")
    say(f"  {hit.title}  [{format_timestamp(hit.at_s)}]", "bold")
    snippet = Text("  ")
    for number, part in enumerate(re.split(r"\*\*(.+?)\*\*", hit.snippet)):
        snippet.append(part, style="bold yellow" if number % 2 else "")
    console.out.print(snippet)
    say(f"  {hit.deep_link}\n", "dim")


def show_conversation(service: Service, statuses: Sequence[ItemStatus]) -> None:
    """Print who speaks in the conversation, named by their own words, and what is on its screen."""
    titles = {path.stem for path in CONVERSATION.glob("*.mp4")}
    found = [status for status in statuses if status.title in titles]
    service.follow.wait_for_steps([status.id for status in found])
    for status in found:
        say(f"{status.title}", "bold")
        transcript = service.items.transcript(status.id)
        for segment in transcript.segments:
            introduced = INTRODUCTION.search(segment.text)
            if introduced and segment.speaker and segment.speaker != introduced[1]:
                service.speakers.name(status.id, segment.speaker, introduced[1])
        for speaker in service.speakers.of(status.id):
            said = next((each.text for each in speaker.excerpts if each.text), "")
            say(f"  {speaker.shown}, {format_length(speaker.seconds)}: {said}")
        shown = service.enrichment.screen_text(service.items.entry(status.id), transcript)
        for page in shown.pages if shown else ():
            say(f"  [{format_timestamp(page.showings[0][0])}] {' | '.join(page.rows())}", "dim")
        for step in status.steps:
            if step.error:
                say(f"  {step.step}: {step.error} {step.hint}", "dim")
    say("")


def say(words: str, style: str = "") -> None:
    """One line on stdout."""
    console.out.print(Text(words, style=style))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KBError as error:
        console.print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
