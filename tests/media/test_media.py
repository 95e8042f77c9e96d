"""Real media, made by the same ffmpeg binary that decodes them, through probe and decode."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest

from kb.errors import KBError, MediaUnavailable
from kb.media import SAMPLE_RATE_HZ, clip, sha256_of, shown
from kb.media.damage import clock
from kb.media.decode import Samples, decode
from kb.media.probe import probe
from tests.support.raising import raises
from tests.support.waiting import WAIT_S

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
TONE_HZ = 440
TONE = "sine=frequency=440:sample_rate=44100:duration={}"
PICTURE = "testsrc=size=64x48:rate=5:duration={}"
AAC = ("-c:a", "aac", "-b:a", "64k")
H264 = ("-c:v", "libx264", "-preset", "ultrafast")
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "100k")
OPUS = ("-c:a", "libopus", "-b:a", "32k")


def ffmpeg(*arguments: str | Path) -> None:
    command = [FFMPEG, "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def film(target: Path, seconds: float, *codecs: str) -> Path:
    """A tone with a small moving picture."""
    tone, picture = TONE.format(seconds), PICTURE.format(seconds)
    ffmpeg("-f", "lavfi", "-i", tone, "-f", "lavfi", "-i", picture, *codecs, target)
    return target


def sound(target: Path, seconds: float, *codecs: str, filters: str = "anull") -> Path:
    ffmpeg("-f", "lavfi", "-i", TONE.format(seconds), "-af", filters, *codecs, target)
    return target


def cut(source: Path, share: float) -> Path:
    """A copy that ends after a share of the bytes, as a broken download does."""
    target = source.with_name(f"cut-{source.name}")
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def samples_of(path: Path, *, normalize: bool = False) -> Samples:
    return np.concatenate(list(decode(path, normalize=normalize)))


def warning_of(path: Path) -> str | None:
    stream = decode(path)
    for _ in stream:
        pass
    assert stream.finished
    return stream.warning


def pitch_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * SAMPLE_RATE_HZ / len(samples))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Films of 40 s whose headers and ends differ."""
    folder = tmp_path_factory.mktemp("films")
    late_index = film(folder / "late-index.mp4", 40, *H264, *AAC)
    first_index = folder / "first-index.mp4"
    ffmpeg("-i", late_index, "-c", "copy", "-movflags", "+faststart", first_index)
    webm = film(folder / "declared.webm", 40, *VP8, *OPUS)
    live = folder / "live.webm"
    ffmpeg("-i", webm, "-c", "copy", "-live", "1", live)
    silent = folder / "silent.mp4"
    ffmpeg("-i", late_index, "-an", "-c", "copy", silent)
    return {path.name: path for path in (late_index, first_index, webm, live, silent)}


@pytest.mark.parametrize(
    ("name", "codecs", "expected_codec"),
    [
        ("a.mp4", (*H264, *AAC), "aac"),
        ("a.mkv", (*H264, "-c:a", "flac"), "flac"),
        ("a.webm", (*VP8, *OPUS), "opus"),
        ("a.avi", ("-c:v", "mpeg4", "-c:a", "mp3"), "mp3"),
    ],
)
def test_films_give_their_whole_sound(
    tmp_path: Path, name: str, codecs: tuple[str, ...], expected_codec: str
) -> None:
    path = film(tmp_path / name, 3, *codecs)
    found = probe(path)
    assert (found.has_audio, found.has_video, found.audio_codec) == (True, True, expected_codec)
    assert found.duration_s == pytest.approx(3, abs=0.25)  # AVI counts whole pictures
    assert found.size_bytes == path.stat().st_size
    stream = decode(path)
    samples = np.concatenate(list(stream))
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(3 * SAMPLE_RATE_HZ, abs=0.08 * SAMPLE_RATE_HZ)
    assert stream.duration_s == len(samples) / SAMPLE_RATE_HZ
    assert stream.warning is None
    assert pitch_hz(samples[8000:40000]) == pytest.approx(TONE_HZ, abs=1)


