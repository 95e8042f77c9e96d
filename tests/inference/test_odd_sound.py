"""Odd media × (time of each word, length, warnings, lost sound, held): nothing lost in silence."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from kb.errors import MediaUnavailable, UsageError
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.pipeline.hold import decide
from kb.settings import get_settings
from kb.transcript.formats import json_document
from kb.types import Transcript
from tests.support.compose import Composition, compose, write_wav
from tests.support.raising import raises
from tests.support.speech import bank

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PLANS = {
    "A": "mountain garden harbour river | 1.5 | village island forest valley | 1.5 | castle "
    "library furnace machine",
    "B": "lantern compass bridge railway | 1.5 | winter summer autumn evening | 1.5 | captain "
    "pirate fisherman professor",
}
INVERTED = "pan=stereo|c0=c0|c1=-1*c0"
PLAIN = "pan=stereo|c0=c0|c1=c0"


class Studio:
    """Makes media from the two talks, `A.wav` and `B.wav`, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.talks: dict[str, Composition] = {}
        for number, (name, plan) in enumerate(PLANS.items()):
            rng = np.random.default_rng(3 + number)
            self.talks[name] = compose(bank(), plan, rng=rng, noise_db=40)
            write_wav(folder / f"{name}.wav", self.talks[name])

    def make(self, name: str, *arguments: str) -> Path:
        """Run ffmpeg in the folder; `name` is the file that it writes."""
        command = [FFMPEG, "-nostdin", "-loglevel", "error", "-y", *arguments, name]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        return self.folder / name

    def coded(self, talk: str, suffix: str, *options: str) -> Path:
        """One talk in a format."""
        mark = "-".join(options).translate(str.maketrans("", "", "/|:=*'\\(),"))
        return self.make(f"{talk}{mark}.{suffix}", "-i", f"{talk}.wav", *options)

    def joined(self, name: str, *parts: Path) -> Path:
        """The bytes of several files one after the other."""
        path = self.folder / name
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path


@dataclass(frozen=True)
class Case:
    """An odd medium and what its transcript must say.

    `parts`: the talks and their starts in seconds. `without`: the words in this span are lost.
    `warns`: a part of a warning, or None for no warning at all. `lost_s`: seconds that are reported
    as lost, give or take `lost_within_s`.
    """

    make: Callable[[Studio], Path]
    parts: tuple[tuple[str, float], ...] = (("A", 0.0),)
    length_s: float | None = None
    without: tuple[float, float] = (0.0, 0.0)
    warns: str | None = None
    lost_s: float = 0.0
    lost_within_s: float = 0.9
    held: bool = False
    track: str | None = None
    tracks: tuple[int, ...] = ()
    normalize: bool = False


A_S, B_S = 11.97, 12.76
BOTH = (("A", 0.0), ("B", A_S))
MONO_16 = ("-ar", "16000", "-ac", "1")
MONO_44 = ("-ar", "44100", "-ac", "1")
STEREO_48 = ("-ar", "48000", "-ac", "2")
SURROUND_48 = ("-ar", "48000", "-ac", "6")
BARE_MP3 = ("-write_xing", "0", "-id3v2_version", "0", "-b:a", "64k")


def switch(suffix: str, first: tuple[str, ...], then: tuple[str, ...], *codec: str) -> Case:
    """Two talks with different sound parameters, joined."""

    def make(studio: Studio) -> Path:
        parts = (studio.coded(t, suffix, *o, *codec) for t, o in (("A", first), ("B", then)))
        return studio.joined(f"switch-{'-'.join((*first, *then))}.{suffix}", *parts)

    return Case(make, BOTH, length_s=A_S + B_S)


def five_switches(studio: Studio) -> Path:
    one = studio.coded("A", "mp3", *MONO_44, *BARE_MP3)
    two = studio.coded("B", "mp3", *STEREO_48, *BARE_MP3)
    return studio.joined("five.mp3", one, two, one, two, one)


def half_inverted(studio: Studio) -> Path:
    sides = f"[0]{PLAIN}[a];[1]{INVERTED}[b];[a][b]concat=n=2:v=0:a=1"
    return studio.make("half.wav", "-i", "A.wav", "-i", "B.wav", "-filter_complex", sides)


def inverted_for_some_seconds(studio: Studio) -> Path:
    sides = "aeval='val(0)|val(0)*if(between(t,4.8,7),-1,1)':c=stereo"
    return studio.make("seconds.flac", "-i", "A.wav", "-af", sides)


def with_tracks(name: str, *options: str, inputs: tuple[str, ...] = ("A", "B")) -> Case:
    sources = chain.from_iterable(
        ("-i", f"{each}.wav") if each in PLANS else ("-f", "lavfi", "-t", "12", "-i", each)
        for each in inputs
    )
    maps = chain.from_iterable(("-map", str(number)) for number in range(len(inputs)))
    arguments = (*sources, *maps, "-c:a", "aac", *options)
    return Case(lambda studio: studio.make(name, *arguments))


