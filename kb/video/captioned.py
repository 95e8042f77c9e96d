"""A film in which the words of a transcript are drawn, made by one command of ffmpeg.

The words are drawn into the picture of a video; over a still picture with a wave of the sound; or,
for sound alone, over a plain ground with that wave. Sound is copied where the file's kind takes it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kb import storage
from kb.errors import KBError, UsageError
from kb.media import shown
from kb.media.probe import MediaProbe, input_arguments, media_url, probe, start_arguments
from kb.media.tracks import by_preference
from kb.transcript.cleaning import cleaned_transcript
from kb.transcript.time_order import in_time_order
from kb.types import Transcript
from kb.video.caption_script import Size, caption_cues, caption_script, shown_text
from kb.video.caption_style import CaptionStyle
from kb.video.encoder import Progress, encode
from kb.video.font_choice import FontChoice, choose_fonts
from kb.video.picture import (
    USUAL_RATE,
    Picture,
    check_still,
    read_picture,
    sound_after_picture_s,
)

Words = Literal["captions", "karaoke"]

FILM_SUFFIXES = (".mp4", ".mkv", ".mov")
SCRIPT, FONTS = "words.ass", "fonts"  # names in the folder of a command
USUAL_SIZE = Size(1280, 720)
_COPIED_SOUND = frozenset({"aac", "mp3"})  # what every player takes in these kinds of files
_LENGTH_LEEWAY_S, _LENGTH_LEEWAY = 1.0, 0.01
GROUND = "0x14181F"
WAVE = "0x6FA8FF"
_WAVE_PERCENT = 20  # of the picture's height


@dataclass(frozen=True, slots=True)
class FilmRequest:
    """A film to make; `words` may be None for a reel alone.

    `still`: the picture under the words, else that of the medium, else a plain ground. `size` is
    for films without a video's picture. `threads` 0: as many as there are cores.
    """

    words: Words | None
    style: CaptionStyle
    still: Path | None = None
    size: Size = USUAL_SIZE
    threads: int = 0


@dataclass(frozen=True, slots=True)
class MadeFilm:
    """A film that was made; `notes` are remarks for the user."""

    length_s: float
    notes: tuple[KBError, ...] = field(default=())


def check_film_name(target: Path) -> None:
    """Raise UsageError for a name whose ending is no kind of film."""
    if target.suffix.lower() not in FILM_SUFFIXES:
        raise UsageError(
            "video.unknown_kind",
            "Unknown kind of video {name!r}.",
            hint="It may end in: {known}",
            name=target.name,
            known=" ".join(FILM_SUFFIXES),
        )


def make_film(
    medium: Path,
    transcript: Transcript,
    request: FilmRequest,
    draft: Path,
    *,
    target: Path,
    progress: Progress = lambda _: None,
) -> MadeFilm:
    """Draw the words of a transcript and write the film to `draft`; errors name `target`.

    What is left at `draft` after an error belongs to the caller. Raises UsageError for a
    transcript without words, letters that no font has, a picture that cannot be read and an ffmpeg
    without the filters; MediaUnavailable, LibraryError for a full disk, and what `progress` raises.
    """
    check_film_name(target)
    found = probe(medium)
    transcript = in_time_order(cleaned_transcript(transcript))
    if not transcript.text.strip():
        raise UsageError(
            "video.no_words",
            "The transcript of {name} has no words: there is nothing to draw.",
            hint="Listen to the medium; a video without speech needs no captions.",
            name=shown(medium.name),
        )
    film = read_picture(medium) if found.has_video and request.still is None else None
    picture = _picture(found, request, film)
    style = request.style
    fonts = choose_fonts(shown_text(transcript), style.font, bold=style.bold)
    karaoke = request.words == "karaoke"
    cues = caption_cues(transcript, style, picture.size, karaoke=karaoke)
    script = caption_script(cues, style, fonts, picture.size, karaoke=karaoke)
    notes = fonts.notes + _notes(medium, transcript, request, has_picture=film is not None)
    track = f"0:a:{sound_track(found, transcript)}"
    length_s = found.duration_s or transcript.segments[-1].end_s
    with storage.scratch_folder() as folder:
        lay_script(folder, script, fonts)
        if film is not None:
            arguments, filters = _over_film(found, request, film, draft, track)
        else:
            arguments, filters = _over_wave(found, request, picture, draft, track, length_s)
        encode(
            arguments, folder, source=medium, target=target, length_s=length_s, progress=progress,
            filters=filters,
        )  # fmt: skip
    made_s = probe(draft).duration_s or 0.0
    if made_s < length_s - _LENGTH_LEEWAY_S - length_s * _LENGTH_LEEWAY:
        notes += (_ends_early(medium, made_s, length_s),)
    return MadeFilm(made_s, notes)


def lay_script(folder: Path, script: str, fonts: FontChoice) -> None:
    """Put the document and the fonts it needs into the folder of a command."""
    storage.write_bytes(folder / SCRIPT, script.encode("utf-8"))
    (folder / FONTS).mkdir()
    for number, path in enumerate(fonts.files):
        shutil.copyfile(path, folder / FONTS / f"{number}{path.suffix.lower()}")


def output_arguments(
    found: MediaProbe, target: Path, threads: int, *, copies_sound: bool = True
) -> list[str]:
    """Return the arguments for picture and sound of a film at `target`."""
    sound = (
        ["-c:a", "copy"]
        if copies_sound and found.audio_codec in _COPIED_SOUND
        else ["-c:a", "aac", "-b:a", "160k", "-ar", "48000", "-ac", "2"]
    )
    return [
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"),
        # Motion to a half of a pixel: a fifth less time, and files 3 to 10 % larger.
        *("-x264-params", "subme=1"),
        *(sound if found.has_audio else ()),
        *("-map_metadata", "-1", "-movflags", "+faststart", "-max_muxing_queue_size", "4096"),
        *(("-threads", str(threads)) if threads else ()),
        f"file:{target.absolute()}",
    ]


def thread_arguments(threads: int) -> list[str]:
    """Return the arguments, before those of the inputs, that bound the threads of filters."""
    if not threads:
        return []
    return ["-filter_threads", str(threads), "-filter_complex_threads", str(threads)]


def _picture(found: MediaProbe, request: FilmRequest, film: Picture | None) -> Picture:
    if request.still is not None:
        check_still(request.still)
    elif film is not None:
        return film
    if not found.has_audio:
        raise UsageError(
            "video.no_picture_no_sound",
            "{name} has neither a picture that can be read nor sound.",
            hint="Check that it plays in a media player.",
            name=shown(found.path.name),
        )
    return Picture(request.size, USUAL_RATE)


DRAWN = f"ass=filename={SCRIPT}:fontsdir={FONTS}"


def _over_film(
    found: MediaProbe, request: FilmRequest, film: Picture, draft: Path, track: str
) -> tuple[list[str], list[str]]:
    """Return the arguments of ffmpeg that draw into a video's picture, and the filters of them."""
    # A constant rate: a recording of a screen may stand still while its captions change, and its
    # last frame stays until its sound ends.
    still_s = sound_after_picture_s(found.path)
    graph = (
        f"[0:V:0]fps={film.frames_per_s:.6f}:start_time=0,"
        f"tpad=stop_mode=clone:stop_duration={still_s:.6f},"
        f"scale={film.size.width}:{film.size.height},setsar=1,{DRAWN}[out]"
    )
    arguments = [*thread_arguments(request.threads), *input_arguments(found)]
    arguments += ["-filter_complex", graph, "-map", "[out]"]
    arguments += ["-map", track] if found.has_audio else []
    arguments += output_arguments(found, draft, request.threads)
    return [*arguments, *start_arguments(found)], ["ass", "fps", "scale", "tpad"]


