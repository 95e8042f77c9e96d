"""Cutting of clips from a medium with moviepy; sound and picture stay synchronous."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from kb.errors import MediaUnavailable, UsageError
from kb.media import reason_of, shown
from kb.media.probe import MediaProbe, probe

VIDEO_CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264"}
AUDIO_CODECS = {
    ".mp3": "libmp3lame", ".wav": "pcm_s16le", ".m4a": "aac", ".flac": "flac", ".ogg": "libvorbis",
}  # fmt: skip
_LEEWAY_S = 0.5  # the lengths of the header and of the sound may differ by this much


def default_name(stem: str, start_s: float, end_s: float, *, video: bool) -> str:
    """Return a file name with the times of the clip: `talk 01m15.0s-01m20.5s.mp4`."""
    return f"{stem} {_moment(start_s)}-{_moment(end_s)}{'.mp4' if video else '.mp3'}"


def _moment(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}m{rest / 10:04.1f}s"
    return f"{hours}h{text}" if hours else text


def cut(source: Path, start_s: float, end_s: float, target: Path) -> Path:
    """Write the part between two times (seconds) to `target`; its suffix selects the format.

    A clip of a video may be sound only; a clip of a sound cannot be a video. An end up to half a
    second after the end of the medium is moved to that end. `target` is written completely or not
    at all.

    Raises UsageError for times outside the medium and for an unknown suffix, and MediaUnavailable
    when the medium cannot be read or cut.
    """
    found = probe(source)
    suffix = target.suffix.lower()
    video = _wants_video(found, target)
    if not 0 <= start_s < end_s:
        raise UsageError(
            "clip.nothing",
            "From {start_s:g} s to {end_s:g} s there is nothing to cut.",
            hint="Give --from before --to.",
            start_s=start_s,
            end_s=end_s,
        )
    length_s = found.duration_s
    if length_s is not None and (start_s >= length_s or end_s > length_s + _LEEWAY_S):
        raise UsageError(
            "clip.outside",
            "{name} ends at {length}: there is nothing from {start} to {end}.",
            hint="Give times within the medium.",
            name=shown(source.name),
            length=_moment(length_s),
            start=_moment(start_s),
            end=_moment(end_s),
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # ffmpeg derives the container from the name, so the unfinished file has its suffix too.
        with tempfile.TemporaryDirectory(prefix=".kb-clip-", dir=target.parent) as folder:
            unfinished = Path(folder) / f"clip{suffix}"
            _write(source.absolute(), start_s, end_s, unfinished, video=video)
            unfinished.replace(target)
    except OSError as error:
        raise MediaUnavailable(
            "clip.failed",
            "{target} cannot be cut from {name}: {cause}.",
            hint="Check that the medium plays, and that the folder can be written.",
            target=shown(target),
            name=shown(source.name),
            cause=_first_line(error),
        ) from error
    return target


def _wants_video(found: MediaProbe, target: Path) -> bool:
    suffix = target.suffix.lower()
    if suffix in AUDIO_CODECS:
        if not found.has_audio:
            raise UsageError(
                "clip.no_sound",
                "{name} has no sound.",
                hint="Cut it to a video: -o clip.mp4",
                name=shown(found.path.name),
            )
        return False
    if suffix not in VIDEO_CODECS:
        known = " ".join((*VIDEO_CODECS, *AUDIO_CODECS))
        raise UsageError(
            "clip.unknown_kind",
            "Unknown kind of clip {name!r}.",
            hint="It may end in: {known}",
            name=target.name,
            known=known,
        )
    if not found.has_video:
        raise UsageError(
            "clip.no_picture",
            "{name} is sound alone and cannot become {suffix}.",
            hint="Cut it to sound: -o {stem}.mp3",
            name=shown(found.path.name),
            suffix=suffix,
            stem=target.stem,
        )
    return True


def _write(source: Path, start_s: float, end_s: float, target: Path, *, video: bool) -> None:
    from moviepy import AudioFileClip, VideoFileClip  # the import takes about a second

    whole: Any = (VideoFileClip if video else AudioFileClip)(str(source))
    with whole:
        part = whole.subclipped(start_s, min(end_s, float(whole.duration)))
        if video:
            part.write_videofile(
                str(target),
                codec=VIDEO_CODECS[target.suffix],
                audio_codec="aac",
                temp_audiofile_path=str(target.parent),
                logger=None,
            )
        else:
            part.write_audiofile(str(target), codec=AUDIO_CODECS[target.suffix], logger=None)


def _first_line(error: OSError) -> str:
    lines = [line.strip() for line in reason_of(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