def varied(case: Case, **changes: object) -> Case:
    return Case(**{**{f: getattr(case, f) for f in Case.__dataclass_fields__}, **changes})  # type: ignore[arg-type]


SILENCE = "anullsrc=r=48000:cl=stereo"
TWO = with_tracks("two.m4a")
DESKTOP = ("-metadata:s:a:0", "title=Desktop", "-metadata:s:a:1", "title=Mic")
OBS = with_tracks("obs.mkv", *DESKTOP, inputs=(SILENCE, "A"))
COMMENTARY = with_tracks(
    "film.mkv", "-disposition:a:0", "default+comment", "-disposition:a:1", "0", inputs=("B", "A")
)
DESCRIBED = with_tracks("described.mkv", "-metadata:s:a:0", "title=Audiodeskription",
                        "-disposition:a:1", "0", inputs=("B", "A"))  # fmt: skip
SILENT_SECOND = with_tracks("silent-second.mkv", inputs=("A", SILENCE))


def without_index(studio: Studio) -> Path:
    """An MP4 whose media data has a second talk that no index knows, before its index."""
    plain, extra = studio.coded("A", "m4a"), studio.coded("B", "m4a")
    data, more = plain.read_bytes(), extra.read_bytes()
    moov = data.rindex(b"moov") - 4
    start = more.index(b"mdat") - 4
    (size,) = struct.unpack(">I", more[start : start + 4])
    path = studio.folder / "unindexed.m4a"
    path.write_bytes(data[:moov] + more[start : start + size] + data[moov:])
    return path


def with_pause_in_its_edit_list(studio: Studio) -> Path:
    """An MP4 that asks for a pause of 2 s after 4.5 s, where nothing is spoken."""
    data = bytearray(studio.coded("A", "m4a").read_bytes())
    list_at = data.index(b"elst") - 4
    length, media_time = struct.unpack(">Ii", data[list_at + 16 : list_at + 24])
    scale = struct.unpack(">I", data[data.index(b"mvhd") + 16 :][:4])[0]
    rate = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    first = int(4.5 * scale)
    entries = struct.pack(
        ">IiiIiiIii",
        *(first, media_time, 1 << 16),
        *(2 * scale, -1, 1 << 16),
        *(length - first, media_time + int(4.5 * rate), 1 << 16),
    )
    data[list_at + 12 : list_at + 28] = struct.pack(">I", 3) + entries
    for kind in (b"elst", b"edts", b"trak", b"moov"):
        at = data.index(kind) - 4
        data[at : at + 4] = struct.pack(">I", struct.unpack(">I", data[at : at + 4])[0] + 24)
    path = studio.folder / "edits.m4a"
    path.write_bytes(data)
    return path


def lossy(suffix: str, dropped: str, *codec: str) -> Callable[[Studio], Path]:
    """A talk without some of its packets."""
    return lambda studio: studio.make(
        f"lossy-{codec[-1]}.{suffix}", "-i", "A.wav", *codec, "-bsf:a", f"noise=drop='{dropped}'"
    )


