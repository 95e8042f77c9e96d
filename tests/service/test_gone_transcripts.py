"""Items whose transcript was deleted from the folder, looked for one by one or all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.jobs.queue.left_out import FEW
from kb.library.metadata import TRANSCRIPT_SUFFIX
from kb.service import Service
from tests.support.library_pages import HARBOUR, add_item
from tests.support.page_library import home

__all__ = ["home"]


def states(service: Service, ids: list[str]) -> list[str]:
    found = {each.id: each.state for each in service.items.statuses(ids=ids)}
    return [found[item_id] for item_id in ids]


def transcript_of(service: Service, item_id: str) -> Path:
    path = service.items.entry(item_id).transcript_path
    assert path is not None
    assert path.name.endswith(TRANSCRIPT_SUFFIX)
    return path


@pytest.mark.parametrize("known", [True, False], ids=["found before", "in a new process"])
@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
def test_a_deleted_transcript_is_noticed(home: Path, count: int, known: bool) -> None:
    samples = sorted(HARBOUR.parent.glob("*.mp4"))
    ids = [add_item(samples[0], id=f"file:{n:012x}", title=f"Talk {n}") for n in range(count)]
    service = Service()
    assert states(service, ids) == ["done"] * count
    transcript_of(service, ids[0]).unlink()
    if not known:
        service.close()
        service = Service()
    assert states(service, ids) == ["failed", *["done"] * (count - 1)]
    assert states(service, ids[:1]) == ["failed"]
    service.close()


def test_damaged_metadata_change_no_state(home: Path) -> None:
    item_id = add_item()
    service = Service()
    path = transcript_of(service, item_id)
    metadata = path.with_name(path.name.replace(TRANSCRIPT_SUFFIX, ".json"))
    metadata.write_text("{", encoding="utf-8")
    assert states(service, [item_id]) == ["done"]
    service.close()


def test_a_folder_that_is_away_changes_no_state(home: Path) -> None:
    item_id = add_item()
    service = Service()
    media = service.library.media_folder
    media.rename(media.with_name("away"))
    assert states(service, [item_id]) == ["done"]
    service.close()
