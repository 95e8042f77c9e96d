"""Previews of items: made once, kept beside the library's folders, and swept."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kb.library import Library, LibraryEntry
from kb.library.archive import files_of
from kb.media import previews as media_previews
from kb.pipeline import previews
from kb.service import Service
from kb.settings import get_settings
from tests.support.compose import write_wav
from tests.support.library_pages import HARBOUR, add_item


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    return Service()


def entry_of(service: Service, item_id: str) -> LibraryEntry:
    found = service.library.find(item_id)
    assert found is not None
    return found


def test_a_still_is_a_small_picture_made_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_id = add_item(HARBOUR)
    found = service.items.preview(item_id, "still")
    assert found is not None and len(found) < 20_000
    assert Image.open(io.BytesIO(found)).size == media_previews.STILL_PIXELS
    assert previews.may_have_still(entry_of(service, item_id))

    def again(*_: object) -> bytes:
        raise AssertionError("made twice")

    monkeypatch.setattr(media_previews, "still", again)
    assert service.items.preview(item_id, "still") == found
    names = [name for name, _ in files_of(service.library.home)]
    assert not any(name.startswith(previews.FOLDER) for name in names)  # not in a backup


def test_peaks_have_the_times_of_the_sound(tmp_path: Path) -> None:
    sound = np.zeros(16_000 * 10, np.float32)
    sound[16_000 * 4 : 16_000 * 5] = 0.5 * np.sin(np.arange(16_000) * 0.3)
    sound[16_000 * 8 : 16_000 * 9] = 0.1 * np.sin(np.arange(16_000) * 0.3)
    medium = write_wav(tmp_path / "talk.wav", sound)
    found = json.loads(media_previews.peaks(medium))
    assert abs(found["duration_s"] - 10.0) < 0.1
    bars = np.array(found["peaks"])
    at = np.linspace(0, 10, len(bars), endpoint=False)
    assert bars.max() == 100 and bars[(at > 4.1) & (at < 4.9)].min() > 90
    assert 35 < bars[(at > 8.1) & (at < 8.9)].mean() < 55  # the root of a fifth
    assert bars[(at > 0.5) & (at < 3.5)].max() == 0
    assert media_previews.still(medium, 0.0) == b""


def test_a_medium_without_one_is_asked_once(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\x00" * 5000)
    assert media_previews.peaks(broken) == b"" and media_previews.still(broken, 1.0) == b""
    item_id = add_item(HARBOUR)
    calls = []

    def none(*_: object) -> bytes:
        calls.append(1)
        return b""

    monkeypatch.setattr(media_previews, "peaks", none)
    assert service.items.preview(item_id, "peaks") is None
    assert service.items.preview(item_id, "peaks") is None and len(calls) == 1
    assert service.items.preview("file:000000000000", "peaks") is None


def test_a_link_out_of_the_folder_has_no_preview(service: Service, tmp_path: Path) -> None:
    item_id = add_item(HARBOUR)
    entry = entry_of(service, item_id)
    assert entry.media_path is not None
    outside = tmp_path / "secret.mp4"
    outside.write_bytes(HARBOUR.read_bytes())
    entry.media_path.unlink()
    entry.media_path.symlink_to(outside)
    assert service.items.preview(item_id, "still") is None


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs rights to refuse")
def test_a_library_that_can_only_be_read_shows_them(service: Service) -> None:
    item_id = add_item(HARBOUR)
    service.library.home.chmod(0o500)
    try:
        assert service.items.preview(item_id, "still")
    finally:
        service.library.home.chmod(0o700)


def test_previews_of_removed_media_are_swept(service: Service) -> None:
    item_id = add_item(HARBOUR)
    entry = entry_of(service, item_id)
    for kind in previews.KINDS:
        assert service.items.preview(item_id, kind)
    library: Library = service.library
    assert previews.sweep(library, {entry.sha256}) == 0
    assert previews.sweep(library, {"other"}) == 2
    assert not list((library.home / previews.FOLDER).iterdir())
    gone = replace(entry, media_path=None)
    assert previews.preview(library, gone, "still") is None
    assert not previews.may_have_still(gone)
