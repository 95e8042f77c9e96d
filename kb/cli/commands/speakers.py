"""The command of the speakers of one item: who they are, and their names."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kb.cli.options import Json
from kb.cli.output import console
from kb.errors import UsageError
from kb.service import Service
from kb.service.notation import format_timestamp, parse_time

if TYPE_CHECKING:
    from kb.service.speaker_names import Speaker


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(speakers)


def speakers(
    item_id: Annotated[str, typer.Argument(metavar="ID")],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="WHO=NAME: name a speaker, everywhere (S1=Anna)."),
    ] = None,
    unname: Annotated[
        list[str] | None, typer.Option("--unname", help="Take the name of a speaker away.")
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option("--merge", help="WHO=WHO: two are one person, the second of them (S3=S1)."),
    ] = None,
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--assign",
            help="FROM-TO=WHO: another one speaks there (1:05-1:12.5=Ben); an empty WHO undoes it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Names of the speakers of an item, and excerpts of each."""
    service = Service.of_existing_library()
    acts = service.speakers
    item_id = service.items.entry(item_id).item.id
    for each in unname or ():
        acts.unname(item_id, each)
    for each in merge or ():
        who, into = _pair(each, "--merge S3=S1")
        acts.merge(item_id, who, into)
    for each in assign or ():
        place, who = _pair(each, "--assign 1:05-1:12.5=Ben")
        start, _, end = place.partition("-")
        acts.assign(item_id, parse_time(start), parse_time(end), who)
    for each in name or ():
        who, chosen = _pair(each, "--name S1=Anna")
        acts.name(item_id, who, chosen)
    found = acts.of(item_id)
    if as_json:
        console.print_json({"id": item_id, "speakers": [asdict(each) for each in found]})
    elif found:
        for speaker in found:
            _print(speaker)
    else:
        console.print_note(f"No speaker is known. Find out: kb enrich {item_id} --steps speakers")


def _pair(text: str, example: str) -> tuple[str, str]:
    left, sign, right = text.partition("=")
    if not sign or not left.strip():
        raise UsageError(
            "speakers.no_pair",
            "{text!r} has no equals sign with something before it.",
            hint="For example: {example}",
            text=text,
            example=example,
        )
    return left.strip(), right.strip()


def _print(speaker: Speaker) -> None:
    share = f"{speaker.share:.0%}"
    also = "" if speaker.labels in ((), (speaker.shown,)) else f" ({', '.join(speaker.labels)})"
    line = Text(speaker.shown, style="bold")
    console.out.print(line.append(f"{also}  {format_timestamp(speaker.seconds)}  {share}", "none"))
    for each in speaker.excerpts:
        said = each.text if len(each.text) <= 90 else f"{each.text[:89]}…"
        console.out.print(Text(f"  {format_timestamp(each.start_s)}  {said}", style="dim"))
        console.out.print(Text(f"        {each.deep_link}", style="dim"))
