"""The command `video`: the words of a transcript drawn into a film."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.output import console
from kb.cli.output.products import is_to_be_fetched, leave_to_worker
from kb.cli.output.progress import media_progress
from kb.cli.plain_options import FetchPicture, Json, NoWait, Overwrite, Threads
from kb.errors import MediaUnavailable, UsageError
from kb.service import Service
from kb.service.notation import parse_time

# Its modules load the decoders of media, which other commands need not wait for.
if TYPE_CHECKING:
    from kb.service.video import MadeVideo, Stretch, Wish, Words

STYLES = "bold, box, karaoke, plain, slide"
_PICTURES = {
    "fetched": " (its picture was fetched)",
    "still": " (over a still picture)",
    "wave": " (over a wave of its sound)",
}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(video)


def video(
    target: Annotated[str, typer.Argument(metavar="ID|FILE", help="An item, or any medium.")],
    captions: Annotated[bool, typer.Option("--captions", help="Draw captions.")] = False,
    karaoke: Annotated[
        bool, typer.Option("--karaoke", help="Draw lines that are filled with colour as spoken.")
    ] = False,
    soft: Annotated[
        bool,
        typer.Option("--soft", help="With --captions: a track that a player switches on."),
    ] = False,
    reel: Annotated[
        bool,
        typer.Option("--reel", help="Join stretches, or the highlights that were found."),
    ] = False,
    take: Annotated[
        list[str] | None,
        typer.Option("--take", help="A stretch of a reel: 1:05-1:20, or 1:05-1:20=Title."),
    ] = None,
    length: Annotated[
        float | None, typer.Option("--length", help="Seconds that a reel lasts at most.")
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option("--transcript", help="Transcript of a FILE: json, srt, vtt and others."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File: .mp4, .mkv or .mov.")
    ] = None,
    style: Annotated[
        str, typer.Option("--style", help=f"{STYLES}, or a YAML file of your own.")
    ] = "",
    picture: Annotated[
        Path | None, typer.Option("--picture", help="A still (PNG, JPEG) under the words.")
    ] = None,
    size: Annotated[
        str, typer.Option("--size", help="WIDTHxHEIGHT over a still or sound alone.")
    ] = "",
    threads: Threads = 0,
    fetch: FetchPicture = None,
    no_wait: NoWait = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Draw the words of a transcript into a film, or join stretches of it to a reel."""
    from kb.service.video import Wish

    words = _words(captions, karaoke, soft, reel)
    if not reel and (take or length is not None):
        raise UsageError(
            "video.take_without_reel",
            "--take and --length are for a reel.",
            hint="Add --reel.",
        )
    wish = Wish(
        "reel" if reel else "soft" if soft else words or "captions", style, picture, size, threads,
        tuple(map(_stretch, take or ())), length, words,
    )  # fmt: skip
    medium = Path(target).expanduser()
    if transcript is None and medium.is_file():
        raise UsageError(
            "video.no_transcript",
            "The transcript of {file} is not named.",
            hint="Give it with --transcript T. To make one: "
            "kb transcribe FILE --format json -o FOLDER",
            file=target,
        )
    if transcript is not None and (fetch or no_wait):
        raise UsageError(
            "video.not_of_file",
            "--fetch and --no-wait are for items of the library.",
            hint="Leave them out.",
        )
    if transcript is None:
        service = Service.of_existing_library()
        fetch = is_to_be_fetched(
            lambda: service.videos.lacks_picture(target, wish), fetch, ask=not as_json
        )
        if fetch or no_wait:
            order = service.videos.order(wish, output.suffix if output else ".mp4", fetch=fetch)
            leave_to_worker(service, target, order, no_wait=no_wait, as_json=as_json)
            if no_wait:
                return
    with media_progress(medium.name, shown=sys.stderr.isatty()) as (progress, _):
        made = _make(target, transcript, wish, output, overwrite, progress, fetch=bool(fetch))
    if as_json:
        console.print_json(
            {
                "video": str(made.path),
                "picture": made.picture or None,
                "notes": [each.record() for each in made.notes],
            }
        )
        return
    for each in made.notes:
        console.print_warning(f"{each.message} {each.hint}")
    console.print_note(f"Written: {made.path}{_PICTURES.get(made.picture, '')}")


def _words(captions: bool, karaoke: bool, soft: bool, reel: bool) -> Words | None:
    """Return how words are drawn, None for a reel without. Raises UsageError."""
    if captions == karaoke and not (reel and not captions):
        raise UsageError(
            "video.which",
            "What is to be drawn?",
            hint="Give one of --captions and --karaoke, or --reel with one of them or none.",
        )
    if soft and (karaoke or reel):
        raise UsageError(
            "video.soft_karaoke",
            "Only captions of a whole medium can be a track that a player switches on.",
            hint="Leave --soft out, or take --captions --soft.",
        )
    return "karaoke" if karaoke else "captions" if captions else None


def _stretch(text: str) -> Stretch:
    """Return the stretch of `1:05-1:20=Title`. Raises UsageError."""
    from kb.service.video import Stretch

    times, _, title = text.partition("=")
    start, dash, end = times.partition("-")
    if not dash:
        raise UsageError(
            "reel.take",
            "{text!r} is no stretch.",
            hint='Write --take "1:05-1:20=Title".',
            text=text,
        )
    return Stretch(parse_time(start), parse_time(end), title)


def _make(
    target: str,
    transcript: Path | None,
    wish: Wish,
    output: Path | None,
    overwrite: bool,
    progress: Callable[[float], None],
    *,
    fetch: bool,
) -> MadeVideo:
    if transcript is None:
        videos = Service.of_existing_library().videos
        return videos.of_item(
            target, wish, output, overwrite=overwrite, fetch=fetch, progress=progress
        )
    service = Service()
    try:
        return service.videos.of_file(
            Path(target).expanduser(), transcript.expanduser(), wish, output,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    except MediaUnavailable as error:
        # The only input cannot be used, so this is a usage error.
        raise error.recast(UsageError) from error
    finally:
        service.close()
