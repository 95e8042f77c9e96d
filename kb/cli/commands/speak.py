"""The commands `speak` and `dub`: texts read aloud, and media in another language."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.output import console
from kb.cli.output.columns import Column, Columns
from kb.cli.output.products import is_to_be_fetched, leave_to_worker
from kb.cli.output.progress import media_progress
from kb.cli.plain_options import FetchPicture, Json, NoWait, Overwrite, Threads
from kb.errors import KBError, MediaUnavailable, UsageError
from kb.service import Service
from kb.service.existing import has_library

if TYPE_CHECKING:
    from kb.service.dubbing import Dub, MadeDub

_ITEM = re.compile(r"\S+:\S+")

VoiceOption = Annotated[
    str, typer.Option("--voice", help="ENGINE:VOICE of kb speak --voices, or an engine.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(speak)
    app.command()(dub)


def speak(
    text: Annotated[
        str, typer.Argument(metavar="TEXT|ID", help="A text, or an item: its summary or words.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option("--file", help="A file with the text, - for the input.")
    ] = None,
    voice: VoiceOption = "",
    language: Annotated[
        str, typer.Option("--language", help="Of the text; without it, it is detected.")
    ] = "",
    speed: Annotated[float, typer.Option("--speed", help="0.25 to 4; 1 is the voice's own.")] = 1.0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File: .mp3 .opus .ogg .aac .flac .wav"),
    ] = None,
    overwrite: Overwrite = False,
    voices: Annotated[
        bool,
        typer.Option(
            "--voices", help="List the voices of this machine and of configured services."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read a text aloud into a file of sound."""
    if voices:
        _list_voices(language, as_json=as_json)
        return
    if bool(text) == (file is not None):
        raise UsageError(
            "speech.which",
            "What is to be read?",
            hint='Give a text, the id of an item, or --file FILE: kb speak "A text"',
        )
    service = Service.for_reading()
    try:
        target = Path("speech.mp3")
        if file is not None:
            text = sys.stdin.read() if str(file) == "-" else _text_of(file)
            target = Path(f"{file.stem}.mp3") if str(file) != "-" else target
        elif _ITEM.fullmatch(text) and has_library(service.settings.home):
            text, known, target = _item(service, text, target)
            language = language or known
        made = service.speech.to_file(
            text, output or target, voice=voice, language=language, speed=speed,
            overwrite=overwrite,
        )  # fmt: skip
    finally:
        service.close()
    if as_json:
        console.print_json(
            {
                "sound": str(made.path),
                "voice": made.voice,
                "language": made.language,
                "notes": [each.record() for each in made.notes],
            }
        )
        return
    _print_notes(made.notes)
    console.print_note(f"Written: {made.path} ({made.voice})")


def _item(service: Service, text: str, target: Path) -> tuple[str, str, Path]:
    """Return text, language and file for an item; those of a text that is no item's id."""
    try:
        stem = service.items.entry(text).stem
    except UsageError:
        return text, "", target
    words, language = service.speech.text_of(text)
    return words, language, Path(f"{stem} spoken.mp3")


def _text_of(file: Path) -> str:
    from kb.service.speech import read_text

    return read_text(file.expanduser())


def _list_voices(language: str, *, as_json: bool) -> None:
    service = Service.for_reading()
    try:
        found = service.speech.voices()
        lacking = service.speech.lacking()
    finally:
        service.close()
    if language:
        from kb.service.notation import language_code

        code = language_code(language)
        found = tuple(each for each in found if code in each.languages)
    if as_json:
        console.print_json(
            {
                "voices": [
                    {"id": v.id, "engine": v.engine, "languages": list(v.languages), "note": v.note}
                    for v in found
                ],
                "lacking": {name: problem.record() for name, problem in lacking.items()},
            }
        )
        return
    if found:
        columns = (Column("voice"), Column("languages", shrinks=True), Column("note", shrinks=True))
        rows = [(each.id, " ".join(each.languages), each.note) for each in found]
        Columns(columns, rows).print()
    for name, problem in lacking.items():
        console.print_note(f"{name}: {problem.message} {problem.hint}")


def _print_notes(notes: tuple[KBError, ...]) -> None:
    for each in notes:
        console.print_warning(f"{each.message} {each.hint}".strip())