@pytest.mark.parametrize(
    ("name", "options", "rate_hz", "channels", "container"),
    [
        ("a.mp3", ("-c:a", "libmp3lame"), 44100, 1, "mp3"),
        ("index-at-end.m4a", AAC, 44100, 1, "m4a"),
        ("narrow.wav", ("-ar", "8000", "-ac", "1"), 8000, 1, "wav"),
        ("stereo.ogg", ("-c:a", "libvorbis", "-ac", "2"), 44100, 2, "ogg"),
    ],
)
def test_sound_files_give_exact_sample_counts(
    tmp_path: Path, name: str, options: tuple[str, ...], rate_hz: int, channels: int, container: str
) -> None:
    path = sound(tmp_path / name, 2.5, *options)
    found = probe(path)
    assert (found.sample_rate_hz, found.channels) == (rate_hz, channels)
    assert (found.container, found.has_video) == (container, False)
    samples = samples_of(path)
    assert len(samples) == pytest.approx(2.5 * SAMPLE_RATE_HZ, abs=2)
    assert pitch_hz(samples[8000:32000]) == pytest.approx(TONE_HZ, abs=1)


def test_surround_at_96_khz_keeps_the_speech_of_its_centre(tmp_path: Path) -> None:
    path = sound(tmp_path / "surround.flac", 2, "-ar", "96000", filters="volume=4,pan=5.1|FC=c0")
    found = probe(path)
    assert (found.sample_rate_hz, found.channels) == (96_000, 6)
    samples = samples_of(path)
    assert len(samples) == 2 * SAMPLE_RATE_HZ
    assert pitch_hz(samples) == pytest.approx(TONE_HZ, abs=1)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


def test_stereo_becomes_the_average_of_its_sides(tmp_path: Path) -> None:
    path = sound(tmp_path / "loud.wav", 1, filters="volume=7.5,pan=stereo|c0=c0|c1=c0")
    assert np.abs(samples_of(path)).max() == pytest.approx(7.5 / 8, abs=0.01)


def test_a_fifth_of_a_second(tmp_path: Path) -> None:
    path = sound(tmp_path / "short.wav", 0.2)
    assert len(samples_of(path)) == 3200
    assert len(samples_of(path, normalize=True)) == 3200


def test_sound_that_begins_late_or_pauses_keeps_the_clock_of_the_medium(tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", PICTURE.format(6), "-itsoffset", "2"),
        *("-f", "lavfi", "-i", TONE.format(3), *H264, *AAC, late),
    )
    stream = decode(late)
    samples = np.concatenate(list(stream))
    assert np.argmax(np.abs(samples) > 0.05) / SAMPLE_RATE_HZ == pytest.approx(2, abs=0.03)
    # The picture goes on for a second after the sound: nothing is missing.
    assert stream.warning is None
    assert stream.probe.duration_s == pytest.approx(6, abs=0.1)
    assert stream.probe.sound_end_s == pytest.approx(5, abs=0.1)

    gap = sound(tmp_path / "gap.mkv", 6, "-c:a", "flac", filters="aselect='not(between(t,2,4))'")
    samples = samples_of(gap)
    assert len(samples) == pytest.approx(6 * SAMPLE_RATE_HZ, abs=100)
    assert not samples[int(2.2 * SAMPLE_RATE_HZ) : int(3.8 * SAMPLE_RATE_HZ)].any()
    assert pitch_hz(samples[int(4.2 * SAMPLE_RATE_HZ) :]) == pytest.approx(TONE_HZ, abs=1)


@pytest.mark.slow
def test_loudness_is_evened_out_without_moving_a_sample(tmp_path: Path) -> None:
    level = "volume='if(between(t,30,31),2,0.05)':eval=frame"
    path = sound(tmp_path / "quiet.flac", 40, filters=level)
    plain, even = samples_of(path), samples_of(path, normalize=True)
    assert len(even) == len(plain) == 40 * SAMPLE_RATE_HZ
    quiet = slice(5 * SAMPLE_RATE_HZ, 6 * SAMPLE_RATE_HZ)
    assert np.abs(even[quiet]).max() > 5 * np.abs(plain[quiet]).max()
    assert pitch_hz(even[quiet]) == pytest.approx(TONE_HZ, abs=1)
    onset = [np.argmax(np.abs(samples) > 0.1) for samples in (plain, even)]
    assert abs(int(onset[0]) - int(onset[1])) < 0.05 * SAMPLE_RATE_HZ