HOLE = "aselect='not(between(t,4.5,7))'"
CASES: dict[str, Case] = {
    # Parameters that change inside the file.
    "mp3, rate and channels": switch("mp3", MONO_44, STEREO_48, *BARE_MP3),
    "mp3, channels down": switch("mp3", STEREO_48, ("-ar", "48000", "-ac", "1"), *BARE_MP3),
    "mp3, rate down": switch("mp3", MONO_44, ("-ar", "22050", "-ac", "1"), *BARE_MP3),
    "mp3, five parts": Case(
        five_switches,
        tuple((t, s) for t, s in zip("ABABA", (0, 11.99, 24.8, 36.8, 49.6), strict=True)),
        length_s=61.6,
    ),
    "mp3, loudness evened out": varied(
        switch("mp3", MONO_44, STEREO_48, *BARE_MP3), normalize=True
    ),
    "adts, rate up": switch("aac", MONO_16, STEREO_48),
    "adts, rate down": switch("aac", STEREO_48, MONO_16),
    "ac3, 2.0 to 5.1": switch("ac3", STEREO_48, SURROUND_48),
    "ts, mono to stereo": switch("ts", MONO_44, STEREO_48, "-c:a", "aac"),
    "ts, 5.1 to 2.0": switch("ts", SURROUND_48, STEREO_48, "-c:a", "ac3"),
    "ogg, chained": switch("ogg", MONO_16, MONO_16, "-c:a", "libopus"),
    "ogg, chained, mono to stereo": switch(
        "ogg", ("-ac", "1"), ("-ac", "2"), "-c:a", "libopus"
    ),
    "ogg, chained, opus to vorbis": Case(
        lambda s: s.joined(
            "codecs.ogg", s.coded("A", "ogg", "-c:a", "libopus"),
            s.coded("B", "ogg", "-ar", "44100", "-c:a", "libvorbis"),
        ),
        BOTH,
        length_s=A_S + B_S,
    ),
    "ogg, chained, vorbis rate": switch(
        "ogg", ("-ar", "44100"), ("-ar", "22050"), "-c:a", "libvorbis"
    ),
    "flac, joined": varied(switch("flac", (), ()), warns="0:12 of sound"),
    "webm, joined with other channels": varied(
        switch("webm", ("-ac", "1"), ("-ac", "2"), "-c:a", "libopus"), warns="0:12 of sound"
    ),
    # Sides that cancel each other.
    "wav, sides cancel": Case(lambda s: s.coded("A", "wav", "-af", INVERTED), warns="cancel"),
    "aac, sides cancel": Case(lambda s: s.coded("A", "m4a", "-af", INVERTED), warns="cancel"),
    "half of it cancels": Case(half_inverted, BOTH, A_S + B_S, warns="0:12 to 0:24"),
    "some seconds cancel": Case(inverted_for_some_seconds, warns="0:04 to 0:07"),
    "5.1 whose front cancels": Case(
        lambda s: s.coded("A", "flac", "-af", "pan=5.1|FL=c0|FR=-1*c0"), warns="cancel"
    ),
    "5.1 whose centre cancels": Case(
        lambda s: s.coded("A", "wav", "-af", "pan=5.1|FC=c0|FL=-0.7*c0|FR=-0.7*c0"), warns="cancel"
    ),
    "quad whose back cancels": Case(
        lambda s: s.coded("A", "wav", "-af", "pan=quad|BL=c0|BR=-1*c0"), warns="cancel"
    ),
    "nearly cancelled": Case(
        lambda s: s.coded("A", "wav", "-af", "pan=stereo|c0=c0|c1=-0.9*c0"), warns="cancel"
    ),
    # Several tracks.
    "two speakers": varied(TWO, warns="left out: 2", tracks=(1,)),
    "two speakers, all": varied(TWO, parts=(("A", 0.0), ("B", 0.0)), track="all", tracks=(1, 2)),
    "two speakers, the second": varied(TWO, parts=(("B", 0.0),), track="2", tracks=(2,)),
    "the first is silent": varied(OBS, warns="track 1 (Desktop)", tracks=(2,)),
    "commentary first": varied(COMMENTARY, warns="1 (commentary)", tracks=(2,)),
    "description first": varied(DESCRIBED, warns="1 (Audiodeskription", tracks=(2,)),
    # Lost sound.
    "hole in mkv": Case(
        lambda s: s.coded("A", "mkv", "-c:a", "flac", "-af", HOLE),
        length_s=A_S, without=(4.5, 7.1), warns="hole", lost_s=2.5, held=True,
    ),
    "hole in mp4": Case(
        lossy("m4a", "between(n\\,70\\,110)", "-c:a", "aac"),
        length_s=A_S, without=(4.4, 7.1), warns="hole", lost_s=2.62, held=True,
    ),
    "hole in opus": Case(
        lossy("webm", "between(n\\,250\\,330)", "-c:a", "libopus"),
        length_s=A_S, without=(4.9, 6.7), warns="hole", lost_s=1.62, held=True,
    ),
    "second mp4 behind the first": Case(
        lambda s: s.joined("joined.m4a", s.coded("A", "m4a"), s.coded("B", "m4a")),
        warns="behind the end", lost_s=B_S, held=True,
    ),
    "sound that no index knows": Case(
        without_index, warns="more than its header", lost_s=B_S, held=True
    ),
    "sound that its decoder refuses": Case(
        lambda s: s.joined(
            "codecs.ts",
            s.coded("A", "ts", "-c:a", "aac"),
            s.coded("B", "ts", "-c:a", "mp2", *STEREO_48),
        ),
        # An estimate: the decoder takes the other codec's frames for more and shorter ones.
        warns="damaged", lost_s=25.0, lost_within_s=15.0, held=True,
    ),
    "mp3, joined behind a header with the first length": switch(
        "mp3", (*MONO_44, "-b:a", "64k"), (*STEREO_48, "-b:a", "64k")
    ),
    # Nothing to report.
    "dtx": Case(lossy("webm", "lt(size\\,4)", "-c:a", "libopus", "-application", "voip",
                      "-dtx", "1")),
    "pause by edit list": Case(
        with_pause_in_its_edit_list, parts=(("A", 0.0), ("A", 2.0)), length_s=A_S + 2
    ),
    "lead": Case(
        lambda s: s.make("lead.mp4", "-f", "lavfi", "-i", "testsrc=s=64x48:r=5:d=15", "-itsoffset",
                         "3", "-i", "A.wav", "-c:v", "libx264", "-preset", "ultrafast"),
        parts=(("A", 3.0),),
    ),
    "vbr": Case(lambda s: s.coded("A", "mp3", "-q:a", "5")),
    "vbr without a header": Case(lambda s: s.coded("A", "mp3", "-q:a", "5", "-write_xing", "0")),
    "5.1": Case(lambda s: s.coded("A", "flac", "-af", "pan=5.1|FC=c0|FL=0.1*c0|FR=0.1*c0")),
    "narrow stereo": Case(lambda s: s.coded("A", "wav", "-af", "pan=stereo|c0=c0|c1=0.9*c0")),
    "one side only": Case(lambda s: s.coded("A", "wav", "-af", "pan=stereo|c0=c0|c1=0*c0")),
    "a silent second track": varied(SILENT_SECOND, tracks=(1,)),
    "a short hole": Case(
        lambda s: s.coded("A", "mkv", "-c:a", "flac", "-af", "aselect='not(between(t,3,3.8))'"),
        length_s=A_S,
    ),
    "ten channels without names": Case(
        lambda s: s.coded("A", "mka", "-af", "pan=10c|c0=c0|c3=c0", "-c:a", "pcm_s16le")
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def session() -> Iterator[InferenceSession]:
    with InferenceSession(get_settings()) as opened:
        yield opened


def transcript_of(session: InferenceSession, path: Path, case: Case) -> Transcript:
    options = session.transcription_options(RunOptions(model="demo", track=case.track))
    if case.normalize:
        options = type(options)(
            **{**{f: getattr(options, f) for f in options.__dataclass_fields__}, "normalize": True}
        )
    return session.transcribe(path, options)


def expected_words(studio: Studio, case: Case) -> list[tuple[str, float]]:
    words = [
        (text, start_s + offset_s)
        for talk, offset_s in case.parts
        for text, start_s, _ in studio.talks[talk].words
    ]
    if case.make is with_pause_in_its_edit_list:
        words = [w for n, w in enumerate(words) if (n < 12) == (w[1] < 4.5)]
    return [w for w in words if not case.without[0] <= w[1] < case.without[1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_word_is_found_at_its_time_or_reported(
    studio: Studio, session: InferenceSession, name: str
) -> None:
    case = CASES[name]
    found = transcript_of(session, case.make(studio), case)
    words = sorted((word.start_s, word.text) for word in found.words)
    expected = sorted((start_s, text) for text, start_s in expected_words(studio, case))
    assert sorted(text for _, text in words) == sorted(text for _, text in expected)
    for text in {text for _, text in expected}:
        places = [[start_s for start_s, each in side if each == text] for side in (words, expected)]
        np.testing.assert_allclose(*places, atol=0.3, err_msg=text)
    if case.length_s:
        assert found.media.duration_s == pytest.approx(case.length_s, abs=0.2)
    assert case.warns is None or any(case.warns in each for each in found.warnings), found.warnings
    assert case.warns or not found.warnings
    assert found.coverage.lost_s == pytest.approx(case.lost_s, abs=case.lost_within_s)
    assert (found.coverage.grade == "A") == (case.lost_s == 0)
    assert set(found.coverage.lost) <= set(found.coverage.gaps)
    assert decide(found, 0.95).state == ("held" if case.held else "done")
    assert found.media.tracks == case.tracks
    assert json_document.from_document(json_document.to_document(found)) == found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("volume", "quiet"), [("-30dB", False), ("-45dB", False), ("-52dB", True), ("-60dB", True)]
)
def test_a_very_quiet_recording_is_remarked(
    studio: Studio, session: InferenceSession, volume: str, quiet: bool
) -> None:
    path = studio.coded("A", "flac", "-af", f"volume={volume}", "-sample_fmt", "s32")
    found = transcript_of(session, path, Case(lambda _: path))
    remarks = [w for w in found.warnings if "very quiet" in w]
    assert bool(remarks) is quiet
    assert not quiet or "KB_NORMALIZE_LOUDNESS" in remarks[0]


def test_a_track_that_is_not_there_is_named(studio: Studio, session: InferenceSession) -> None:
    path = TWO.make(studio)
    options = session.transcription_options(RunOptions(model="demo", track="3"))
    with raises(MediaUnavailable, "media.no_track", track=3):
        session.transcribe(path, options)


@pytest.mark.parametrize("value", ["0", "-1", "first", "1,2"])
def test_a_track_that_is_no_track_is_refused(value: str) -> None:
    with raises(UsageError, "options.track", value=value):
        RunOptions(track=value).sound_track()