def _over_wave(
    found: MediaProbe,
    request: FilmRequest,
    picture: Picture,
    draft: Path,
    track: str,
    length_s: float,
) -> tuple[list[str], list[str]]:
    """Return the arguments that draw over a wave of the sound, on a still or a plain ground."""
    wide, high, rate = picture.size.width, picture.size.height, f"{picture.frames_per_s:.6f}"
    band = max(2, round(high * _WAVE_PERCENT / 100 / 2) * 2)
    inputs = [*thread_arguments(request.threads), *input_arguments(found)]
    if request.still is None:
        ground, centre = f"color=c={GROUND}:s={wide}x{high}:r={rate}[ground]", 0.45
    else:
        inputs += ["-protocol_whitelist", "file", "-i", media_url(request.still)]
        # One picture is scaled once and then repeated.
        ground, centre = (
            (
                f"[1:v]scale={wide}:{high}:force_original_aspect_ratio=decrease,"
                f"pad={wide}:{high}:(ow-iw)/2:(oh-ih)/2:color={GROUND},setsar=1,format=yuv420p,"
                f"loop=loop=-1:size=1,setpts=N/({rate}*TB),fps={rate}[ground]"
            ),
            0.66,
        )
    graph = (
        f"{ground};[{track}]showwaves=s={wide}x{band}:mode=cline:draw=full:scale=sqrt:rate={rate}:colors={WAVE}[wave];"
        f"[ground][wave]overlay=x=0:y={round(high * centre - band / 2)}:eof_action=pass,"
        f"{DRAWN}[out]"
    )
    arguments = [*inputs, "-filter_complex", graph, "-map", "[out]", "-map", track]
    arguments += ["-t", f"{length_s:.3f}", *output_arguments(found, draft, request.threads)]
    filters = ["ass", "showwaves", "overlay", "scale", "pad", "loop", "color"]
    return [*arguments, *start_arguments(found)], filters


def sound_track(found: MediaProbe, transcript: Transcript) -> int:
    """Return the number, from 0, of the sound track that was read, or is read by default."""
    known = {track.number for track in found.tracks}
    read = [number for number in transcript.media.tracks if number in known]
    return (read or [track.number for track in by_preference(found.tracks)] or [1])[0] - 1


def _notes(
    medium: Path, transcript: Transcript, request: FilmRequest, *, has_picture: bool
) -> tuple[KBError, ...]:
    notes: list[KBError] = []
    if request.words == "karaoke" and not any(s.words for s in transcript.segments):
        notes.append(
            KBError(
                "note.video_estimated_words",
                "The transcript has no times of words: they are estimated from its lines.",
                hint="With a transcript made here: kb transcribe FILE --format json",
            )
        )
    if request.still is None and not has_picture:
        notes.append(no_picture_note(medium))
    return tuple(notes)


def no_picture_note(medium: Path) -> KBError:
    """Return the remark about a film over a wave of the sound."""
    return KBError(
        "note.video_no_picture",
        "{name} has no picture: the words are drawn over a wave of its sound.",
        hint="Give a still with --picture FILE.png, or --fetch for an item whose source has one.",
        name=shown(medium.name),
    )


def _ends_early(medium: Path, made_s: float, length_s: float) -> KBError:
    return KBError(
        "note.video_ends_early",
        "The film ends at {made:.1f} s, but {name} says that it lasts {length:.1f} s.",
        hint="The medium may be damaged or cut off; compare the ends.",
        name=shown(medium.name),
        made=made_s,
        length=length_s,
    )
