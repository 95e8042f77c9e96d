"""A reel: stretches of one medium, joined by cross-fades, with titles and captions.

All is made by one command of ffmpeg: the medium is opened once for each stretch. Titles and words
are drawn by libass after the joining, so that a title may have any character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kb import storage
from kb.errors import KBError, UsageError
from kb.media import shown
from kb.media.probe import MediaProbe, input_arguments, probe, start_arguments
from kb.media.section import is_exact
from kb.transcript.chunks import Piece, join, pieces
from kb.transcript.cleaning import cleaned_transcript
from kb.transcript.formats.subtitle_cues import Cue
from kb.transcript.time_order import in_time_order
from kb.types import Segment, Transcript, Word
from kb.types.safe_text import clean
from kb.video.caption_script import Title, caption_cues, caption_script, shown_text
from kb.video.captioned import (
    DRAWN,
    GROUND,
    WAVE,
    FilmRequest,
    MadeFilm,
    check_film_name,
    lay_script,
    no_picture_note,
    output_arguments,
    sound_track,
    thread_arguments,
)
from kb.video.encoder import Progress, encode
from kb.video.font_choice import choose_fonts
from kb.video.picture import USUAL_RATE, Picture, read_picture, shown_from_s

MOST_STRETCHES = 60
FADE_S = 0.5
SHORTEST_S = 1.0  # a stretch, which must be longer than its two fades
_TITLE_S = 3.0
_ROOM_AROUND_S = 0.02  # of a word's middle, for stretches that were cut at words


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a medium, in seconds, with its title."""

    start_s: float
    end_s: float
    title: str = ""

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Placed:
    """A stretch and the time at which it begins in the reel."""

    stretch: Stretch
    at_s: float


def check_stretches(stretches: Sequence[Stretch], duration_s: float | None, name: str) -> None:
    """Raise UsageError for none, for too many, for a short one, and for one outside the medium."""
    if not 0 < len(stretches) <= MOST_STRETCHES:
        raise UsageError(
            "reel.number",
            "A reel has from 1 to {most} stretches, not {number}.",
            hint='Name them: --take "1:05-1:20=Title", once for each.',
            most=MOST_STRETCHES,
            number=len(stretches),
        )
    for each in stretches:
        if each.length_s < SHORTEST_S:
            raise UsageError(
                "reel.short",
                "From {start_s:g} s to {end_s:g} s is too short for a reel.",
                hint="A stretch lasts a second at least.",
                start_s=each.start_s,
                end_s=each.end_s,
            )
        if duration_s is not None and each.end_s > duration_s + 0.5:
            raise UsageError(
                "reel.outside",
                "{name} ends at {length:.1f} s: there is nothing from {start_s:g} to {end_s:g} s.",
                hint="Give times within the medium.",
                name=name,
                length=duration_s,
                start_s=each.start_s,
                end_s=each.end_s,
            )


def fitted(
    stretches: Sequence[Stretch], wanted_s: float | None, transcript: Transcript
) -> tuple[tuple[Stretch, ...], int]:
    """Return the stretches that last `wanted_s` together, and the number of those left out.

    They are taken in their order; the one that is too long for the rest of the time ends at the
    last word that fits.
    """
    if wanted_s is None:
        return tuple(stretches), 0
    taken: list[Stretch] = []
    left_s = wanted_s
    ends = [word.end_s for word in transcript.words]
    for each in stretches:
        room_s = left_s + (FADE_S if taken else 0.0)
        if each.length_s > room_s:
            limit_s = each.start_s + room_s
            word_ends = [end for end in ends if each.start_s + SHORTEST_S <= end <= limit_s]
            each = replace(each, end_s=max(word_ends, default=limit_s))
        if each.length_s < SHORTEST_S:
            break
        taken.append(each)
        left_s = room_s - each.length_s
    return tuple(taken), len(stretches) - len(taken)


def placed(stretches: Sequence[Stretch]) -> tuple[Placed, ...]:
    """Return the stretches with their times in the reel, where each fades into the next."""
    at_s, found = 0.0, []
    for each in stretches:
        found.append(Placed(each, at_s))
        at_s += each.length_s - FADE_S
    return tuple(found)


def moved(transcript: Transcript, place: Placed) -> Transcript:
    """Return the words of a stretch at their times in the reel."""
    segments: list[Segment] = []
    for segment in transcript.segments:
        inside = [piece for piece in pieces(segment) if _is_inside(piece, place.stretch)]
        if inside:
            segments.append(_segment(segment, inside, place))
    return replace(transcript, segments=tuple(segments))


def _is_inside(piece: Piece, stretch: Stretch) -> bool:
    middle = (piece.start_s + piece.end_s) / 2
    return stretch.start_s - _ROOM_AROUND_S <= middle <= stretch.end_s + _ROOM_AROUND_S


def _segment(segment: Segment, inside: Sequence[Piece], place: Placed) -> Segment:
    stretch = place.stretch

    def at(seconds: float) -> float:
        return min(max(seconds, stretch.start_s), stretch.end_s) - stretch.start_s + place.at_s

    words = tuple(Word(at(p.start_s), at(p.end_s), p.text, 1.0) for p in inside)
    return replace(
        segment,
        start_s=words[0].start_s,
        end_s=max(word.end_s for word in words),
        text=join(inside),
        words=words if segment.words else (),
    )


