"""Reader of the header of a medium, with PyAV and therefore without parsing of ffprobe's text.

A header may be wrong. Only decoding (`kb.media.decode`) gives the true length of the sound.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from kb.errors import MediaUnavailable
from kb.media import reason_of, shown
from kb.media.bounds import check_claims
from kb.media.file_end import file_end
from kb.media.protection import is_protected
from kb.media.tracks import Track, by_preference, read_tracks

# A read of a local file must never open a connection, even for a playlist with web addresses.
LOCAL_ONLY = {"protocol_whitelist": "file"}

# Formats that refer to other files, whose content would be ingested instead of the named file.
_PLAYLISTS = frozenset({"concat", "dash", "hls", "imf", "lavfi", "sdp", "webm_dash_manifest"})
_HEAD_BYTES = 4096

RESET_CLOCKS = frozenset({"mpegts", "mpeg"})  # their clock may begin again within a file
# ffmpeg takes a larger step of a transport stream's clock as a reset of the clock, and removes
# it. Its default of 10 s would remove the hole that one lost segment leaves.
_CLOCK_RESET_S = 60


@dataclass(frozen=True, slots=True)
class MediaProbe:
    """The facts that the header of a container declares.

    `start_s` is the container's start: a browser's player counts from 0, and all times of this
    project count from that start. `duration_s` is the length of the whole medium from there (an
    estimate if the format declares none, None if no estimate is possible). `sound_end_s` is the
    time at which the sound ends on the same clock, None if the header does not give it separately.
    `sample_rate_hz`, `channels` and `audio_codec` belong to the track that is decoded by default
    and are None without sound. `tracks` are all sound tracks by number. A cover picture is not
    video; `frames_per_s` is the rate of the video. `ignores_length`: the header says less than the
    file holds, and the sound is read to the end of the file.
    """

    path: Path
    size_bytes: int
    container: str
    duration_s: float | None
    has_audio: bool
    has_video: bool
    audio_codec: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    sound_end_s: float | None = None
    start_s: float = 0.0
    frames_per_s: float | None = None
    ignores_length: bool = False
    tracks: tuple[Track, ...] = ()

    def for_track(self, track: Track) -> MediaProbe:
        """Return the same facts with those of another sound track."""
        return replace(
            self,
            audio_codec=track.codec,
            sample_rate_hz=track.sample_rate_hz,
            channels=track.channels,
            sound_end_s=track.sound_end_s,
        )


def input_arguments(found: MediaProbe, start: int = 0) -> tuple[str, ...]:
    """Return the arguments with which ffmpeg opens a medium, for every reader of its sound.

    `start`: the byte from which the file is read as if it began there.
    """
    resets = ("-dts_delta_threshold", str(_CLOCK_RESET_S))
    if start:
        part = f"subfile,,start,{start},end,0,,:{media_url(found.path)}"
        return (*resets, "-protocol_whitelist", "file,subfile", "-i", part)
    return (
        *resets,
        *("-protocol_whitelist", LOCAL_ONLY["protocol_whitelist"]),
        *(("-ignore_length", "1") if found.ignores_length else ()),
        *("-i", media_url(found.path)),
    )


def start_arguments(found: MediaProbe) -> tuple[str, ...]:
    """Return arguments, behind those of the output, that keep the container's start as zero.

    In a transport stream ffmpeg counts from the earliest stream that it uses: a copy of the
    picture and of the other sound tracks to nowhere keeps that in use.
    """
    # A track of which the header shows no parameters cannot be copied.
    others = [f"0:a:{track.number - 1}" for track in found.tracks if track.sample_rate_hz]
    used = [*(["0:v"] if found.has_video else []), *(others if len(others) > 1 else [])]
    if found.container not in RESET_CLOCKS or not used:
        return ()
    return (
        *(word for stream in used for word in ("-map", stream)),
        "-c",
        "copy",
        "-f",
        "null",
        "-",
    )


def probe(path: str | Path) -> MediaProbe:
    """Return the facts in a medium's header; a video without sound has `has_audio` False.

    Raises MediaUnavailable naming the file when it is missing, a folder, empty, unreadable, no
    medium, protected (DRM), or claims what no recording has.
    """
    path = Path(path)
    size_bytes, head = _file_facts(path)
    if is_protected(path, head):
        raise MediaUnavailable(
            "media.protected",
            "{path} is protected (DRM): its sound is encrypted.",
            hint="Take a copy without protection, from the seller or from your own recording.",
            path=shown(path),
        )
    try:
        with av.open(
            media_url(path), "r", metadata_errors="replace", container_options=dict(LOCAL_ONLY)
        ) as container:
            found = _read(path, size_bytes, container)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, head, error) from error
    if not found.has_audio and not found.has_video:
        raise _no_medium(path, head)
    return found


def media_url(path: Path) -> str:
    """Return the path as a URL in which ffmpeg's libraries interpret no character.

    Without the protocol, a name such as `concat:a|b`, `http:x` or `-y` would be interpreted.
    """
    return f"file:{path.absolute()}"


def _file_facts(path: Path) -> tuple[int, bytes]:
    """Return size and first bytes of a regular file that is not empty."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaUnavailable(
                "media.folder",
                "{path} is a folder, not a media file.",
                hint="Name a file in it, or ingest the folder to take them all.",
                path=shown(path),
            )
        if not stat.S_ISREG(status.st_mode):
            # A call that opens a pipe or a device may never return.
            raise MediaUnavailable(
                "media.not_regular",
                "{path} is not a regular file.",
                hint="Copy the medium to a file first.",
                path=shown(path),
            )
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise MediaUnavailable(
            "media.missing",
            "{path} does not exist.",
            hint="Check the spelling and the folder.",
            path=shown(path),
        ) from error
    except (OSError, ValueError) as error:
        raise MediaUnavailable(
            "media.not_opened",
            "{path} cannot be opened: {reason}.",
            hint="Check the name and that you may read the file.",
            path=shown(path),
            reason=reason_of(error),
        ) from error
    if not head:
        raise MediaUnavailable(
            "media.empty",
            "{path} is empty (0 bytes).",
            hint="Download or copy the file again.",
            path=shown(path),
        )
    return status.st_size, head


