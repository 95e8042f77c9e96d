"""Stretches of a video: what is not decoded hides no picture; what stands costs little.

The reference decodes every frame.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from kb.enrich.screen import stretches
from kb.enrich.screen.changes import ChangeDetector
from kb.enrich.screen.frames import samples
from kb.enrich.screen.reader import detailed_part
from kb.media.probe import MediaProbe, probe
from tests.support.slides import noise, text_picture

RATE = 4
KEYFRAMES_S = 5
A, B = text_picture(["Harbour", "Ferries leave at noon"]), text_picture(["Revenue 2025", "4.8 M"])
SPARSE = text_picture(["Thank you"], size_px=40)
DENSE = text_picture([f"{n}. line of a page with many words" for n in range(14)], size_px=28)

SHOWINGS = {
    # name: (pictures with their seconds, starts of the stills)
    "a slide between two keyframes": ([(A, 6), (B, 2), (A, 7)], [0, 6, 8]),
    "a nearly empty one between two full ones": ([(DENSE, 6), (SPARSE, 2), (DENSE, 7)], [0, 6, 8]),
    "a full one between two nearly empty ones": ([(SPARSE, 6), (DENSE, 2), (SPARSE, 7)], [0, 6, 8]),
    "a change at a keyframe": ([(A, 5), (B, 10)], [0, 5]),
    "a change before a keyframe": ([(A, 9.5), (B, 5.5)], [0, 10]),
    "three in a stretch": ([(A, 5), (B, 2), (DENSE, 2), (A, 6)], [0, 5, 7, 9]),
}  # fmt: skip
CODECS = {
    # name: (end of the file's name, encoder, its options)
    "h264": ("mp4", "libx264", {"preset": "veryfast", "crf": "30", "sc_threshold": "0"}),
    "h264 with open groups": (
        "ts", "libx264",
        {"preset": "veryfast", "sc_threshold": "0", "bf": "2", "x264-params": "open-gop=1"},
    ),
    "h264 with keyframes alone": ("mkv", "libx264", {"preset": "ultrafast", "g": "1"}),
    "h264 with one keyframe": ("mp4", "libx264", {"preset": "ultrafast", "g": "9999",
                                                  "sc_threshold": "0"}),
    "mpeg4": ("avi", "mpeg4", {}),
    "vp9": ("webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
}  # fmt: skip


def video(path: Path, shown: list[tuple[Image.Image, float]], codec: str = "h264") -> MediaProbe:
    ending, encoder, options = CODECS[codec]
    path = path.with_suffix(f".{ending}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"g": str(KEYFRAMES_S * RATE), **options}
        stream.codec_context.thread_count = 1
        count = 0
        for image, seconds in shown:
            small = image.resize((640, 360))
            for _ in range(round(seconds * RATE)):
                frame = av.VideoFrame.from_image(small)
                frame.pts, frame.time_base = count, Fraction(1, RATE)
                container.mux(stream.encode(frame))
                count += 1
        container.mux(stream.encode())
    return probe(path)


def starts(found: MediaProbe, every: int | None = None) -> list[float]:
    return [still.start_s for still in ChangeDetector().stills(samples(found, every=every))]


@pytest.mark.parametrize("case", SHOWINGS)
def test_no_picture_is_hidden(case: str, tmp_path: Path) -> None:
    shown, expected = SHOWINGS[case]
    found = video(tmp_path / "in", shown)
    assert starts(found) == pytest.approx(expected, abs=0.3)
    assert starts(found) == pytest.approx(starts(found, RATE), abs=0.8)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec(codec: str, tmp_path: Path) -> None:
    found = video(tmp_path / "in", [(A, 6), (B, 2), (A, 7)], codec)
    times = [sample.at_s for sample in samples(found)]
    assert times == sorted(times) and len(times) == len({int(at_s) for at_s in times})
    assert starts(found) == pytest.approx([0, 6, 8], abs=0.3)


@pytest.mark.parametrize("codec", ["h264", "h264 with one keyframe"])
def test_a_stretch_that_is_not_held_is_decoded_as_it_is_read(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "_MOST_HELD", 3_000)
    found = video(tmp_path / "in", [(A, 6), (B, 2), (A, 7)], codec)
    assert starts(found) == pytest.approx([0, 6, 8], abs=0.3)


def test_a_picture_that_stands_is_decoded_at_keyframes_alone(tmp_path: Path) -> None:
    found = video(tmp_path / "in", [(DENSE, 40)])
    times = [sample.at_s for sample in samples(found)]
    # What follows the last keyframe has no other one to be compared with.
    assert times[:-4] == pytest.approx(range(0, 40, KEYFRAMES_S), abs=0.01)
    assert times[-4:] == pytest.approx(range(36, 40), abs=0.01)


def test_a_picture_that_moves_is_sampled_each_second(tmp_path: Path) -> None:
    found = video(tmp_path / "in", [(noise(n), 0.25) for n in range(26)])
    assert [int(sample.at_s) for sample in samples(found)] == list(range(7))


def test_damaged_bytes_cost_their_stretch_alone(tmp_path: Path) -> None:
    found = video(tmp_path / "in", [(A, 11), (B, 12)])
    whole = found.path.read_bytes()
    with av.open(str(found.path)) as container:
        keyframes = [each for each in container.demux() if each.size and each.is_keyframe]
        place, size = keyframes[1].pos, keyframes[1].size
    found.path.write_bytes(whole[: place + 8] + bytes(size - 8) + whole[place + size :])
    found_starts = starts(probe(found.path))
    assert found_starts[0] == 0 and any(abs(at_s - 11) <= 1 for at_s in found_starts)


# The part of a picture in which text is looked for


def test_plain_background_is_left_out() -> None:
    def part(colour: str, background: str) -> tuple[slice, slice]:
        picture = text_picture(["Harbour"], colours=(colour, background), left_top=(400, 300))
        return detailed_part(np.asarray(picture))

    for colours in (("black", "white"), ("red", "white"), ("#c80000", "#00c800"), ("#eee", "#fff")):
        rows, columns = part(*colours)
        assert rows.start <= 300 and rows.stop >= 350 and rows.stop - rows.start < 300
        assert columns.start <= 400 and columns.stop >= 590 and columns.stop - columns.start < 600


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (7, 7), (8, 8), (360, 640), (1081, 1919)])
def test_a_picture_full_of_detail_is_looked_at_whole(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8)
    rows, columns = detailed_part(picture)
    assert (rows, columns) == (slice(0, size[0]), slice(0, size[1]))
    plain = detailed_part(np.full((720, 1280, 3), 90, np.uint8))
    assert plain == (slice(0, 0), slice(0, 0))
