"""The same sound again through the queue, a worker, the commands and the page's service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import join, write_wav
from tests.support.same_sound import coded, talk
from tests.support.workers import Lab

FIRST, NEW = talk(60, 21), talk(20, 22)


def shown(lab: Lab, title: str) -> dict[str, Any]:
    (status,) = [each for each in lab.service.items.statuses() if each.title == title]
    found: dict[str, Any] = json.loads(lab.kb("show", status.id, "--json").stdout)
    return found


def sources(found: dict[str, Any]) -> set[str | None]:
    return {segment.get("from") for segment in found["transcript"]["segments"]}


@pytest.mark.long
def test_an_upload_again_with_new_speech(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab", KB_STEPS="sound") as lab:
        first = write_wav(tmp_path / "first.wav", FIRST)
        more = write_wav(tmp_path / "more.wav", join(FIRST, NEW))
        longer = coded(more, tmp_path / "longer.mp3", "-b:a", "64k")
        lab.kb("ingest", str(first), "--wait")
        lab.kb("ingest", str(longer), "--wait")
        before = shown(lab, "first")
        found = shown(lab, "longer")
        assert sources(before) == {None} and sources(found) == {before["id"], None}
        said = [w["text"] for s in found["transcript"]["segments"] for w in s["words"]]
        assert said == [word for word, _, _ in (*FIRST.words, *NEW.words)]
        (link,) = found["same_sound"]
        assert (link["id"], link["kind"], link["gone"]) == (before["id"], "from", False)
        assert [each["kind"] for each in before["same_sound"]] == ["again"]
        assert f"From first ({before['id']})" in lab.kb("show", found["id"]).stderr
        # The fingerprint was made before the words: no step is left.
        assert not lab.service.items.status(found["id"]).steps
        # Read again as a whole, and then without the twin.
        lab.kb("ingest", str(longer), "--again", "--wait")
        assert sources(shown(lab, "longer")) == {None}
        lab.kb("reindex")
        assert [each["kind"] for each in shown(lab, "longer")["same_sound"]] == ["from"]
        lab.kb("remove", before["id"], "--yes")
        assert shown(lab, "longer")["same_sound"] == []
