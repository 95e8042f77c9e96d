"""The commands list, tag and searches, and the filters of search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.cli import run
from kb.database import search_alerts
from kb.service import Service
from kb.settings import get_settings
from tests.support.library_pages import ROOT, add_item

SAMPLES = sorted((ROOT / "samples").glob("*.mp4"))


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Make a library with two talks of the bay and one of the hills; their ids by title."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    found = {}
    for number, sample in enumerate(SAMPLES):
        channel, extra = ("Bay Talks", {"channel_id": "UCbay"}) if number < 2 else ("Hills", {})
        made = add_item(sample, channel=channel, extra=extra, published=f"2026-0{number + 1}-10")
        found[sample.stem] = made
    yield found
    get_settings.cache_clear()


def kb(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert run(list(arguments)) == code
    printed = capsys.readouterr()
    return printed.out, printed.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kb(capsys, *arguments, "--json")[0])
    return found


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    return [each["id"] for each in document(capsys, "list", *arguments)["items"]]


def test_the_list_is_filtered_and_sorted(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    by_date = list(ids.values())
    assert listed(capsys) == by_date[::-1]
    assert listed(capsys, "--reverse") == by_date
    assert listed(capsys, "--channel", "bay talks") == by_date[1::-1]
    assert listed(capsys, "--channel", "ucBAY", "--channel", "hills") == by_date[::-1]
    assert listed(capsys, "--after", "2026-02", "--before", "2026-02") == [by_date[1]]
    assert listed(capsys, "--before", "2026-02-10") == by_date[1::-1]  # that day too
    assert listed(capsys, "--language", "English", "--channel", "Hills") == [by_date[2]]
    assert listed(capsys, "--language", "de") == []
    assert listed(capsys, "--sent", "not_sent", "--state", "done", "--doubts", "clear")
    assert listed(capsys, "--grade", "f") == []
    _, err = kb(capsys, "list", "--channel", "@bay")
    assert "none of 3 items" in err and "kb list --facets" in err
    _, err = kb(capsys, "search", "harbour", "--channel", "@bay")
    assert "kb list --facets" in err
    out, err = kb(capsys, "list", "-n", "1")
    assert by_date[2] in out and by_date[0] not in out and "3 items" in err
    out, _ = kb(capsys, "list", "--facets")
    assert "channel: Bay Talks (2), Hills (1)" in out
    _, err = kb(capsys, "list", "--sort", "size", code=2)
    assert "size" in err


def test_tags_are_added_removed_and_filtered_by(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, _ = ids.values()
    made = document(capsys, "tag", first, second, "--add", "Interview", "-a", "draft")
    assert made["changed"] == [first, second]
    assert document(capsys, "tag", first, "-r", "DRAFT")["items"] == [
        {"id": first, "tags": ["Interview"]}
    ]
    assert document(capsys, "tag")["tags"] == {"draft": 1, "Interview": 2}
    assert listed(capsys, "--tag", "interview") == [second, first]
    assert document(capsys, "tag", first)["changed"] == []
    assert "Interview  2 items" in kb(capsys, "tag")[0]
    _, err = kb(capsys, "tag", "--add", "x", code=2)
    assert "kb tag ID" in err
    kb(capsys, "tag", "file:000000000000", "--add", "x", code=2)


def test_hits_are_those_of_filtered_items(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    harbour = ids["The harbour in winter"]
    kb(capsys, "tag", harbour, "--add", "sea")

    def items(*filters: str) -> set[str]:
        found = document(capsys, "search", "harbour", *filters)
        return {each["item_id"] for each in found["hits"] if not each["missing"]}

    assert harbour in items() and items("--tag", "SEA") == {harbour}
    assert items("--tag", "land") == set() and items("--language", "de") == set()
    assert harbour in items("--language", "en", "--grade", "A", "--doubts", "clear")
    _, err = kb(capsys, "search", "harbour", "--remote", "--tag", "sea", code=2)
    assert "--tag" in err


def test_a_search_is_saved_run_changed_and_removed(
    ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    harbour = ids["The harbour in winter"]
    channel = "Bay Talks" if list(ids).index("The harbour in winter") < 2 else "Hills"
    made = document(
        capsys, "searches", "add", "Harbours", "harbour", "--channel", channel.upper(),
        "--alerts", "new",
    )  # fmt: skip
    assert made["filters"] == {"channel": [channel]} and made["alerts"] == "new"
    out, _ = kb(capsys, "searches")
    assert "Harbours" in out and f"channel {channel}" in out
    hits = document(capsys, "searches", "run", "harbours")["hits"]
    assert {each["item_id"] for each in hits if not each["missing"]} == {harbour}
    assert harbour not in str(document(capsys, "searches", "new")["new"])
    service = Service()
    with service.queue.database.begin() as connection:
        service.queue.database.insert_if_missing(
            connection, search_alerts, search=made["id"],
            item_id=harbour, at=1.0, hits=2, at_s=7.5,
        )  # fmt: skip
    service.close()
    (new,) = document(capsys, "searches", "new")["new"]
    assert (new["item_id"], new["hits"], new["seen"]) == (harbour, 2, False)
    assert "0:07" in kb(capsys, "searches", "new", "--seen")[0]
    assert document(capsys, "searches", "new")["new"] == []
    assert document(capsys, "searches", "new", "harbours", "--all")["new"][0]["seen"]
    changed = document(
        capsys, "searches", "change", "Harbours", "--name", "Ports", "--alerts", "off"
    )  # fmt: skip
    assert (changed["name"], changed["alerts"]) == ("Ports", "off")
    _, err = kb(capsys, "searches", "run", "Harbours", code=2)
    assert "Ports" in err
    kb(capsys, "searches", "add", "PORTS", "x", code=2)
    kb(capsys, "searches", "add", "Other", "x", "--alerts", "loud", code=2)
    kb(capsys, "searches", "add", "Other", "x", "--mode", "loud", code=2)
    kb(capsys, "searches", "remove", "ports")
    assert document(capsys, "searches")["searches"] == []
    assert "kb searches add" in kb(capsys, "searches")[1]
    assert listed(capsys) == list(ids.values())[::-1]
