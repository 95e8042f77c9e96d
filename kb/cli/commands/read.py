"""Commands that read the library: search and show."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.text import Text

from kb.cli.options import chosen_items, list_filter
from kb.cli.output import console
from kb.cli.output import publish as publish_output
from kb.cli.output.doubts import print_expected_errors, print_uncertain_spans
from kb.cli.output.lists import VALUES
from kb.cli.output.same_sound import print_recurring, print_sound_links
from kb.cli.output.search import print_search
from kb.cli.output.untranscribed import (
    show_untranscribed,
    tries_document,
    untranscribed_document,
)
from kb.cli.output.versions import show_versions
from kb.cli.plain_options import ID_HELP, Json
from kb.errors import UsageError
from kb.service import Service
from kb.service.notation import (
    REVIEW_STATES,
    SEARCH_MODES,
    SENT_STATES,
    format_timestamp,
)
from kb.service.search_document import search_document
from kb.types.sentences import counted


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (search, show):
        app.command()(command)


def search(
    query: Annotated[str, typer.Argument(help='Words; "in quotes" for a phrase.')],
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="Passages, at most.")
    ] = 10,
    mode: Annotated[str, typer.Option("--mode", help=", ".join(SEARCH_MODES))] = "hybrid",
    remote: Annotated[bool, typer.Option("--remote", help="Search the ODIN project.")] = False,
    leave_out_recurring: Annotated[
        bool | None,
        typer.Option(
            "--leave-out-recurring/--with-recurring",
            help="Without intros and sponsor reads of a channel (step recurring); by default "
            "KB_LEAVE_OUT_RECURRING.",
        ),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only items of this channel: its name or id.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after", help="Only items from this day on: 2024-03-05, 2024-03, today, 30d."
        ),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", help="Only items up to this day.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Only items in it, such as en.")
    ] = None,
    grade: Annotated[list[str] | None, typer.Option("--grade", help="A, B or C.")] = None,
    doubts: Annotated[
        list[str] | None, typer.Option("--doubts", help=", ".join(REVIEW_STATES))
    ] = None,
    sent: Annotated[
        list[str] | None, typer.Option("--sent", help=f"In ODIN: {', '.join(SENT_STATES)}.")
    ] = None,
    speaker: Annotated[
        list[str] | None, typer.Option("--speaker", help="Only items in which this person speaks.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only items with this tag.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find passages, to the second; the exit code is 0 also where nothing is found."""
    only = chosen_items(channel or "", after or "", before or "")
    facets = list_filter(
        language=language, grade=grade, doubts=doubts, sent=sent, speaker=speaker, tag=tag
    )
    if remote and (only or facets):
        raise UsageError(
            "search.local_filters",
            "--channel, --after, --tag and the other filters choose items of the library, not of "
            "the ODIN project.",
            hint="Leave them out, or leave out --remote.",
        )
    if remote:
        started = time.perf_counter()
        found = Service.for_reading().publisher.search(query, limit)
        elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
        if as_json:
            console.print_json(publish_output.remote_search_document(query, elapsed_ms, found))
        else:
            publish_output.print_remote_search(query, elapsed_ms, found)
        return
    if mode not in SEARCH_MODES:
        raise UsageError(
            "search.unknown_mode",
            "Unknown mode {mode!r}.",
            hint="Known: {known}.",
            mode=mode,
            known=", ".join(SEARCH_MODES),
        )
    service = Service.of_existing_library()
    ids = service.catalogue.allowed(service.catalogue.named(facets))
    result = service.search.run(
        query,
        mode,  # type: ignore[arg-type]
        limit,
        leave_out_recurring=leave_out_recurring,
        only=only,
        ids=ids,
    )
    if as_json:
        console.print_json(search_document(result))
    else:
        print_search(result)
        if not result.hits and (only or facets):
            console.print_note(f"The search covered the items that the filters leave. {VALUES}")