def _read(path: Path, size_bytes: int, container: InputContainer) -> MediaProbe:
    names = container.format.name.split(",")
    if not _PLAYLISTS.isdisjoint(names):
        raise MediaUnavailable(
            "media.playlist",
            "{path} is a playlist ({kind}) that points to other files, not a medium.",
            hint="Name the media files themselves.",
            path=shown(path),
            kind=names[0],
        )
    suffix = path.suffix.lower().removeprefix(".")
    duration_s = container.duration / av.time_base if container.duration is not None else None
    start_s = float(Fraction(container.start_time or 0, av.time_base))
    if duration_s is not None and _counts_from_zero(container):
        duration_s = max(0.0, duration_s - start_s)
    # ffmpeg reads plain text as a video (tty) and a picture as a video of one frame.
    is_film = not any(name == "tty" or name.endswith("_pipe") for name in names)
    films = [
        stream
        for stream in container.streams.video
        if is_film and not stream.disposition & Disposition.attached_pic
    ]
    has_video = bool(films)
    rate = films[0].average_rate if films else None
    facts = MediaProbe(
        path=path,
        size_bytes=size_bytes,
        container=suffix if suffix in names else names[0],
        duration_s=duration_s,
        has_audio=False,
        has_video=has_video,
        start_s=start_s,
        frames_per_s=float(rate) if rate else None,
    )
    streams = container.streams.audio
    tracks = tuple(
        replace(track, sound_end_s=_end_of(stream, container, start_s))
        for track, stream in zip(read_tracks(container), streams, strict=True)
    )
    if not tracks:
        return facts
    for track in tracks:
        check_claims(
            path,
            rate_hz=track.sample_rate_hz,
            channels=track.channels,
            streams=len(container.streams),
        )
    facts = replace(facts, has_audio=True, tracks=tracks).for_track(by_preference(tracks)[0])
    return _with_whole_length(facts) if facts.container == "wav" else facts


def _with_whole_length(facts: MediaProbe) -> MediaProbe:
    """Return the facts of a WAV with the length of the samples that are there."""
    end = file_end(facts.path, facts.container, facts.size_bytes)
    if end.data_bytes is None or not end.bytes_per_s:
        return facts
    length_s = end.data_bytes / end.bytes_per_s
    tracks = tuple(replace(track, sound_end_s=length_s) for track in facts.tracks)
    return replace(
        facts, duration_s=length_s, sound_end_s=length_s, tracks=tracks, ignores_length=True
    )


def _counts_from_zero(container: InputContainer) -> bool:
    """Return True if the format's length counts from 0 and not from the container's start."""
    names = container.format.name.split(",")
    if "ogg" in names:
        return any(s.type == "audio" and s.codec_context.name == "opus" for s in container.streams)
    return "matroska" in names


def _end_of(stream: Stream, container: InputContainer, start_s: float) -> float | None:
    """Return the end of a stream by the header, in seconds from the medium's start, or None."""
    names = container.format.name.split(",")
    if "matroska" in names:
        # Its streams have no duration (libavformat may fill in that of the container), but its
        # usual writers store their end in a tag.
        try:
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            tagged = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except (KeyError, ValueError):
            return None
        # Some tools cut a file and keep the tag of the uncut file.
        if container.duration is not None:
            tagged = min(tagged, container.duration / av.time_base)
        return max(0.0, tagged - start_s)
    if stream.duration is None or stream.time_base is None:
        return None
    if "ogg" in names:
        return None  # its end is judged by the mark on the last page
    first = Fraction(container.start_time or 0, av.time_base)
    begin = first if stream.start_time is None else stream.start_time * stream.time_base
    return float(begin - first + stream.duration * stream.time_base)


def _unreadable(path: Path, head: bytes, error: Exception) -> MediaUnavailable:
    if head[4:8] == b"ftyp":
        return MediaUnavailable(
            "media.truncated_index",
            "{path} cannot be read: its index is missing. It looks like a truncated MP4.",
            hint="Download or copy the file again; what is there cannot be decoded.",
            path=shown(path),
        )
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return _no_medium(path, head)
    return MediaUnavailable(
        "media.unreadable",
        "{path} cannot be read as a medium: {reason}.",
        hint="Check that it plays in a media player; if not, download or copy it again.",
        path=shown(path),
        reason=reason_of(error),
    )


def _no_medium(path: Path, head: bytes) -> MediaUnavailable:
    if _is_text(head):
        return MediaUnavailable(
            "media.text",
            "{path} is not audio or video that can be read. It holds text.",
            hint="Check that it plays in a media player; if not, download or copy it again.",
            path=shown(path),
        )
    return MediaUnavailable(
        "media.other_kind",
        "{path} is not audio or video that can be read. It is of another kind, or damaged.",
        hint="Check that it plays in a media player; if not, download or copy it again.",
        path=shown(path),
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The first bytes may end within a character.
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return all(char.isprintable() or char.isspace() for char in text)