def dub(
    target: Annotated[str, typer.Argument(metavar="ID|FILE", help="An item, or any medium.")],
    into: Annotated[str, typer.Option("--into", help="The language, such as de.")],
    transcript: Annotated[
        Path | None,
        typer.Option("--transcript", help="Transcript in that language: json, srt, vtt and others"),
    ] = None,
    voice: Annotated[
        list[str] | None,
        typer.Option("--voice", help="ENGINE:VOICE for all, or SPEAKER=ENGINE:VOICE."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output",
            help="File: .mp4 .mkv .mov for the video, .m4a .mp3 .flac .wav .ogg .opus for sound.",
        ),
    ] = None,
    threads: Threads = 0,
    fetch: FetchPicture = None,
    no_wait: NoWait = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Speak the translation of a medium over its own sound, which becomes quieter there."""
    wish = _dub(into, voice or [], threads)
    medium = Path(target).expanduser()
    if transcript is None and medium.is_file():
        raise UsageError(
            "dub.no_transcript",
            "The transcript of {file} in {language} is not named.",
            hint="Give it with --transcript T.",
            file=target,
            language=into,
        )
    if transcript is not None and (fetch or no_wait):
        raise UsageError(
            "dub.not_of_transcript",
            "--fetch and --no-wait are for the stored translation of an item of the library.",
            hint="Leave them out, or leave --transcript out.",
        )
    if transcript is None:
        service = Service.of_existing_library()
        is_sound = output is not None and not service.dubbing.is_film(output)
        fetch = is_to_be_fetched(
            lambda: not is_sound and service.dubbing.lacks_picture(target), fetch, ask=not as_json
        )
        if fetch or no_wait:
            # The sound alone is made once for every kind of file; copying it costs nothing.
            suffix = output.suffix if output and fetch else "" if fetch else service.dubbing.sound
            order = service.dubbing.order(target, wish, suffix, fetch=fetch)
            leave_to_worker(service, target, order, no_wait=no_wait, as_json=as_json)
            if no_wait:
                return
    with media_progress(medium.name, shown=sys.stderr.isatty()) as (progress, _):
        made = _make_dub(target, transcript, wish, output, overwrite, progress, fetch=bool(fetch))
    report = made.report
    if as_json:
        console.print_json(
            {
                "dub": str(made.path), "lines": report.lines, "faster": report.faster,
                "cut": report.cut, "notes": [each.record() for each in report.notes],
            }
        )  # fmt: skip
        return
    _print_notes(report.notes)
    console.print_note(
        f"Written: {made.path} ({report.lines} lines, {report.faster} spoken faster, "
        f"{report.cut} cut)"
    )


def _dub(into: str, voice: list[str], threads: int) -> Dub:
    from kb.service.dubbing import Dub
    from kb.service.notation import language_code

    code = language_code(into)
    if not code:
        raise UsageError(
            "speech.language",
            "{language!r} is no language.",
            hint="Give a code or a name, such as de or German.",
            language=into,
        )
    by_speaker = dict(each.rsplit("=", 1) for each in voice if "=" in each)
    plain = [each for each in voice if "=" not in each]
    return Dub(code, plain[-1] if plain else "", by_speaker, threads)


def _is_item(medium: Path) -> bool:
    """Return True for what may be an id; what names a place is a file, also one that is missing."""
    named = len(medium.parts) > 1 or os.path.lexists(medium)
    return not named and has_library(Service.for_reading().settings.home)


def _make_dub(
    target: str,
    transcript: Path | None,
    wish: Dub,
    output: Path | None,
    overwrite: bool,
    progress: Callable[[float], None],
    *,
    fetch: bool,
) -> MadeDub:
    medium = Path(target).expanduser()
    if transcript is None or _is_item(medium):
        dubs = Service.of_existing_library().dubbing
        return dubs.of_item(
            target, wish, transcript, output, overwrite=overwrite, fetch=fetch, progress=progress
        )
    service = Service()
    try:
        return service.dubbing.of_file(
            medium, transcript.expanduser(), wish, output, overwrite=overwrite, progress=progress
        )
    except MediaUnavailable as error:
        # The only input cannot be used, so this is a usage error.
        raise error.recast(UsageError) from error
    finally:
        service.close()
