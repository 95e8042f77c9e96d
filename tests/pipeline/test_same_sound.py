"""The same sound again, on real sound through the demo recognizer: what is linked and taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kb.asr.stitching import keep_words
from kb.inference.session import InferenceSession
from kb.library.extras import Extras
from kb.options import RunOptions
from kb.pipeline import same_sound, stages
from kb.pipeline.publish_record import facts_of
from kb.settings import Settings
from kb.storage.places import remove_tree
from kb.transcript import render
from kb.types import MediaItem, Transcript
from tests.support.compose import SAMPLE_RATE, Composition, chords, join, silence, without_speech
from tests.support.same_sound import SoundLibrary, coded, talk

pytestmark = pytest.mark.slow

FIRST, NEW, OTHER = talk(120, 1), talk(70, 2), talk(70, 3)
SHORT = talk(40, 5)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceSession]:
    home = tmp_path_factory.mktemp("model")
    with InferenceSession(Settings(home=home, model="demo", cpu_threads=1)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def one_talk(session: InferenceSession, tmp_path_factory: pytest.TempPathFactory) -> SoundLibrary:
    made = SoundLibrary(tmp_path_factory.mktemp("one"), session)
    made.item(made.write(FIRST), "first")
    return made


@pytest.fixture
def shelf(tmp_path: Path, one_talk: SoundLibrary) -> SoundLibrary:
    """A library with one talk, `first`."""
    return one_talk.copy(tmp_path)


def words(found: Transcript) -> list[str]:
    return [word.text.strip(".,!?").lower() for word in found.words]


def spoken(said: Composition) -> list[str]:
    return [word for word, _, _ in said.words]


def sources(found: Transcript) -> set[str | None]:
    return {segment.taken_from for segment in found.segments}


def seconds_off(found: Transcript, said: Composition) -> float:
    """Return the largest difference between the starts of the words and the true ones."""
    starts = [start_s for _, start_s, _ in said.words]
    return max(abs(w.start_s - s) for w, s in zip(found.words, starts, strict=True))


def kinds(shelf: SoundLibrary, name: str) -> list[tuple[str, str]]:
    return [(link.item_id, link.kind) for link in shelf.links(name)]


def test_an_upload_again_needs_no_recognizer(shelf: SoundLibrary) -> None:
    path = shelf.write(FIRST, "-b:a", "32k", suffix="m4a")
    entry, found = shelf.item(path, "again")
    assert words(found) == spoken(FIRST)
    assert found.timing.asr_s == 0.0 and sources(found) == {"file:first"}
    assert found.coverage.ratio == 1.0 and found.grade == "A"
    assert entry.transcribed["taken"][0]["title"] == "first"
    assert kinds(shelf, "again") == [("file:first", "from")]
    assert kinds(shelf, "first") == [("file:again", "again")]
    # Both within one second, and after the clock was set back: the words tell which was first.
    source = shelf.library.find("file:first")
    assert source is not None
    for day in ("2026-01-01", "2027-01-01"):
        for each in (entry, source):
            at = f"{'2026-01-01' if each is entry else day}T00:00:00Z"
            shelf.library.write_metadata(each.item, {"transcribed": {**each.transcribed, "at": at}})
        assert kinds(shelf, "again") == [("file:first", "from")]
        assert kinds(shelf, "first") == [("file:again", "again")]


def test_new_speech_in_the_middle_and_at_the_end_is_all_there(shelf: SoundLibrary) -> None:
    cut = next(end for _, _, end in FIRST.words if end > 40) + 0.05
    half = round(cut * SAMPLE_RATE)
    before = Composition(FIRST.audio[:half], [w for w in FIRST.words if w[2] <= cut], "en")
    rest = [(w, a - half / SAMPLE_RATE, b - half / SAMPLE_RATE) for w, a, b in FIRST.words[:]]
    after = Composition(FIRST.audio[half:], [w for w in rest if w[1] >= -0.03], "en")
    assert min(NEW.seconds, OTHER.seconds) > 40
    said = join(before, NEW, after, OTHER, pause=0.0)
    _, found = shelf.item(shelf.write(said), "longer")
    assert words(found) == spoken(said)
    assert seconds_off(found, said) < 0.3
    assert sources(found) == {"file:first", None} and found.timing.asr_s > 0
    # No word of the new speech is from elsewhere.
    for segment in found.segments:
        if segment.taken_from is not None:
            middle_s = (segment.start_s + segment.end_s) / 2
            own = cut < middle_s < cut + NEW.seconds or middle_s > said.seconds - OTHER.seconds
            assert not own
    assert found.coverage.ratio == 1.0
    assert kinds(shelf, "longer") == [("file:first", "contains")]


def test_a_cut_has_the_times_of_its_own(shelf: SoundLibrary) -> None:
    path = coded(shelf.write(FIRST), shelf.folder / "cut.m4a", "-ss", "20", "-t", "40")
    _, found = shelf.item(path, "cut")
    (link,) = shelf.links("cut")
    assert link.kind == "from"
    assert link.stretches[0].other_s - link.stretches[0].start_s == pytest.approx(20.0, abs=0.05)
    inside = [w for w in FIRST.words if w[1] > 20.5 and w[2] < 59.5]
    taken = [w for s in found.segments if s.taken_from for w in s.words]
    assert len(taken) >= 0.9 * len(inside)
    for word in taken:
        near = min(FIRST.words, key=lambda w: abs(w[1] - word.start_s - 20))
        assert abs(near[1] - word.start_s - 20) < 0.3


def test_a_compilation_contains_its_parts(shelf: SoundLibrary) -> None:
    shelf.item(shelf.write(OTHER), "other")
    said = join(NEW, OTHER, FIRST)
    _, found = shelf.item(shelf.write(said), "best of")
    assert sorted(kinds(shelf, "best of")) == [
        ("file:first", "contains"),
        ("file:other", "contains"),
    ]
    assert words(found) == spoken(said)
    assert sources(found) == {"file:first", "file:other", None}


def test_two_talks_with_one_intro_are_two(shelf: SoundLibrary) -> None:
    intro = without_speech(FIRST.audio[: 10 * SAMPLE_RATE])
    assert shelf.known(shelf.write(join(intro, NEW)), "same intro") is None
    assert kinds(shelf, "same intro") == []


def test_a_faster_one_is_doubtful_and_nothing_is_taken(shelf: SoundLibrary) -> None:
    path = coded(shelf.write(FIRST), shelf.folder / "fast.m4a", "-af", "atempo=1.04")
    assert shelf.known(path, "faster") is None
    assert kinds(shelf, "faster") == [("file:first", "doubtful")]


def test_silence_and_music_are_no_evidence(shelf: SoundLibrary) -> None:
    """A long pause and a held tone that both have, and one bed of music under two talks."""
    hum = np.sin(np.arange(20 * SAMPLE_RATE) * 2 * np.pi * 220 / SAMPLE_RATE) * 0.2
    quiet = join(without_speech(silence(60)), without_speech(hum.astype(np.float32)))
    shelf.known(shelf.write(join(FIRST, quiet)), "pause")
    shelf.known(shelf.write(join(OTHER, quiet)), "pause too")
    assert kinds(shelf, "pause too") == []
    bed = chords(40, np.random.default_rng(1)) * 0.05
    for name, said in (("bed", NEW), ("bed too", talk(70, 4))):
        mixed = said.audio[: bed.size] + bed
        assert shelf.known(shelf.write(mixed.astype(np.float32)), name) is None
    assert kinds(shelf, "bed too") == []


def test_what_is_never_taken_over(shelf: SoundLibrary) -> None:
    """Words of other settings, those of a held item, and those of a version before."""
    path = shelf.write(FIRST, "-b:a", "48k")
    for name, options in {
        "language": {"language": "en"},
        "chunks": {"chunk_s": 20.0},
        "everything": {"detect_speech": False},
        "all tracks": {"track": "all"},
    }.items():
        assert shelf.known(path, name, **options) is None, name
        assert ("file:first", "from") in kinds(shelf, name)
    assert shelf.known(path, "again") is not None
    entry = shelf.library.find("file:first")
    assert entry is not None
    for changes in ({"state": "held"}, {"transcribed": {**entry.transcribed, "words_key": None}}):
        shelf.library.amend("file:first", {"state": "done"})
        shelf.library.amend("file:first", changes)
        assert shelf.known(path, "again") is None


def test_the_prompt_and_the_version_decide_about_words(
    session: InferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = session.transcription_options(RunOptions(model="demo"))
    settings = Settings(model="demo")
    key = same_sound.words_key(options, settings)
    named = replace(options, hotwords=("Kubernetes",))
    assert same_sound.words_key(named, settings) != key
    monkeypatch.setattr(same_sound, "__version__", "0.0.1")
    assert same_sound.words_key(options, settings) != key


def test_the_source_is_named_for_readers_unless_it_is_switched_off(shelf: SoundLibrary) -> None:
    _, found = shelf.item(shelf.write(FIRST, "-b:a", "48k"), "again")
    assert found.words_from == ("file:first",)
    item = MediaItem("file:again", "file", "", "again", "2026-01-31")
    assert "- Words from: file:first" in render(found, "md", item=item)
    assert facts_of(found).words_from == "file:first"
    plain = found.without_sources()
    assert "Words from" not in render(plain, "md", item=item)
    assert facts_of(plain).words_from == "" and plain.words == found.words


LACKING = {  # seconds of the talk that the other transcript has words for, and its language
    "no word": (0.0, "und"),
    "the first sentences": (8.0, "en"),
    "all": (60.0, "en"),
}


@pytest.mark.parametrize("name", LACKING)
def test_speech_without_a_known_word_is_read(
    name: str, session: InferenceSession, tmp_path: Path
) -> None:
    """The other recording may be music to its recognizer, and this one is speech to ours."""
    until_s, language = LACKING[name]
    made = SoundLibrary(tmp_path, session)
    path = made.write(SHORT)
    entry, found = made.item(path, "earlier")
    segments = keep_words(found.segments, before_s=until_s)
    lacking = replace(found, segments=segments, language=language)
    key = entry.transcribed[same_sound.WORDS_KEY]
    stages.write(made.library, entry.item, lacking, 0.0, facts={same_sound.WORDS_KEY: key})
    _, later = made.item(path, "later")
    assert words(later) == spoken(SHORT)
    assert later.language == "en" and later.grade == "A"


BED = (chords(50, np.random.default_rng(1)) * 0.3).astype(np.float32)
TRACKS = {  # tracks and request of an earlier item and of a new one; whether words are taken
    "speech behind the same music": ([BED, SHORT], "", [BED, NEW], "", False),
    "the earlier one has the words of all": ([SHORT, NEW], "all", [SHORT], "", False),
    "the earlier one has those of another": ([SHORT, NEW], "2", [SHORT], "", False),
    "the same one of two": ([SHORT, NEW], "", [SHORT, OTHER], "", True),
    "the one of two": ([SHORT, NEW], "1", [SHORT], "", True),
    "the second of two": ([SHORT], "", [NEW, SHORT], "2", True),
}


@pytest.mark.parametrize("name", TRACKS)
def test_words_are_of_the_track_that_is_alike(
    name: str, session: InferenceSession, tmp_path: Path
) -> None:
    """A recording of music or of a game on one track, and another voice on the second one."""
    earlier, wanted, later, own, is_taken = TRACKS[name]
    made = SoundLibrary(tmp_path, session)
    made.item(several(made, earlier), "earlier", track=wanted)
    _, found = made.item(several(made, later), "later", track=own)
    said = later[int(own or 1) - 1]
    said = said if isinstance(said, Composition) else NEW
    assert words(found) == spoken(said)
    assert sources(found) == ({"file:earlier"} if is_taken else {None})


def several(shelf: SoundLibrary, tracks: Sequence[Composition | np.ndarray]) -> Path:
    """Write a medium with several sound tracks."""
    first, *others = (shelf.write(each) for each in tracks)
    inputs = [part for path in others for part in ("-i", str(path))]
    maps = [part for number in range(len(tracks)) for part in ("-map", f"{number}:a")]
    return coded(first, first.with_suffix(".m4a"), *inputs, *maps, "-b:a", "64k")


def test_a_removed_twin_leaves_its_words(shelf: SoundLibrary) -> None:
    entry, before = shelf.item(shelf.write(FIRST, "-b:a", "48k"), "again")
    source = shelf.library.find("file:first")
    assert source is not None
    for path in (source.media_path, source.transcript_path, source.text_path):
        assert path is not None
        path.unlink()
    shelf.library.path(source, ".json").unlink()
    remove_tree(Extras(shelf.library).folder / source.stem)
    (link,) = same_sound.links(shelf.library, entry).links
    assert link.gone and link.title == "first" and link.taken_s > 0
    assert words(shelf.item(shelf.write(FIRST), "third")[1]) == words(before)
