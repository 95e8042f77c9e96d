"""`kb transcribe ADDRESS`: the words of one recording on the network, and nothing kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.channel import Site

pytestmark = pytest.mark.slow


def test_an_address_is_read_and_nothing_is_kept(tmp_path: Path) -> None:
    with Site(tmp_path, 1, spare=0) as site, site.lab(tmp_path / "lab") as lab:
        video_id = site.channel.video_id(0)
        address = f"https://www.youtube.com/watch?v={video_id}"
        heard = json.loads(lab.kb("transcribe", address, "--json", check=None).stdout)
        said = " ".join(segment["text"] for segment in heard["segments"]).split()
        assert len(set(said) & set(site.words[video_id])) > len(set(site.words[video_id])) / 2

        out = tmp_path / "out"
        for _ in range(2):  # its own text is replaced
            lab.kb("transcribe", address, "-o", str(out), check=None)
        assert [path.suffix for path in out.iterdir()] == [".txt"]

        several = lab.kb(
            "transcribe", "https://www.youtube.com/playlist?list=PLnothing", check=None
        )
        assert several.returncode in (1, 2) and "Traceback" not in several.stderr
        assert lab.service.items.statuses() == [] and not list(lab.home.glob("media/*"))