def test_samples_that_are_no_numbers_do_no_harm(tmp_path: Path) -> None:
    values = np.full(SAMPLE_RATE_HZ, 0.25, "<f4")
    values[100:110], values[200], values[300] = np.nan, np.inf, 7.0
    raw, path = tmp_path / "raw.f32", tmp_path / "float.wav"
    raw.write_bytes(values.tobytes())
    ffmpeg("-f", "f32le", "-ar", "16000", "-ac", "1", "-i", raw, "-c:a", "pcm_f32le", path)
    samples = samples_of(path)
    assert len(samples) == SAMPLE_RATE_HZ
    assert np.isfinite(samples).all()
    assert (samples[200], samples[300], samples[400]) == (1.0, 1.0, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "share", "ends_at"),
    [("first-index.mp4", 0.5, " of 0:40 declared"), ("declared.webm", 0.5, " of 0:40 declared")],
)
def test_a_truncated_film_is_noticed(
    films: dict[str, Path], name: str, share: float, ends_at: str
) -> None:
    stream = decode(cut(films[name], share))
    decoded_s = sum(block.size for block in stream) / SAMPLE_RATE_HZ
    assert 10 < decoded_s < 30
    expected = f"The file ends at {clock(decoded_s)}{ends_at}: it looks truncated."
    assert stream.warning == expected
    assert stream.truncated


def test_truncation_without_a_declared_length_is_noticed(films: dict[str, Path]) -> None:
    assert probe(films["live.webm"]).duration_s is None
    assert warning_of(films["live.webm"]) is None
    warning = warning_of(cut(films["live.webm"], 0.5))
    assert warning is not None
    assert warning.startswith("The file breaks off at 0:")


def test_an_mp4_that_lost_its_index_says_so(films: dict[str, Path]) -> None:
    with raises(MediaUnavailable, "media.truncated_index") as caught:
        decode(cut(films["late-index.mp4"], 0.8))
    assert "cut-late-index.mp4" in caught.value.values["path"]
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.wav"])
def test_truncated_sound_is_noticed(tmp_path: Path, name: str) -> None:
    path = sound(tmp_path / name, 20)
    assert warning_of(path) is None
    assert "looks truncated" in (warning_of(cut(path, 0.5)) or "")


def test_damage_in_the_middle_keeps_the_length_and_is_reported(films: dict[str, Path]) -> None:
    source = films["first-index.mp4"]
    data = bytearray(source.read_bytes())
    middle, noise = len(data) // 2, np.random.default_rng(1).bytes(40_000)
    data[middle : middle + len(noise)] = noise
    path = source.with_name("damaged.mp4")
    path.write_bytes(data)
    stream = decode(path)
    assert sum(block.size for block in stream) / SAMPLE_RATE_HZ == pytest.approx(40, abs=0.1)
    assert "damaged in places" in (stream.warning or "")
    assert not stream.truncated


def test_a_recording_piped_into_wav_is_not_called_truncated(tmp_path: Path) -> None:
    data = bytearray(sound(tmp_path / "a.wav", 2).read_bytes())
    start = data.find(b"data")
    data[4:8] = data[start + 4 : start + 8] = b"\xff" * 4
    path = tmp_path / "piped.wav"
    path.write_bytes(data)
    assert warning_of(path) is None


def test_sound_that_ends_long_before_the_medium_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "outro.flv"  # a format that declares no length for the sound alone
    ffmpeg(
        *("-f", "lavfi", "-i", PICTURE.format(6), "-f", "lavfi", "-i", TONE.format(3)),
        *("-c:v", "flv", "-c:a", "mp3", path),
    )
    assert warning_of(path) == "The sound ends at 0:03 of 0:06 declared: the file may be truncated."


def test_a_header_without_samples_cannot_be_decoded(tmp_path: Path) -> None:
    path = tmp_path / "header.wav"
    path.write_bytes(sound(tmp_path / "a.wav", 1).read_bytes()[:80])
    stream = decode(path)
    with raises(MediaUnavailable, "media.not_decodable", path=path):
        list(stream)
    assert not stream.finished


def test_sound_behind_a_clock_that_jumps_back_is_not_lost_in_silence(
    films: dict[str, Path],
) -> None:
    source = films["declared.webm"]
    joined = source.with_name("joined.webm")
    joined.write_bytes(source.read_bytes() * 2)
    assert "0:40 of sound" in (warning_of(joined) or "")


def test_a_recording_whose_clock_was_reset_is_not_called_truncated(tmp_path: Path) -> None:
    early = film(tmp_path / "a.ts", 4, *H264, *AAC)
    late = tmp_path / "late.ts"
    ffmpeg("-i", early, "-c", "copy", "-output_ts_offset", "3700", late)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(early.read_bytes() + late.read_bytes())
    stream = decode(joined)
    assert sum(block.size for block in stream) / SAMPLE_RATE_HZ == pytest.approx(8, abs=0.3)
    assert stream.warning is None


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _folder(folder: Path) -> Path:
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


