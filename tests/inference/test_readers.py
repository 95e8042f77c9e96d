"""Recordings read in processes beside the model's: the same words, and what ends with what."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.errors import Cancelled, DeviceLost, MediaUnavailable, SettingsError
from kb.inference.crash import InferenceProcessCrashed
from kb.inference.process import InferenceProcess
from kb.inference.readers.pool import ReaderPool
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.options import RunOptions
from kb.settings import PROJECT_ROOT, Settings, get_settings
from kb.types import Segment, Transcript
from tests.support.device_trouble import CUDA_ERROR, FAILURES_ENV
from tests.support.raising import raises
from tests.support.waiting import WAIT_S, until
from tests.support.workers import write_talks

pytestmark = pytest.mark.slow

SAMPLES = sorted((PROJECT_ROOT / "samples").glob("*.mp4"))


@dataclass
class Beside:
    """A session whose recordings are read by at most two readers, one at a time by each slot."""

    session: InferenceSession
    pool: ReaderPool
    slots: AdjustableSemaphore

    @property
    def idle(self) -> bool:
        """Return True if no recording holds anything."""
        waiting = self.session._batcher is not None and self.session._batcher.state().waiting
        return not (
            self.slots.in_use
            or waiting
            or self.session._model_lock.busy
            or any(each.readings for each in self.pool._readers)
        )


def readers(count: int, **changed: object) -> Settings:
    return get_settings().model_copy(update={"readers": str(count), **changed})


def options(**chosen: object) -> TranscriptionOptions:
    """Return options with which the text does not depend on the windows of a batch."""
    found = InferenceSession(get_settings()).transcription_options(
        RunOptions(model="demo", batch_size=1)
    )
    return replace(found, **chosen)  # type: ignore[arg-type]


def in_pieces() -> TranscriptionOptions:
    """Return options with so many windows that the queue is full before the first is read."""
    found = options(language="en")
    return replace(found, preset=replace(found.preset, chunk_s=5.0, overlap_s=0.5))


@pytest.fixture(scope="module")
def beside() -> Iterator[Beside]:
    settings = readers(2)
    pool, slots = ReaderPool(settings), AdjustableSemaphore(1)
    with InferenceSession(settings, slots, readers=pool) as session:
        yield Beside(session, pool, slots)
    pool.close()


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two talks of several windows."""
    return write_talks(tmp_path_factory.mktemp("talks"), 2, words=120)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talk of one window."""
    return write_talks(tmp_path_factory.mktemp("short"), 1, words=12, seed=2)[0]


@pytest.mark.long
def test_the_words_are_those_of_one_process() -> None:
    """Also the flags, the attempts, the texts that are shown at once and the progress.

    Both sessions read the same recordings one after another, so that their budgets for second
    readings are the same.
    """
    cases = [(sample, options()) for sample in SAMPLES]
    cases += [
        (SAMPLES[1], options(language="en", normalize=True, track="all")),
        (SAMPLES[1], options(languages=("en", "de"), detect_speech=False)),
    ]
    settings = readers(2)
    pool = ReaderPool(settings)
    with InferenceSession(settings, readers=pool) as beside, InferenceSession(settings) as alone:
        for sample, recipe in cases:
            found = [_seen(session, sample, recipe) for session in (alone, beside)]
            assert found[0]["segments"] and found[0]["texts"] and found[0]["progress"] == 1.0
            for name, value in found[0].items():
                assert value == found[1][name], (name, sample, recipe)
        assert len(pool.pids) == 1  # one after another
    pool.close()
    assert not pool.pids


def _seen(
    session: InferenceSession, sample: Path, recipe: TranscriptionOptions
) -> dict[str, object]:
    """Return all that a caller sees of a transcription, without the seconds that it took."""
    reported: list[float] = []
    texts: list[tuple[Segment, ...]] = []
    found = session.transcribe(
        sample,
        recipe,
        sha256="ab",
        shown_as="shown",
        progress=reported.append,
        on_text=texts.append,
    )
    assert found.timing.total_s > 0 and found.timing.asr_s > 0 and found.timing.load_s > 0
    assert reported == sorted(reported)
    fields = {each.name: getattr(found, each.name) for each in dataclasses.fields(found)}
    made = {"timing": found.timing.media_s, "serving": replace(found.serving, queue_s=0.0)}
    return {**fields, **made, "texts": texts, "progress": reported[-1]}


def test_two_recordings_have_a_reader_each(beside: Beside, talks: list[Path]) -> None:
    recipe = options(settings=get_settings().model_copy(update={"repair_share": 0.0}))
    both = threading.Barrier(2, timeout=WAIT_S)  # neither is read before the other is there

    def read(path: Path) -> Transcript:
        return beside.session.transcribe(path, recipe, on_ready=both.wait)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(read, talks))
    with InferenceSession(get_settings()) as alone:
        for path, transcript in zip(talks, found, strict=True):
            assert transcript.words == alone.transcribe(path, recipe).words
    assert len(beside.pool.pids) == 2
    until(lambda: beside.idle, "nothing that a recording holds")


@pytest.mark.skipif(sys.platform != "linux", reason="psutil lists mapped files on Linux")
def test_a_reader_has_no_torch(beside: Beside, short: Path) -> None:
    beside.session.transcribe(short, options())

    def has_torch(pid: int) -> bool:
        return any("libtorch" in each.path for each in psutil.Process(pid).memory_maps())

    assert has_torch(psutil.Process().pid)
    assert beside.pool.pids
    assert not any(has_torch(pid) for pid in beside.pool.pids)


def test_a_killed_reader_fails_its_recording_alone(beside: Beside, talks: list[Path]) -> None:
    recipe = in_pieces()
    other_runs, other_goes_on = threading.Event(), threading.Event()

    def hold_other(_done: float) -> None:
        other_runs.set()
        assert other_goes_on.wait(WAIT_S)

    def kill_mine(_done: float) -> None:
        second = pool.submit(beside.session.transcribe, talks[1], recipe, progress=hold_other)
        started.append(second)
        assert other_runs.wait(WAIT_S)
        (mine,) = [each for each in beside.pool._readers if first in each.readings]
        psutil.Process(mine.pid).kill()

    started: list = []
    with ThreadPoolExecutor(1) as pool:
        first = beside.pool._number + 1
        try:
            with pytest.raises(InferenceProcessCrashed) as caught:
                beside.session.transcribe(talks[0], recipe, progress=kill_mine)
        finally:
            other_goes_on.set()
        assert started[0].result().words
    assert caught.value.code == "recognizer.reader_ended"
    assert caught.value.retryable and caught.value.ready and not caught.value.device_lost
    until(lambda: beside.idle, "nothing that a recording holds")
    assert beside.session.transcribe(talks[0], recipe).words


def test_a_stop_and_a_bad_medium_leave_the_readers_usable(
    beside: Beside, talks: list[Path], tmp_path: Path
) -> None:
    recipe = in_pieces()
    stop = threading.Event()
    with pytest.raises(Cancelled):
        beside.session.transcribe(
            talks[0], recipe, progress=lambda _done: stop.set(), cancelled=stop.is_set
        )
    until(lambda: beside.idle, "nothing that a recording holds")
    with raises(MediaUnavailable, "media.missing"):
        beside.session.transcribe(tmp_path / "missing.wav", recipe)
    with raises(SettingsError, "recognizer.language", language="xx"):
        beside.session.transcribe(talks[0], replace(recipe, language="xx"))
    until(lambda: beside.idle, "nothing that a recording holds")
    assert beside.session.transcribe(talks[0], recipe).words


def test_a_short_request_comes_first(beside: Beside, short: Path) -> None:
    recipe = replace(options(), urgent=True)
    beside.slots.most_in_use()
    began = time.monotonic()
    beside.session.transcribe(short, recipe)
    batcher = beside.session._batcher
    assert batcher is not None and batcher._urgent_expected_until > began
    assert (
        beside.slots.most_in_use() == 0 and beside.session._urgent_preparations.most_in_use() == 1
    )


def test_a_lost_device_is_named(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb.asr import engines

    trouble = tmp_path / "trouble"
    trouble.write_text("1")
    monkeypatch.setenv(FAILURES_ENV, str(trouble))
    monkeypatch.setitem(engines.ENGINES, "whisper", "tests.support.device_trouble:SPEC")
    settings = readers(1)
    pool = ReaderPool(settings)
    with (
        InferenceSession(settings, readers=pool) as session,
        pytest.raises(DeviceLost, match=CUDA_ERROR),
    ):
        session.transcribe(short, options())
    pool.close()


def test_the_other_engine_is_asked_at_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb.asr import engines

    monkeypatch.setitem(engines.ENGINES, "whisper", "tests.support.deaf_engine:SPEC")
    copy = shutil.copytree(DEMO_FOLDER, tmp_path / "copy")
    (talk,) = write_talks(tmp_path / "in", 1, words=30)
    settings = readers(1, repair_engine=f"whisper:{copy}", repair_share=20.0)
    pool = ReaderPool(settings)
    found = []
    with InferenceSession(settings) as alone, InferenceSession(settings, readers=pool) as beside:
        for session in (alone, beside):
            transcript = session.transcribe(talk, options())
            found.append((transcript.words, transcript.windows))
    pool.close()
    methods = [attempt.method for attempt in found[0][1][0].attempts]
    assert methods[-1] == f"engine whisper:{copy}" and len(found[0][0]) >= 5, methods
    assert found[0] == found[1]


@pytest.mark.long
def test_readers_end_with_a_killed_process_of_the_model(short: Path) -> None:
    process = InferenceProcess(readers(1), 1)
    try:
        assert process.transcribe(short, options()).words
        assert process.pid is not None
        model = psutil.Process(process.pid)
        found = [
            each for each in model.children() if "kb.inference.readers.reader" in each.cmdline()
        ]
        assert len(found) == 1
        model.kill()
        until(lambda: not found[0].is_running() or found[0].status() == psutil.STATUS_ZOMBIE)
        assert process.transcribe(short, options()).words
    finally:
        process.close()
