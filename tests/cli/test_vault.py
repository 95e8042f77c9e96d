"""A folder of Markdown files in a person's hands: their notes stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.service import Service
from kb.settings import get_settings
from tests.cli.test_writers import Place, contents
from tests.cli.test_writers import library as library
from tests.cli.test_writers import place as place


@pytest.fixture
def vault(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KB_FOLDER_SINK", str(place.out))
    get_settings.cache_clear()
    return place.out


@pytest.mark.slow
def test_a_note_that_a_person_changed_stays(place: Place, vault: Path) -> None:
    command = ["publish", place.items[0], "--to", "folder"]
    place.kb(*command)
    (path,) = vault.iterdir()
    place.kb(*command)
    note = path.read_bytes() + b"\n## My own notes\n\nlisten again\n"
    path.write_bytes(note)
    place.kb(*command)  # the text is the one that was published: nothing is to be written
    assert path.read_bytes() == note
    service = Service()
    before = service.items.transcript(place.items[0]).segments[0].text
    service.revisions.edit(place.items[0], 0, "another text")
    try:
        said = place.kb(*command, code=1)
        assert str(path) in said and "--overwrite" in said
        assert path.read_bytes() == note and len(list(vault.iterdir())) == 1
        place.kb(*command, "--overwrite")
        assert b"another text" in path.read_bytes() and b"My own notes" not in path.read_bytes()
    finally:
        service.revisions.edit(place.items[0], 0, before)
        service.close()
    place.kb(*command)
    assert len(list(vault.iterdir())) == 1


def test_overwriting_is_for_a_folder(place: Place) -> None:
    assert "--overwrite" in place.kb("publish", place.items[0], "--overwrite", code=2)


@pytest.mark.parametrize("folder", ["media", "trash", ""])
def test_a_vault_in_the_library_s_own_folders_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("KB_FOLDER_SINK", str(place.home / folder))
    get_settings.cache_clear()
    before = sorted(contents(place.home))
    said = place.kb("publish", place.items[0], "--to", "folder", code=1)
    assert "KB_FOLDER_SINK" in said
    new = {each for each in contents(place.home) if each not in before}
    assert new <= {"logs/audit.jsonl"}  # the attempt is recorded, for the first time in some order