def _file(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (_missing, "media.missing"),
        (_folder, "media.folder"),
        (_file("empty.mp4", b""), "media.empty"),
        (_file("text.mp4", "Grüße, this is no film.\n".encode() * 9), "media.text"),
        (_file("notes.txt", b"some notes\n"), "media.text"),
        (_file("words.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"), "media.text"),
        (_file("noise.mp4", np.random.default_rng(0).bytes(50_000)), "media.other_kind"),
        (_file("list.mp4", b"ffconcat version 1.0\nfile 'other.mp4'\n"), "media.unreadable"),
        (_file("net.m3u8", b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"), "media.text"),
    ],
)
def test_bad_input_names_the_file_and_the_cause(
    tmp_path: Path, make: Callable[[Path], Path], code: str
) -> None:
    path = make(tmp_path)
    with raises(MediaUnavailable, code, path=path) as caught:
        decode(path)
    assert caught.value.hint
    assert not caught.value.retryable


def test_a_playlist_is_not_followed(tmp_path: Path) -> None:
    sound(tmp_path / "other.mp3", 1)
    playlist = tmp_path / "list.mp4"
    playlist.write_text("ffconcat version 1.0\nfile other.mp3\n")
    with raises(MediaUnavailable, "media.playlist", path=playlist):
        decode(playlist)


def test_video_without_sound(films: dict[str, Path]) -> None:
    assert not probe(films["silent.mp4"]).has_audio
    assert probe(films["silent.mp4"]).has_video
    with raises(MediaUnavailable, "media.no_sound", path=films["silent.mp4"]):
        decode(films["silent.mp4"])


def test_a_cover_picture_is_not_video(tmp_path: Path) -> None:
    picture, path = tmp_path / "cover.png", tmp_path / "song.mp3"
    ffmpeg("-f", "lavfi", "-i", PICTURE.format(1), "-frames:v", "1", picture)
    song = sound(tmp_path / "plain.mp3", 1)
    ffmpeg(
        *("-i", song, "-i", picture, "-map", "0", "-map", "1", "-c", "copy"),
        *("-disposition:v", "attached_pic", path),
    )
    assert not probe(path).has_video
    assert len(samples_of(path)) == pytest.approx(SAMPLE_RATE_HZ, abs=2)
    with raises(MediaUnavailable, "media.other_kind", path=picture):
        probe(picture)


NAMES = [
    "Grüße 😀 – 你好.mp3",
    "it's “quoted”.mp3",
    "-y.mp3",
    "%03d [0].mp3",
    "n" * 246 + ".mp3",
]
if os.name != "nt":  # where these characters cannot be in a name at all
    NAMES += ['double " quote.mp3', "new\nline.mp3", "concat:a|b.mp3", "http:x.mp3"]
    NAMES += ["😀" * 62 + ".mp3"]  # 252 bytes


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return sound(tmp_path_factory.mktemp("second") / "a.mp3", 1).read_bytes()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(second)
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / name, Path(name)):
        assert len(samples_of(path)) == pytest.approx(SAMPLE_RATE_HZ, abs=2)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MediaUnavailable) as caught:
        decode(name)
    assert "\n" not in str(caught.value)


def test_names_in_messages_stay_on_one_line() -> None:
    assert shown("a\nb\x1b[31m😀.mp4") == "a\\nb\\x1b[31m😀.mp4"
    assert shown("bad\udcff.mp4") == "bad\\udcff.mp4"


def _children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "ffmpeg" in child.name() and child.status() != psutil.STATUS_ZOMBIE
    ]