def show(
    item_id: Annotated[str, typer.Argument(metavar="ID", help=ID_HELP)],
    versions: Annotated[
        bool, typer.Option("--versions", help="The earlier versions that were replaced.")
    ] = False,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="The text of an earlier version.")
    ] = None,
    numbers: Annotated[
        bool,
        typer.Option("--numbers", help='The segments with their numbers, for review --edit "N=…".'),
    ] = False,
    as_json: Json = False,
) -> None:
    """An item's metadata and transcript."""
    service = Service.of_existing_library()
    entry, status = service.items.find(item_id)
    if entry is None:
        assert status is not None
        if as_json:
            console.print_json(untranscribed_document(status))
        else:
            show_untranscribed(status)
        return
    if versions or version is not None:
        show_versions(service, entry.item.id, version, as_json=as_json)
        return
    if as_json:
        transcript = service.items.transcript(item_id) if entry.transcript_path else None
        captions = None if transcript else service.items.captions(item_id)
        console.print_json(
            {
                "id": entry.item.id,
                "title": entry.item.title,
                "published": entry.item.published,
                "url": entry.item.url,
                "state": entry.state,
                "grade": entry.grade,
                "expected_errors": entry.expected_errors,
                "error": entry.error,
                "hint": entry.hint,
                "problem": entry.problem,
                "media_path": str(entry.media_path) if entry.media_path else None,
                "retention": dict(entry.retention) or None,
                "publish": dict(entry.published),
                "asked": service.items.asked_settings(entry.item.id),
                "machine": service.items.machine_of(entry.item.id),
                **tries_document(status),
                "same_sound": service.enrichment.sound_links(entry).as_dicts(),
                "recurring": [each.as_dict() for each in service.enrichment.recurring(entry)],
                "transcript": service.items.document(transcript) if transcript else None,
                # Captions replace the transcript until it exists.
                **({"captions": service.items.document(captions)} if captions else {}),
            }
        )
        return
    captions = service.items.captions(item_id)
    if captions is not None:
        console.print_note(f"{entry.item.title}  ({entry.item.id}, {entry.item.published})")
        console.print_warning(" ".join(captions.warnings))
        sys.stdout.write(service.items.render(captions, "txt", item=entry.item))
        return
    if entry.transcript_path is None and status is not None:
        show_untranscribed(status, entry)
        return
    transcript = service.items.transcript(item_id)
    found = transcript.coverage
    checked = (
        f"grade {transcript.grade} · {found.ratio:.1%} of speech covered"
        if transcript.coverage_known
        else "not checked against the sound"
    )
    console.print_note(f"{entry.item.title}  ({entry.item.id}, {entry.item.published})")
    console.print_note(
        f"{transcript.language} · {transcript.model} · {counted(transcript.word_count, 'word')} · "
        f"{checked} · {entry.state}"
    )
    if asked := service.items.asked_settings(entry.item.id):
        console.print_note(f"asked for: {' · '.join(f'{k} {v}' for k, v in asked.items())}")
    if machine := service.items.machine_of(entry.item.id):
        console.print_note(f"machine: {machine}")
    if entry.retention:
        day = str(entry.retention.get("at", ""))[:10]
        console.print_note(f"medium deleted by retention on {day} ({entry.retention.get('rule')})")
    print_sound_links(service.enrichment.sound_links(entry))
    print_recurring(service.enrichment.recurring(entry))
    print_expected_errors(transcript)
    if transcript.witness:
        console.print_note(f"Agreement with {transcript.witness.source}: "
                     f"{transcript.witness.agreement:.0%}")  # fmt: skip
    print_uncertain_spans(transcript)
    for problem in dict.fromkeys((entry.error, *transcript.warnings)):
        if problem:
            console.print_warning(problem)
    if numbers:
        for number, segment in enumerate(transcript.segments):
            place = f"{format_timestamp(segment.start_s)} - {format_timestamp(segment.end_s)}"
            console.out.print(Text(f"{number:4}  [{place}] {segment.text.strip()}"))
        return
    sys.stdout.write(service.items.export(entry.item.id, "txt"))
