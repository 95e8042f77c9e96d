"""One clock: decoder, declared end, clip and browser agree about odd files.

Every file holds the same speech. `lead_s` is the time of its first sample on the clock of the
transcript (which counts from the container's start), so that a word at t is at lead_s + t.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import imageio_ffmpeg
import numpy as np
import pytest

from kb.media import SAMPLE_RATE_HZ
from kb.media.clip import cut
from kb.media.decode import Samples, decode
from kb.media.probe import probe
from tests.support.browser import STEP_MS, browser, require_browser
from tests.support.compose import Composition, WordBank, compose, write_wav

pytestmark = pytest.mark.slow

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PLAN = (
    "mountain garden harbour river | 1.5 | village island forest valley | 1.5 | "
    "castle library furnace machine"
)
PICTURE = "-f lavfi -i testsrc=s=64x48:r=10:d=12"
H264 = "-c:v libx264 -preset ultrafast -g 10 -c:a aac"
VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus"
COPY = "-c copy"


class Odd(NamedTuple):
    """A file: its arguments of ffmpeg (@ is the folder) and its clock; `plays`: in Chromium."""

    arguments: str
    lead_s: float = 0.0
    start_s: float = 0.0
    plays: bool = True


GROUPS_S = (0.3, 5.0, 9.4)  # each group of four words, after a pause, begins about here
PRIMING_S = 1024 / 16_000  # of the AAC encoder: some containers play it as silence
ODD = {
    "plain.mp4": Odd(f"{PICTURE} -i @/talk.wav {H264}"),
    "plain.m4a": Odd("-i @/talk.wav -c:a aac"),
    "plain.webm": Odd(f"{PICTURE} -i @/talk.wav {VP8}"),
    "plain.ogg": Odd("-i @/talk.wav -c:a libopus"),
    "vorbis.ogg": Odd("-i @/talk.wav -c:a libvorbis"),
    "live.webm": Odd(f"-i @/plain.webm {COPY} -f webm -live 1"),
    "frag.mp4": Odd(f"-i @/plain.mp4 {COPY} -movflags frag_keyframe+empty_moov", PRIMING_S),
    "vfr.mp4": Odd(f"{PICTURE} -i @/talk.wav -vf select='not(mod(n,3))' -fps_mode vfr {H264}"),
    "off5.m4a": Odd(f"-itsoffset 5 -i @/plain.m4a {COPY}", PRIMING_S, 5 - PRIMING_S),
    "off5.mp4": Odd(f"-itsoffset 5 -i @/plain.mp4 {COPY}", PRIMING_S, 5 - PRIMING_S),
    "off9.mov": Odd(f"-itsoffset 9 -i @/plain.mp4 {COPY}", PRIMING_S, 9 - PRIMING_S, plays=False),
    "off40.m4a":
    Odd(f"-itsoffset 40 -i @/plain.m4a {COPY}", PRIMING_S, 40 - PRIMING_S, plays=False),
    "late.3g2": Odd(
        f"-itsoffset 2 -i @/plain.mp4 -itsoffset 4 -i @/plain.mp4 -map 0:v -map 1:a {COPY}",
        2, 2, plays=False,
    ),
    "off5.webm": Odd(f"-itsoffset 5 -i @/plain.webm {COPY}", 0, 5),
    "off5.ogg": Odd(f"-itsoffset 5 -i @/plain.ogg {COPY}", 0, 5),
    "off5.vorbis.ogg": Odd(f"-itsoffset 5 -i @/vorbis.ogg {COPY}", 0.016, 4.984),
    "hour3.ogg": Odd(f"-itsoffset 10800 -i @/plain.ogg {COPY}", plays=False),
    "off5.ts": Odd(f"-itsoffset 5 -i @/plain.mp4 {COPY}", PRIMING_S, 6.336, plays=False),
    "late.mkv": Odd(f"-i @/plain.mp4 -itsoffset 4.9 -i @/plain.mp4 -map 0:v -map 1:a {COPY}", 4.9),
    "late.mp4": Odd(f"-i @/plain.mp4 -itsoffset 4.9 -i @/plain.mp4 -map 0:v -map 1:a {COPY}", 4.9),
    "late.webm":
    Odd(f"-i @/plain.webm -itsoffset 4.9 -i @/plain.webm -map 0:v -map 1:a {COPY}", 4.9),
    "late3.webm":
    Odd(f"-i @/plain.webm -itsoffset 3 -i @/plain.webm -map 0:v -map 1:a {COPY}", 3),
    "late.ts": Odd(
        f"-i @/plain.mp4 -itsoffset 4.9 -i @/plain.mp4 -map 0:v -map 1:a {COPY}", 4.9, 1.4,
        plays=False,
    ),
    "early.mkv": Odd(f"-ss 4.3 -i @/plain.mp4 {COPY} -copyts", -4, 4),
    "edit.mp4": Odd(f"-ss 4.3 -i @/plain.mp4 {COPY}", -4.3),
    "plain.mp3": Odd("-i @/talk.wav -b:a 64k"),
    "cbr.mp3": Odd("-i @/talk.wav -b:a 64k -write_xing 0 -id3v2_version 0", 0.069),
    # Chromium estimates the place of a time from the mean bit rate.
    "bare.mp3": Odd("-i @/talk.wav -q:a 5 -write_xing 0 -id3v2_version 0", 0.069, plays=False),
    "plain.aac": Odd("-i @/talk.wav -c:a aac", PRIMING_S, plays=False),
    "plain.flac": Odd("-i @/talk.wav"),
    "plain.avi": Odd(f"{PICTURE} -i @/talk.wav -c:v mpeg4 -c:a mp3", 0.069, plays=False),
    "plain.wma": Odd("-i @/talk.wav", 0.032, plays=False),
    "titles.mkv":
    Odd(f"-i @/plain.mp4 -attach @/note.txt -metadata:s:t mimetype=text/plain {COPY}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def talk() -> Composition:
    bank = WordBank.load()
    return compose(bank, PLAN, rng=np.random.default_rng(3), noise_db=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, talk: Composition) -> Path:
    folder = tmp_path_factory.mktemp("clock")
    write_wav(folder / "talk.wav", talk)
    (folder / "note.txt").write_text("Duration: 99:00:00.00, start: 7.0\n")
    for name, odd in ODD.items():
        arguments = odd.arguments.replace("@", str(folder)).split()
        command = [FFMPEG, "-nostdin", "-loglevel", "error", "-y", *arguments, str(folder / name)]
        subprocess.run(command, check=True)
    (folder / "joined.ogg").write_bytes((folder / "plain.ogg").read_bytes() * 2)
    return folder


def read(path: Path) -> Samples:
    return np.concatenate(list(decode(path)))


def lag_s(whole: Samples, part: Samples) -> float:
    """Return the time in `whole` at which `part` fits best (cross-correlation)."""
    size = 1 << (len(whole) + len(part)).bit_length()
    found = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)
    at = int(found.argmax())
    return (at - size if at >= len(whole) else at) / SAMPLE_RATE_HZ


@pytest.mark.parametrize("name", ODD)
def test_words_lie_on_the_clock_of_the_container(
    folder: Path, talk: Composition, name: str
) -> None:
    odd = ODD[name]
    stream = decode(folder / name)
    samples = np.concatenate(list(stream))
    assert stream.probe.start_s == pytest.approx(
        odd.start_s, abs=0.08 if name.endswith(".mp3") else 0.03
    )
    for from_s in GROUPS_S:
        if from_s + odd.lead_s >= 0:
            first = round(from_s * SAMPLE_RATE_HZ)
            words = talk.audio[first : first + 2 * SAMPLE_RATE_HZ]
            assert lag_s(samples, words) - from_s == pytest.approx(odd.lead_s, abs=0.06), from_s
    # The end, by the header and by the sound, is on the same clock.
    assert stream.warning is None
    declared_s = stream.probe.sound_end_s or stream.probe.duration_s
    if declared_s is not None and name != "bare.mp3" and name != "plain.aac":
        assert stream.duration_s == pytest.approx(declared_s, abs=0.25)


@pytest.mark.parametrize("name", [*ODD, "joined.ogg"])
def test_a_clip_holds_the_words_of_its_times(
    tmp_path: Path, folder: Path, talk: Composition, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lead_s = ODD[name].lead_s if name in ODD else 0.0
    for start_s in GROUPS_S:
        if start_s + lead_s < 0:
            continue
        end_s = start_s + 2
        made = cut(folder / name, start_s + lead_s, end_s + lead_s, tmp_path / "clip.wav")
        words = read(made)
        assert len(words) / SAMPLE_RATE_HZ == pytest.approx(2, abs=0.06)
        assert lag_s(talk.audio, words) == pytest.approx(start_s, abs=0.06), start_s
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["late.mkv", "live.webm", "off5.mp4", "late.ts", "vfr.mp4"])
def test_a_film_clip_holds_the_words_of_its_times(
    tmp_path: Path, folder: Path, talk: Composition, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lead_s = ODD[name].lead_s
    made = cut(folder / name, 5 + lead_s, 7 + lead_s, tmp_path / "clip.mp4")
    found = probe(made)
    assert found.has_video
    assert found.duration_s == pytest.approx(2, abs=0.25)
    assert lag_s(talk.audio, read(made)) == pytest.approx(5, abs=0.06)
    assert capfd.readouterr() == ("", "")


def test_a_clip_before_the_first_sound_is_silent_there(
    tmp_path: Path, folder: Path, talk: Composition
) -> None:
    silent = read(cut(folder / "late.mkv", 1, 3, tmp_path / "a.wav"))
    assert len(silent) == 2 * SAMPLE_RATE_HZ
    assert not silent.any()
    half = read(cut(folder / "late.mkv", 3, 7, tmp_path / "b.wav"))
    assert not half[: int(1.8 * SAMPLE_RATE_HZ)].any()
    assert lag_s(half, talk.audio[: 2 * SAMPLE_RATE_HZ]) == pytest.approx(1.9, abs=0.03)


def test_a_clip_across_a_change_of_rate_and_channels(
    tmp_path: Path, folder: Path, talk: Composition
) -> None:
    bare = "-write_xing 0 -id3v2_version 0"
    parts = []
    for number, form in enumerate(("-ar 44100 -ac 1 -b:a 64k", "-ar 48000 -ac 2 -b:a 128k")):
        part = tmp_path / f"{number}.mp3"
        command = [FFMPEG, "-loglevel", "error", "-i", str(folder / "talk.wav")]
        subprocess.run([*command, *form.split(), *bare.split(), str(part)], check=True)
        parts.append(part.read_bytes())
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join(parts))
    words = read(cut(path, 11, 15, tmp_path / "clip.wav"))
    assert len(words) / SAMPLE_RATE_HZ == pytest.approx(4, abs=0.06)
    second = talk.audio[: 2 * SAMPLE_RATE_HZ]
    assert lag_s(words, second) == pytest.approx(talk.seconds + 0.07 - 11, abs=0.1)


@pytest.mark.parametrize(
    "parts", [("plain.ogg", "vorbis.ogg"), ("vorbis.ogg", "plain.ogg", "vorbis.ogg")]
)
def test_a_clip_behind_a_change_in_a_chained_ogg(
    tmp_path: Path, folder: Path, talk: Composition, parts: tuple[str, ...]
) -> None:
    path = tmp_path / "chain.ogg"
    path.write_bytes(b"".join((folder / part).read_bytes() for part in parts))
    whole = read(path)
    for from_s in (5.0, talk.seconds - 1, talk.seconds + 5):
        words = read(cut(path, from_s, from_s + 2, tmp_path / "clip.wav"))
        assert len(words) == pytest.approx(2 * SAMPLE_RATE_HZ, abs=100)
        assert lag_s(whole[round(from_s * SAMPLE_RATE_HZ) - 800 :], words) == pytest.approx(
            0.05, abs=0.06
        )


SLOWER = 0.25
LATE_S = 0.1  # of the medium, between two looks of the page
PAGE = """<!doctype html><button onclick="go()">go</button><script>
window.heard = {};
function go() {
  const context = new AudioContext();
  for (const [name, from] of FILES) {
    const media = document.createElement("video");
    media.src = name;
    const analyser = context.createAnalyser();
    let quietAt = null;
    context.createMediaElementSource(media).connect(analyser);
    analyser.fftSize = 256;
    const sound = new Float32Array(256);
    media.addEventListener("error", () => (heard[name] = "error"), { once: true });
    media.addEventListener("loadedmetadata", () => (media.currentTime = from), { once: true });
    media.addEventListener("seeked", () => {
      media.playbackRate = SLOWER;  // a page that is late misses less
      media.play();
      const timer = setInterval(() => {
        analyser.getFloatTimeDomainData(sound);
        const now = media.currentTime;
        if (!sound.some((each) => Math.abs(each) > 0.05)) return (quietAt = now);
        if (quietAt === null && now - from < LATE) return;  // the sound of before
        clearInterval(timer);
        media.pause();
        if (quietAt !== null && now - quietAt < LATE) {
          heard[name] = now;
        } else {  // the page has looked too late: once more
          quietAt = null;
          media.currentTime = from;
        }
      }, 5);
    });
  }
}
</script>"""


class Ranges(SimpleHTTPRequestHandler):
    """A server of files that answers ranges, without which a player cannot seek."""

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        path = Path(self.translate_path(self.path))
        if not wanted.startswith("bytes=") or not path.is_file():
            return super().do_GET()
        size = path.stat().st_size
        first, last = wanted.removeprefix("bytes=").split("-")
        begin, end = int(first), min(int(last or size), size - 1)
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {begin}-{end}/{size}")
        self.send_header("Content-Length", str(end + 1 - begin))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(begin)
            shutil.copyfileobj(file, self.wfile, end + 1 - begin)
        return None


@pytest.mark.browser
def test_a_browser_plays_each_word_at_its_time_plus_the_start(
    folder: Path, talk: Composition
) -> None:
    require_browser()
    word_s = talk.words[4][1]  # village, after a pause
    times = {
        name: word_s + odd.lead_s + probe(folder / name).start_s
        for name, odd in ODD.items()
        if odd.plays
    }
    files = [[name, time_s - 0.7] for name, time_s in times.items()]
    page_text = PAGE.replace("FILES", str(files)).replace("SLOWER", str(SLOWER))
    page_text = page_text.replace("LATE", str(LATE_S))
    (folder / "page.html").write_text(page_text)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with browser() as chromium:
            page = chromium.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
            page.get_by_role("button").click()
            page.wait_for_function(
                "count => Object.keys(heard).length >= count", arg=len(files), timeout=STEP_MS
            )
            heard = page.evaluate("heard")
    finally:
        server.shutdown()
        server.server_close()
    late = {
        name: (heard[name], time_s)
        for name, time_s in times.items()
        if heard[name] == "error" or abs(heard[name] - time_s) > 0.2
    }
    assert not late