def _interrupted(blocks: Iterator[Samples]) -> None:
    for _ in blocks:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of silence in a small file."""
    path = tmp_path_factory.mktemp("hour") / "hour.flac"
    silence = "anullsrc=channel_layout=mono:sample_rate=16000"
    ffmpeg("-f", "lavfi", "-i", silence, "-t", "3600", "-compression_level", "0", path)
    return path


@pytest.mark.slow
def test_no_decoder_outlives_its_iteration(hour: Path) -> None:
    stream = decode(hour)
    for _ in stream:
        assert len(_children()) == 1
        break
    assert not _children()

    with pytest.raises(KeyboardInterrupt):
        _interrupted(iter(stream))
    assert not _children()

    with decode(hour) as stream:
        blocks = iter(stream)
        next(blocks)
        assert _children()
    assert not _children()
    assert list(blocks) == []

    assert not stream.finished
    assert stream.duration_s == 10.0


def test_a_stream_can_be_read_again(tmp_path: Path) -> None:
    stream = decode(sound(tmp_path / "a.wav", 2.5), block_s=1)
    first, again = list(stream), list(stream)
    assert [block.size for block in first] == [16000, 16000, 8000]
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
    assert stream.duration_s == 2.5


def test_an_ffmpeg_ended_from_outside_is_no_end_of_the_medium(hour: Path) -> None:
    blocks = iter(decode(hour))
    next(blocks)
    (child,) = _children()
    child.kill()
    with raises(MediaUnavailable, "media.ffmpeg_killed", path=hour) as caught:
        list(blocks)
    assert caught.value.retryable


@pytest.mark.parametrize("title", [b"Gespr\xe4ch mit M\xfcller", b"\xff\xfe\x00", b"\xe2\x82"])
def test_tags_in_any_encoding_do_no_harm(tmp_path: Path, title: bytes) -> None:
    path = sound(tmp_path / "a.wav", 1)
    tag = b"INFOINAM" + len(title).to_bytes(4, "little") + title + bytes(len(title) % 2)
    data = path.read_bytes()
    at = data.index(b"data")
    path.write_bytes(data[:at] + b"LIST" + len(tag).to_bytes(4, "little") + tag + data[at:])
    stream = decode(path)
    assert sum(map(len, stream)) == SAMPLE_RATE_HZ
    assert stream.warning is None
    assert clip.cut(path, 0, 1, tmp_path / "clip.wav").is_file()


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal to a process group")
def test_ctrl_c_ends_the_program_and_its_decoder(hour: Path, tmp_path: Path) -> None:
    script = tmp_path / "reader.py"
    script.write_text(
        "import sys, time\n"
        "from kb.media.decode import decode\n"
        "for block in decode(sys.argv[1]):\n"
        "    print('block', flush=True)\n"
        "    time.sleep(30)\n"
    )
    root = Path(__file__).resolve().parents[2]
    reader = subprocess.Popen(
        [sys.executable, script, hour],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"block\n"
    children = psutil.Process(reader.pid).children(recursive=True)
    assert children
    os.killpg(reader.pid, 2)
    _, errors = reader.communicate(timeout=WAIT_S)
    assert b"KeyboardInterrupt" in errors
    assert b"MediaUnavailable" not in errors
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive


@pytest.mark.slow
def test_an_hour_needs_little_memory_and_time(hour: Path) -> None:
    process = psutil.Process()
    before, peak, started = process.memory_info().rss, 0, time.perf_counter()
    stream = decode(hour)
    for count, block in enumerate(stream):
        assert not block.any()
        if count % 30 == 0:
            ours = process.memory_info().rss - before
            theirs = sum(child.memory_info().rss for child in _children())
            peak = max(peak, ours + theirs)
    assert stream.duration_s == pytest.approx(3600, abs=0.1)
    assert stream.warning is None
    # An hour of samples is 230 MB; the stream holds one block of 0.64 MB and the decoder.
    assert peak < 150e6
    assert time.perf_counter() - started < 60


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "Talk.MP4"
    path.write_bytes(b"abc" * 1_000_000)
    assert sha256_of(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with raises(MediaUnavailable, "media.not_readable", path=tmp_path / "missing.mp4"):
        sha256_of(tmp_path / "missing.mp4")


def test_errors_are_the_projects_own(tmp_path: Path) -> None:
    with pytest.raises(KBError):
        decode("nul\0byte.mp4")
    if os.name != "nt":
        os.mkfifo(tmp_path / "pipe.mp4")
        with raises(MediaUnavailable, "media.not_regular", path=tmp_path / "pipe.mp4"):
            decode(tmp_path / "pipe.mp4")


def test_clock() -> None:
    assert [clock(s) for s in (0, 42.9, 99.9999, 3725)] == ["0:00", "0:42", "1:40", "1:02:05"]


@pytest.mark.parametrize("rates", [(16_000, 48_000), (48_000, 16_000), (16_000, 48_000, 16_000)])
def test_joined_transport_streams_of_other_rates_have_no_hole(
    tmp_path: Path, rates: tuple[int, ...]
) -> None:
    data = b""
    for number, rate in enumerate(rates):
        part = tmp_path / f"{number}.ts"
        ffmpeg("-f", "lavfi", "-i", TONE.format(4), "-ar", str(rate), *AAC, part)
        data += part.read_bytes()
    joined = tmp_path / "joined.ts"
    joined.write_bytes(data)
    stream = decode(joined)
    samples = np.concatenate(list(stream))
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(4 * len(rates), abs=0.4)
    assert stream.warnings == ()
    loud = np.abs(samples[: len(samples) // 800 * 800].reshape(-1, 800)).max(axis=1) > 0.05
    assert loud.mean() > 0.95
