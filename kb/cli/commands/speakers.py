"""The command of the speakers of one item: who they are, and their names."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kb.cli.output import console
from kb.cli.plain_options import ID_HELP, Json, Sure
from kb.errors import UsageError
from kb.service import Service
from kb.service.notation import format_length, format_timestamp, parse_time
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.speaker_names import Speaker
    from kb.service.voice_profiles import NamedVoices


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (speakers, voices):
        app.command()(command)


def speakers(
    item_id: Annotated[str, typer.Argument(metavar="ID", help=ID_HELP)],
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
    confirm: Annotated[
        list[str] | None,
        typer.Option(
            "--confirm", help="The name suggested for WHO is right, here and wherever the voice is."
        ),
    ] = None,
    refuse: Annotated[
        list[str] | None, typer.Option("--refuse", help="The name suggested for WHO is wrong.")
    ] = None,
    yes: Sure = False,
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
    for each in refuse or ():
        service.voices.refuse(item_id, each)
    for each in confirm or ():
        _print_named(service.voices.confirm(item_id, each, sure=yes))
    found = acts.of(item_id)
    if as_json:
        console.print_json({"id": item_id, "speakers": [asdict(each) for each in found]})
    elif found:
        for speaker in found:
            _print(speaker)
    else:
        console.print_note(f"No speaker is known. Find out: kb enrich {item_id} --steps speakers")


def voices(
    apply: Annotated[
        str | None,
        typer.Option("--apply", metavar="NAME", help="Name this confirmed voice in all items."),
    ] = None,
    delete: Annotated[
        str | None,
        typer.Option("--delete", metavar="NAME", help="Delete the voice of a person; names stay."),
    ] = None,
    delete_all: Annotated[
        bool, typer.Option("--delete-all", help="Delete all voices of this library.")
    ] = False,
    yes: Sure = False,
    as_json: Json = False,
) -> None:
    """Voices that names are suggested by (KB_VOICE_PROFILES); off unless you switch it on."""
    service = Service.of_existing_library()
    if delete_all:
        count = service.voices.delete_all()
        console.print_note(f"Deleted: {counted(count, 'file')} with voices. {_BACKUPS}")
    if delete is not None:
        count = service.voices.delete(delete)
        console.print_note(f"{counted(count, 'voice')} of {delete} deleted. {_BACKUPS}")
    if apply is not None:
        _print_named(service.voices.apply(apply, sure=yes))
    found = service.voices.list()
    if as_json:
        rows = [
            {"name": each.name, "items": list(each.items), "confirmed": each.is_confirmed}
            for each in found
        ]
        console.print_json({"on": service.settings.voice_profiles, "voices": rows})
        return
    for each in found:
        state = "" if each.is_confirmed else "  suggested until you confirm it once"
        console.out.print(Text(f"{each.name}  {counted(len(each.items), 'item')}{state}"))
    if not service.settings.voice_profiles:
        console.print_note("Voice profiles are off (KB_VOICE_PROFILES).")
    elif not found:
        console.print_note("No voices yet: name speakers with kb speakers ID --name.")


_BACKUPS = "Backups made before still have them."


def _print_named(found: NamedVoices) -> None:
    if found.waiting:
        console.print_warning(
            f"{counted(found.waiting, 'other item')} would get the name; {found.published} of "
            f"them are published, and sending these again costs {found.credits:.1f} credits at "
            "most. To do it: kb voices --apply NAME --yes"
        )
    elif found.named:
        console.print_note(f"Named in {counted(len(found.named), 'other item')}.")


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
    line.append(f"{also}  {format_length(speaker.seconds)}  {share}", "none")
    if speaker.suggested:
        line.append(f"  suggested: {speaker.suggested} ({speaker.similarity:.2f})", "yellow")
    console.out.print(line)
    for each in speaker.excerpts:
        said = each.text if len(each.text) <= 90 else f"{each.text[:89]}…"
        console.out.print(Text(f"  {format_timestamp(each.start_s)}  {said}", style="dim"))
        console.out.print(Text(f"        {each.deep_link}", style="dim"))
