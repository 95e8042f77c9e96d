"""Cutting of clips from a medium, on the clock of its transcript.

`kb.media.section` reads sound and pictures, moviepy writes a film.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from kb import storage
from kb.errors import MediaUnavailable, UsageError
from kb.media import ffmpeg, reason_of, section, shown
from kb.media.idle_guard import IdleGuard
from kb.media.probe import MediaProbe, probe

VIDEO_CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264"}
AUDIO_CODECS = {
    ".mp3": "libmp3lame", ".wav": "pcm_s16le", ".m4a": "aac", ".flac": "flac", ".ogg": "libvorbis",
}  # fmt: skip
_FRAMES_PER_S = (1.0, 60.0)
_LEEWAY_S = 0.5  # the lengths of the header and of the sound may differ by this much


def default_name(stem: str, start_s: float, end_s: float, *, video: bool) -> str:
    """Return a file name with the times of the clip: `talk 01m15.0s-01m20.5s.mp4`."""
    return f"{stem} {_moment(start_s)}-{_moment(end_s)}{'.mp4' if video else '.mp3'}"


def _moment(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}m{rest / 10:04.1f}s"
    return f"{hours}h{text}" if hours else text


def cut(
    source: Path,
    start_s: float,
    end_s: float,
    target: Path,
    tracks: Sequence[int] = (),
    *,
    draft: Path | None = None,
) -> Path:
    """Write the part between two times (seconds) to `target`; its suffix selects the format.

    `tracks`: the numbers of the sound tracks that the transcript was made from; without one, the
    track that the decoder reads first.

    A clip of a video may be sound only; a clip of a sound cannot be a video. An end up to half a
    second after the end of the medium is moved to that end. A `draft` is written in the place of
    `target`, which errors name: the caller moves it there. After an error nothing is left.

    Raises UsageError for times outside the medium and for an unknown suffix, and MediaUnavailable
    when the medium cannot be read or cut.
    """
    found = probe(source)
    video = _wants_video(found, target)
    if not 0 <= start_s < end_s:
        raise UsageError(
            "clip.nothing",
            "From {start_s:g} s to {end_s:g} s there is nothing to cut.",
            hint="Give --from before --to.",
            start_s=start_s,
            end_s=end_s,
        )
    with storage.scratch_folder() as scratch:
        try:
            sound, end_s = _sound(found, start_s, end_s, scratch / "sound.wav", tracks)
            _encode(found, sound, start_s, end_s, draft or target, video=video)
        except (OSError, av.error.FFmpegError) as error:
            raise MediaUnavailable(
                "clip.failed",
                "{target} cannot be cut from {name}: {cause}.",
                hint="Check that the medium plays, and that the folder can be written.",
                target=shown(target),
                name=shown(source.name),
                cause=_first_line(error),
            ) from error
    return target


def _sound(
    found: MediaProbe, start_s: float, end_s: float, target: Path, tracks: Sequence[int]
) -> tuple[Path | None, float]:
    """Write the section's sound; return it (None without sound) and the section's end in seconds.

    Raises UsageError if the section is outside the medium. A declared length may be an estimate,
    so the sound that is there counts too.
    """
    read_s = 0.0
    if found.has_audio:
        read_s = section.write_sound(found, start_s, end_s, target, tracks)
    length_s = max(read_s, found.duration_s or 0.0)
    if start_s >= length_s or end_s > length_s + _LEEWAY_S:
        raise UsageError(
            "clip.outside",
            "{name} ends at {length}: there is nothing from {start} to {end}.",
            hint="Give times within the medium.",
            name=shown(found.path.name),
            length=_moment(length_s),
            start=_moment(start_s),
            end=_moment(end_s),
        )
    end_s = min(end_s, length_s)
    if read_s:
        return target, end_s
    if not found.has_audio:
        return None, end_s
    section.write_silence(end_s - start_s, target)
    return target, end_s


def _encode(
    found: MediaProbe,
    sound: Path | None,
    start_s: float,
    end_s: float,
    target: Path,
    *,
    video: bool,
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if video:
            _write_film(found, sound, start_s, end_s, target)
        elif sound is not None:
            _write_sound(sound, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


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


def _write_sound(sound: Path, target: Path) -> None:
    command = [
        *(ffmpeg.binary(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y"),
        *("-i", f"file:{sound}", "-c:a", AUDIO_CODECS[target.suffix.lower()], f"file:{target}"),
    ]
    process = ffmpeg.start(command)
    with closing(IdleGuard(process)) as guard:
        try:
            with guard.waiting():
                _, messages = process.communicate()
        finally:
            process.kill()
            process.wait()
    guard.check(target)
    if process.returncode:
        raise OSError(messages.decode("utf-8", "replace") or "ffmpeg failed")


def _write_film(
    found: MediaProbe, sound: Path | None, start_s: float, end_s: float, target: Path
) -> None:
    from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter  # takes about a second

    frames_per_s = min(max(found.frames_per_s or 0.0, _FRAMES_PER_S[0]), _FRAMES_PER_S[1])
    writer: Any = None
    with ExitStack() as ended, section.pictures(found, start_s, end_s, frames_per_s) as frames:
        for frame in frames:
            if writer is None:
                writer = FFMPEG_VideoWriter(
                    str(target),
                    (frame.shape[1], frame.shape[0]),
                    frames_per_s,
                    codec=VIDEO_CODECS[target.suffix.lower()],
                    audiofile=str(sound) if sound else None,
                    audio_codec="aac" if sound else None,
                    pixel_format="yuv420p",
                )
                guard = ended.enter_context(closing(IdleGuard(writer.proc)))
                ended.callback(writer.close)
            with guard.waiting():
                _write_frame(writer, guard, frame, target)
        if writer is not None:
            with guard.waiting():
                writer.close()
            guard.check(target)
    if writer is None or not target.is_file():
        raise OSError("it has no picture there")


def _write_frame(writer: Any, guard: IdleGuard, frame: NDArray[np.uint8], target: Path) -> None:
    try:
        writer.write_frame(frame)
    except OSError:
        guard.check(target)
        raise


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in reason_of(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
