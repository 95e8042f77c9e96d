"""Samples of a video of which only the stretches with a change are decoded.

A stretch begins with the first keyframe of a second. These keyframes are decoded by themselves.
What lies between two of them is decoded if they differ, or if a packet between them is large: a
slide that was shown and taken away again needs bytes, a picture that stands nearly none. After the
last large packet no more is decoded once the picture is that of the next keyframe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av

from kb.enrich.screen.changes import Grey, Sample, changed_tiles, outside_corner
from kb.enrich.screen.decoding import decoded, grey, packets, time_of

if TYPE_CHECKING:
    from kb.enrich.screen.decoding import Packet

# Bytes of a packet that may hold another picture. Of 720 lines, a packet of a picture that stands
# had up to 320 bytes with a moving camera in a corner, one of another slide 2,300 and more.
_LEAST_BYTES, _MOST_BYTES = 500, 1_500
_OF_KEYFRAME = 0.04  # between the two: this share of the keyframe's bytes
_AFTER_S = 1.5  # decoded after the last large packet, so that the picture is seen at rest
_MOST_HELD = 32_000_000  # bytes of a stretch that are held; a longer one is decoded as it is read


@dataclass(slots=True)
class _Stretch:
    """The packets of a stretch, the first with the keyframe that is shown by `first`.

    `is_open` if they are decoded as they are read, and not held.
    """

    packets: list[Packet] = field(default_factory=list)
    first: Grey | None = None
    began_s: float | None = None
    held: int = 0
    is_open: bool = False


class Stretches:
    """The samples of one video stream, whose decoder has no other user."""

    def __init__(
        self, container: av.container.InputContainer, stream: av.VideoStream, zero_s: float
    ) -> None:
        self._container, self._stream, self._zero_s = container, stream, zero_s
        self._due_s = 0.0  # of the next sample
        self._last: Grey | None = None  # picture of the last sample
        self._last_s = 0.0

    def samples(self) -> Iterator[Sample]:
        """Yield samples in order of time, one for each second, and keyframes that differ."""
        stretch = _Stretch()
        for packet in packets(self._container, self._stream):
            at_s = self._time(packet)
            if packet.is_keyframe and _begins(at_s, stretch):
                if stretch.is_open:
                    yield from self._taken(self._rest())
                frame = self._alone(packet)
                picture = None if frame is None else grey(frame)
                if not stretch.is_open:
                    yield from self._closed(stretch, picture)
                if frame is not None:
                    yield from self._taken([frame], alone=True)
                stretch = _Stretch([packet], picture, at_s, packet.size)
            elif stretch.is_open:
                yield from self._taken(decoded(self._stream, packet))
            else:
                stretch.packets.append(packet)
                stretch.held += packet.size
                if stretch.held > _MOST_HELD:
                    self._stream.codec_context.flush_buffers()
                    yield from self._taken(self._frames(stretch.packets))
                    stretch.packets.clear()
                    stretch.is_open = True
        if stretch.is_open:
            yield from self._taken(self._rest())
        else:
            yield from self._closed(stretch, None)

    def _closed(self, stretch: _Stretch, after: Grey | None) -> Iterator[Sample]:
        """Yield the samples of a stretch but its keyframe; `after` is the next keyframe."""
        if not stretch.packets:
            return
        number = len(stretch.packets)
        if stretch.first is not None and after is not None:
            number = self._needed(stretch, after)
        if not number:
            return
        self._stream.codec_context.flush_buffers()
        yield from self._taken(self._frames(stretch.packets[:number]))
        more = stretch.packets[number:]
        if more and (self._last is None or after is None or _differ(self._last, after)):
            yield from self._taken(self._frames(more))
        yield from self._taken(self._rest())

    def _needed(self, stretch: _Stretch, after: Grey) -> int:
        """Return the number of packets to be decoded, 0 if the picture stood."""
        assert stretch.first is not None
        times = [self._time(each) for each in stretch.packets]
        known = [at_s for at_s in times if at_s is not None]
        if len(known) < len(times):
            return len(times)
        if max(known) < self._due_s:
            return 0  # no second begins in it
        limit = max(_LEAST_BYTES, min(_MOST_BYTES, _OF_KEYFRAME * stretch.packets[0].size))
        large = [at_s for at_s, each in zip(known[1:], stretch.packets[1:], strict=True)
                 if each.size > limit]  # fmt: skip
        if not large:
            return len(times) if _differ(stretch.first, after) else 0
        end_s = max(large) + _AFTER_S
        # Packets are in order of decoding, not of time.
        return 1 + max(number for number, at_s in enumerate(known) if at_s <= end_s)

    def _time(self, part: Packet | av.VideoFrame) -> float | None:
        return time_of(self._stream, part, self._zero_s)

    def _alone(self, packet: Packet) -> av.VideoFrame | None:
        """Return the frame of a keyframe, None if it is damaged or needs others."""
        self._stream.codec_context.flush_buffers()
        frames = [*decoded(self._stream, packet), *self._rest()]
        return next((each for each in frames if each.pts == packet.pts), None)

    def _frames(self, held: Iterable[Packet]) -> Iterator[av.VideoFrame]:
        for packet in held:
            yield from decoded(self._stream, packet)

    def _rest(self) -> Iterator[av.VideoFrame]:
        """Yield what the decoder still has, and make it ready for a keyframe."""
        yield from decoded(self._stream, None)
        self._stream.codec_context.flush_buffers()

    def _taken(self, frames: Iterable[av.VideoFrame], *, alone: bool = False) -> Iterator[Sample]:
        """Yield those that are due; of keyframes `alone` also one that shows another picture.

        Nothing of the stretch behind it may be decoded, and the second of the change would be lost.
        """
        for frame in frames:
            at_s = self._time(frame)
            if at_s is None:
                continue
            if at_s < self._due_s:
                # Also of a clock that began again: what was seen has its time.
                new = alone and at_s > self._last_s and self._last is not None
                if not new or not _differ(self._last, grey(frame)):  # type: ignore[arg-type]
                    continue
            self._due_s, self._last_s = float(int(at_s) + 1), at_s
            self._last = grey(frame)
            yield Sample(at_s, self._last, frame)


def _begins(at_s: float | None, stretch: _Stretch) -> bool:
    """Return True if a keyframe at this time begins another stretch."""
    if at_s is None or stretch.began_s is None:
        return True
    return int(at_s) != int(stretch.began_s)


def _differ(one: Grey, other: Grey) -> bool:
    return outside_corner(changed_tiles(one, other)) > 0
