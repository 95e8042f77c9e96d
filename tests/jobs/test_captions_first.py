"""Captions first: they are searchable before the download, and the transcript replaces them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kb.cli import run
from kb.errors import KBError
from kb.options import RunOptions
from kb.settings import get_settings
from kb.sources.youtube.items import placeholder_item
from tests.fakes.media import FakeMedia
from tests.support.compose import WordBank, compose, random_plan, write_wav
from tests.support.workers import Lab


def stamp(seconds: float) -> str:
    return f"00:{int(seconds) // 60:02d}:{seconds % 60:06.3f}"


def vtt(words: list[tuple[str, float, float]]) -> str:
    """Return subtitles with three words a cue, at the times of the words."""
    cues = [words[n : n + 3] for n in range(0, len(words), 3)]
    return "WEBVTT\n\n" + "".join(
        f"{stamp(cue[0][1])} --> {stamp(cue[-1][2])}\n{' '.join(w for w, _, _ in cue)}\n\n"
        for cue in cues
    )


@pytest.mark.slow
@pytest.mark.long
def test_captions_stand_in_until_the_transcript_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def kb(lab: Lab, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Return the output and the error output of `kb` in this process."""
        for name, value in lab.values.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        capsys.readouterr()
        assert run(list(arguments)) == code
        printed = capsys.readouterr()
        return printed.out, printed.err

    bank = WordBank.load()
    rng = np.random.default_rng(5)
    said = compose(bank, random_plan(bank, 14, rng), rng=rng)
    wav = write_wav(tmp_path / "talk.wav", said).read_bytes()
    true, false = "truecaption", "falsewords1"
    with FakeMedia(wav, content_type="audio/wav") as site:
        # The first medium has correct captions, the second has those of a different talk.
        site.captions[true] = vtt([*said.words, ("zeppelin", said.seconds, said.seconds + 0.4)])
        site.captions[false] = vtt([(f"other{n}x", n * 0.6, n * 0.6 + 0.5) for n in range(14)])
        site.bodies[false] = wav + b"\0\0" * 800  # different content, so a different medium
        for name in (true, false):
            site.script[name] = [500]  # the download of the medium fails for now
        with Lab(
            tmp_path / "lab", YT_WATCH_URL=site.watch_url, KB_DOWNLOAD_PAUSE_S="0",
            KB_DOWNLOAD_PAUSE_MAX_S="0", KB_DOWNLOAD_ATTEMPTS="1", KB_DOWNLOAD_RETRIES="0",
            KB_SINKS="local,folder",
        ) as lab:  # fmt: skip
            ids = [f"youtube:{true}", f"youtube:{false}"]
            items = [placeholder_item(name) for name in (true, false)]
            lab.start()
            lab.jobs.submit(items, RunOptions(captions_first=True))

            def hits(query: str) -> list[Any]:
                try:
                    return [h for h in lab.service.search.run(query).hits if h.item_id == ids[0]]
                except KBError:
                    return []  # nothing is indexed yet

            lab.wait(lambda: hits("zeppelin"), "the captions in the index")
            lab.wait(lambda: lab.service.items.captions(ids[1]), "those of the second")
            (hit,) = hits("zeppelin")
            assert hit.tier == "captions by people"
            assert hit.deep_link.startswith(f"https://youtu.be/{true}?t=")
            found = json.loads(kb(lab, "search", "zeppelin", "--json")[0])["hits"][0]
            assert found["tier"] == "captions by people"
            text, printed = kb(lab, "show", true)
            assert "zeppelin" in text and "until the transcript" in printed
            document = json.loads(kb(lab, "show", true, "--json")[0])
            assert document["transcript"] is None
            assert document["captions"]["engine"] == "captions"
            # Captions are not final: they are not exported or sent, and there is no transcript.
            assert lab.service.items.entry(ids[0]).transcript_path is None
            assert "no transcript yet" in kb(lab, "export", true, "--format", "txt", code=1)[1]
            assert not list((lab.home / "markdown").glob("*.md"))
            assert lab.service.search.reindex().problems == ()
            assert hits("zeppelin")[0].tier == "captions by people"

            for name in (true, false):
                site.script[name] = ["ok"]
            lab.wait(
                lambda: (
                    {s.state for s in lab.states(ids).values()} <= {"waiting", "failed", "done"}
                ),
                "an end of the attempts",
            )
            lab.jobs.retry(ids)
            done = lab.wait_finished(ids)
            assert {s.state for s in done.values()} == {"done"}, done
            # Each publication is noted beside its medium, by a file that is replaced.
            counts = lab.jobs.outbox.counts
            lab.wait(
                lambda: set(counts().get("folder", {}).items()) == {("synced", 2)}, "the folder"
            )
            # The transcript has replaced the captions everywhere.
            assert hits("zeppelin") == []
            word = lab.service.items.transcript(ids[0]).words[0].text
            assert [h.tier for h in hits(word)] == [""]
            assert lab.service.items.captions(ids[0]) is None
            names = [p.name for p in lab.library.media_folder.iterdir() if true in p.name]
            assert sorted(n.rsplit(true, 1)[1] for n in names) == [
                ".en.vtt", ".json", ".transcript.json", ".txt", ".webm",
            ]  # fmt: skip
            # The captions are the witness of the transcript: only the first ones agree with it.
            agreeing, other = (lab.service.items.transcript(item_id) for item_id in ids)
            assert agreeing.witness is not None and other.witness is not None
            assert agreeing.witness.agreement > 0.8
            assert not [s for w in agreeing.windows for s in w.flags if s.name == "witness"]
            assert other.witness.agreement < 0.2
            assert [s for w in other.windows for s in w.flags if s.name == "witness"]
            assert other.coverage.grade == "C"
            assert "witness" in {
                reason for d in lab.service.review.item(ids[1]).spans for reason in d.reasons
            }
            texts = [p.read_text("utf-8") for p in (lab.home / "markdown").glob("*.md")]
            assert len(texts) == 2
            assert not any("zeppelin" in text or "other3x" in text for text in texts)