def make_reel(
    medium: Path,
    transcript: Transcript,
    stretches: Sequence[Stretch],
    request: FilmRequest,
    draft: Path,
    *,
    target: Path,
    length_s: float | None = None,
    progress: Progress = lambda _: None,
) -> MadeFilm:
    """Write a reel to `draft`; errors name `target`. Raises as `make_film` does.

    `length_s`: the reel lasts no longer. Without words in the request there are titles alone.
    """
    check_film_name(target)
    found = probe(medium)
    check_stretches(stretches, found.duration_s, shown(medium.name))
    transcript = in_time_order(cleaned_transcript(transcript))
    chosen, left_out = fitted(stretches, length_s, transcript)
    check_stretches(chosen, found.duration_s, shown(medium.name))
    places = placed(chosen)
    whole_s = places[-1].at_s + places[-1].stretch.length_s
    titles = [
        Title(each.at_s, each.at_s + min(_TITLE_S, each.stretch.length_s - FADE_S), text)
        for each in places
        if (text := clean(each.stretch.title).strip())
    ]
    film = read_picture(medium) if found.has_video else None
    picture = film or Picture(request.size, USUAL_RATE)
    style = request.style
    karaoke = request.words == "karaoke"
    spoken = [moved(transcript, each) for each in places] if request.words else []
    letters = "".join([*map(shown_text, spoken), *(title.text for title in titles)])
    fonts = choose_fonts(letters, style.font, bold=style.bold)
    cues: list[Cue] = []
    for words, place in zip(spoken, places, strict=False):
        # The words of a stretch go with its picture.
        end_s = place.at_s + place.stretch.length_s - FADE_S / 2
        cues += caption_cues(words, style, picture.size, karaoke=karaoke, end_s=end_s)
    script = caption_script(cues, style, fonts, picture.size, karaoke=karaoke, titles=titles)
    notes = fonts.notes + (_left_out_note(left_out) if left_out else ())
    notes += () if film else (no_picture_note(medium),)
    with storage.scratch_folder() as folder:
        lay_script(folder, script, fonts)
        arguments, filters = _arguments(
            found, places, request, picture, draft, f"a:{sound_track(found, transcript)}",
            has_picture=film is not None,
        )  # fmt: skip
        encode(
            arguments, folder, source=medium, target=target, length_s=whole_s, progress=progress,
            filters=filters,
        )  # fmt: skip
    return MadeFilm(probe(draft).duration_s or 0.0, notes)


def _arguments(
    found: MediaProbe,
    places: Sequence[Placed],
    request: FilmRequest,
    picture: Picture,
    draft: Path,
    track: str,
    *,
    has_picture: bool,
) -> tuple[list[str], list[str]]:
    """Return the arguments of ffmpeg, and the filters that they use."""
    exact = is_exact(found)
    wide, high, rate = picture.size.width, picture.size.height, f"{picture.frames_per_s:.6f}"
    inputs, graph = thread_arguments(request.threads), []
    for number, place in enumerate(places):
        start_s, length_s = place.stretch.start_s, place.stretch.length_s
        from_s = 0.0
        if exact:
            from_s = shown_from_s(found.path, start_s) if has_picture else start_s
            inputs += ["-ss", f"{from_s:.6f}"]
        inputs += input_arguments(found)
        first_s = start_s - from_s
        cut = f"start={first_s:.6f}:duration={length_s:.6f}"
        if has_picture:
            graph.append(
                # A frame stays until the next one, before the cut and behind the last one.
                f"[{number}:V:0]fps={rate}:start_time=0,"
                f"tpad=stop_mode=clone:stop_duration={first_s + length_s + 1:.6f},"
                f"trim=start={first_s:.6f},setpts=PTS-STARTPTS,"
                f"scale={wide}:{high},setsar=1,format=yuv420p,trim=duration={length_s:.6f},"
                f"settb=AVTB[v{number}]"
            )
        if found.has_audio:
            graph.append(
                f"[{number}:{track}]atrim={cut},asetpts=PTS-STARTPTS,"
                f"aresample=48000,aformat=channel_layouts=stereo,apad,"
                f"atrim=duration={length_s:.6f}[a{number}]"
            )
    video, sound = "[v0]", "[a0]"
    for number, place in enumerate(places[1:], 1):
        if has_picture:
            fade = f"xfade=transition=fade:duration={FADE_S}:offset={place.at_s:.6f}"
            graph.append(f"{video}[v{number}]{fade}[x{number}]")
            video = f"[x{number}]"
        if found.has_audio:
            graph.append(f"{sound}[a{number}]acrossfade=d={FADE_S}:c1=tri:c2=tri[y{number}]")
            sound = f"[y{number}]"
    if not has_picture:
        band = max(2, high // 10 * 2)
        graph.append(f"{sound}asplit[sound][seen]")
        graph.append(
            f"[seen]showwaves=s={wide}x{band}:mode=cline:draw=full:scale=sqrt:rate={rate}:"
            f"colors={WAVE}[wave]"
        )
        graph.append(f"color=c={GROUND}:s={wide}x{high}:r={rate}[ground]")
        graph.append(
            f"[ground][wave]overlay=x=0:y={round(high * 0.45 - band / 2)}:shortest=1[film]"
        )
        video, sound = "[film]", "[sound]"
    graph.append(f"{video}{DRAWN}[out]")
    arguments = [*inputs, "-filter_complex", ";".join(graph), "-map", "[out]"]
    arguments += ["-map", sound] if found.has_audio else []
    arguments += ["-t", f"{places[-1].at_s + places[-1].stretch.length_s:.3f}"]
    arguments += output_arguments(found, draft, request.threads, copies_sound=False)
    filters = ["ass", "xfade", "acrossfade", "trim", "tpad"]
    return [*arguments, *(start_arguments(found) if exact else ())], filters


def _left_out_note(number: int) -> tuple[KBError, ...]:
    return (
        KBError(
            "note.reel_left_out",
            "{number:stretch is|stretches are} left out: the reel has its full length already.",
            hint="A longer reel: --length SECONDS",
            number=number,
        ),
    )
