"""Profiles of voices: suggested, confirmed once, corrected by a name taken away, and deleted."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kb.cli import run
from kb.enrich import get_step
from kb.enrich.base import StepInput
from kb.errors import UsageError
from kb.jobs.documents import build_sync_item
from kb.library.extras import Extras
from kb.library.trash import Trash
from kb.media import sha256_of
from kb.pipeline import enrichment, voices
from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.settings import get_settings
from kb.transcript import FORMATS
from tests.support.raising import raises
from tests.support.spoken_items import (
    ITEM,
    SHA,
    TURNS,
    numbered,
    opened,
    panel,
    write,
    write_turns,
    write_voices,
)
from tests.support.voices import VOICES, require_weights, two_voices

ANNA, BEN, CARL = (1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)
OTHER = numbered(1)


def near(voice: tuple[float, ...], cosine: float) -> tuple[float, ...]:
    """Return a unit vector with this cosine to a voice; the rest is like no other one."""
    return (*(cosine * value for value in voice[:3]), float(np.sqrt(1 - cosine**2)))


def add(service: Service, item: object = ITEM, **labels: tuple[float, ...]) -> None:
    write(service, panel(), item)  # type: ignore[arg-type]
    write_turns(service, TURNS, item)  # type: ignore[arg-type]
    found = {f"Speaker {label[1:]}": vector for label, vector in labels.items()}
    write_voices(service, found, item)  # type: ignore[arg-type]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Two recordings: Anna, Ben and Carl in one, Anna and an unknown voice in the other."""
    made = opened(tmp_path / "home", KB_VOICE_PROFILES="true")
    add(made, S1=ANNA, S2=BEN, S3=CARL)
    add(made, OTHER, S1=near(ANNA, 0.9), S2=near(BEN, 0.84), S3=(0.0, 0.0, 0.0, -1.0))
    yield made
    made.close()


def seen(service: Service, item_id: str = OTHER.id) -> dict[str, tuple[str, float | None]]:
    """Return what is suggested for each speaker of an item."""
    return {each.shown: (each.suggested, each.similarity) for each in service.speakers.of(item_id)}


NOTHING = {f"Speaker {number}": ("", None) for number in (1, 2, 3)}


def test_a_name_is_suggested_where_the_voice_is_sure(service: Service) -> None:
    assert seen(service) == NOTHING
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(ITEM.id, "S2", "Ben")  # 0.84 is not enough
    assert seen(service) == {**NOTHING, "Speaker 1": ("Anna", 0.9)}
    # A suggestion is shown as one: it is in no text.
    assert "Anna" not in service.items.export(OTHER.id, "vtt")


def test_one_confirmation_lets_the_others_count(service: Service) -> None:
    add(service, numbered(2), S1=BEN, S2=near(ANNA, 0.95), S3=CARL)
    service.speakers.name(ITEM.id, "S1", "Anna")
    report = service.voices.confirm(OTHER.id, "S1")
    assert report.named == (numbered(2).id,)
    assert "<v Anna>" in service.items.export(OTHER.id, "vtt")
    assert [each.shown for each in service.speakers.of(numbered(2).id)][1] == "Anna"
    # A later recording is named by the worker, at the end of the step.
    add(service, numbered(3), S1=CARL, S2=ANNA, S3=BEN)
    assert voices.name_known(service.library, numbered(3).id) == ("Anna",)
    assert "<v Anna>" in service.items.export(numbered(3).id, "vtt")
    # One that is published by then costs credits: a person decides.
    add(service, numbered(4), S1=CARL, S2=ANNA, S3=BEN)
    for status in ("synced", "syncing"):
        service.library.amend(numbered(4).id, {"published": {"odin": {"status": status}}})
        assert voices.name_known(service.library, numbered(4).id, also_published=False) == ()
        assert "Anna" in seen(service, numbered(4).id)["Speaker 2"]
    # What a base refused, or the local index has, is not published.
    service.library.amend(
        numbered(4).id, {"published": {"odin": {"status": "failed"}, "local": {"status": "synced"}}}
    )
    assert voices.name_known(service.library, numbered(4).id, also_published=False) == ("Anna",)
    # Names that a voice gave are no part of its profile.
    (profile,) = service.voices.list()
    assert profile.items == (ITEM.id, OTHER.id) or profile.items == (OTHER.id, ITEM.id)
    assert profile.is_confirmed


def test_without_a_confirmation_nothing_counts(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    assert voices.name_known(service.library, OTHER.id) == ()
    with raises(UsageError, "voices.unconfirmed"):
        service.voices.apply("Anna")
    assert seen(service)["Speaker 1"] == ("Anna", 0.9)


def test_a_name_taken_away_takes_its_voice_out_of_the_profile(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    before = service.voices.list()[0].vector
    service.speakers.name(ITEM.id, "S3", "Anna")  # a mistake
    assert not np.allclose(service.voices.list()[0].vector, before)
    service.speakers.unname(ITEM.id, "Anna")
    service.speakers.name(ITEM.id, "S1", "Anna")
    assert np.allclose(service.voices.list()[0].vector, before)
    assert seen(service)["Speaker 1"] == ("Anna", 0.9)
    # Another name moves the voice to another profile.
    service.speakers.name(ITEM.id, "Anna", "Ada")
    assert [each.name for each in service.voices.list()] == ["Ada"]
    assert seen(service)["Speaker 1"] == ("Ada", 0.9)


def test_a_confirmation_taken_away_counts_no_more(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.voices.confirm(OTHER.id, "S1")
    service.speakers.unname(OTHER.id, "Anna")
    assert not service.voices.list()[0].is_confirmed
    assert seen(service) == NOTHING  # nor is it suggested there again


def test_a_refused_name_is_not_suggested_again(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.voices.refuse(OTHER.id, "S1")
    assert seen(service) == NOTHING
    # Other labels for the same sound change nothing about it.
    write_turns(service, [(a, b, f"Speaker {9 - int(c[-1])}") for a, b, c in TURNS], OTHER)
    assert {each.suggested for each in service.speakers.of(OTHER.id)} == {""}
    write_turns(service, TURNS, OTHER)
    service.speakers.name(OTHER.id, "S1", "Anna")  # by hand it may be given
    service.speakers.name(OTHER.id, "Anna", "Ada")
    assert "refused" not in service.items.entry(OTHER.id).record["speakers"]


@pytest.mark.parametrize("published", [20, 21])
def test_more_than_twenty_published_items_are_named_with_a_yes_only(
    service: Service, published: int, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for number in range(2, 2 + published):
        add(service, numbered(number), S1=ANNA, S2=BEN, S3=CARL)
        service.library.amend(numbered(number).id, {"published": {"odin": {"status": "synced"}}})
    service.speakers.name(ITEM.id, "S1", "Anna")
    report = service.voices.confirm(OTHER.id, "S1")
    if published == 20:
        assert len(report.named) == 20
        return
    words = len(panel().words)
    cost = 21 * words / 10_000 * service.settings.odin_credits_per_10k_words
    assert (report.named, report.waiting, report.published) == ((), 21, 21)
    assert report.credits == pytest.approx(cost, abs=0.01)
    assert seen(service, numbered(2).id)["Speaker 1"][0] == "Anna"
    monkeypatch.setenv("KB_HOME", str(service.library.home))
    monkeypatch.setenv("KB_VOICE_PROFILES", "true")
    get_settings.cache_clear()
    assert run(["voices", "--apply", "Anna"]) == 0
    assert "21 of them are published" in " ".join(capsys.readouterr().err.split())
    assert run(["voices", "--apply", "Anna", "--yes"]) == 0
    assert all("Anna" in seen(service, numbered(number).id) for number in range(2, 23))


def test_a_speaker_who_is_more_like_another_one_is_not_counted(service: Service) -> None:
    confirmed, hers, third = numbered(2), numbered(3), numbered(4)
    for item, voice in ((confirmed, ANNA), (hers, near(ANNA, 0.9)), (third, near(ANNA, 0.9))):
        add(service, item, S1=voice)
        service.library.amend(item.id, {"published": {"odin": {"status": "synced"}}})
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(hers.id, "S1", "Eva")
    assert seen(service, third.id)["Speaker 1"] == ("Eva", 1.0)
    report = service.voices.confirm(confirmed.id, "S1")
    assert (report.named, report.waiting, report.published) == ((), 0, 0)


def test_off_is_the_default_and_suggests_and_keeps_nothing(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    off = opened(service.library.home)
    assert not off.settings.voice_profiles
    assert seen(off) == NOTHING
    for act in (off.voices.confirm, off.voices.refuse):
        with raises(UsageError, "voices.off"):
            act(OTHER.id, "S1")
    assert off.voices.delete("Anna") == 1  # deletion is always possible
    off.close()


def test_voices_are_deleted_one_by_one_and_all(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(ITEM.id, "S2", "Ben")
    service.voices.confirm(OTHER.id, "S1")
    assert service.voices.delete("Anna") == 2
    assert [each.name for each in service.voices.list()] == ["Ben"]
    assert "<v Anna>" in service.items.export(ITEM.id, "vtt")  # the name stays
    with raises(UsageError, "voices.unknown"):
        service.voices.delete("Anna")
    # Those of a removed item, and those that a restore put aside, too.
    service.removals.remove([OTHER.id])
    aside = service.library.home / "before-restore-20260301T000000Z" / "extras" / "panel"
    aside.mkdir(parents=True)
    (aside / "voices.json").write_text("{}")
    monkeypatch.setenv("KB_HOME", str(service.library.home))
    get_settings.cache_clear()
    assert run(["voices", "--delete-all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["voices"] == []
    assert not list(service.library.home.rglob("voices.json"))


def test_a_voice_of_another_model_or_medium_is_deleted_too(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(OTHER.id, "S1", "Anna")
    path = Extras(service.library).path(service.items.entry(OTHER.id).stem, "voices")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "model": "another one"}))
    service.library.amend(ITEM.id, {"media": {"sha256": "cd" * 32}})  # another version of it
    assert service.voices.list() == ()
    assert service.voices.delete("Anna") == 2
    for item_id in (ITEM.id, OTHER.id):
        place = Extras(service.library).path(service.items.entry(item_id).stem, "voices")
        assert len(json.loads(place.read_text())["voices"]) == 2, item_id


@pytest.mark.slow
@pytest.mark.parametrize("everyone", [True, False])
def test_a_step_under_way_writes_no_voices_that_were_deleted(
    everyone: bool, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_weights()
    item = replace(numbered(7), id="file:00000000000a", source="file", url="")
    medium = Path(shutil.copy(VOICES / "flite2.opus", service.library.home / "in.opus"))
    sha256 = sha256_of(medium)
    said = panel()
    write(service, replace(said, media=replace(said.media, sha256=sha256)), item)
    service.library.add_media(item, medium, sha256=sha256)
    service.speakers.name(ITEM.id, "S1", "Anna")
    entry = service.items.entry(item.id)
    path = Extras(service.library).path(entry.stem, "voices")

    def delete(_share: float) -> None:
        with suppress(UsageError):  # progress is reported more than once
            service.voices.delete_all() if everyone else service.voices.delete("Anna")

    def run(progress: Callable[[float], None]) -> None:
        enrichment.run_step(
            service.library, entry, "speakers", {"again": True}, settings=service.settings,
            progress=progress,
        )  # fmt: skip

    run(delete)
    assert Extras(service.library).read(entry, "speakers") is not None
    assert not path.exists()
    run(lambda _: None)  # asked for again while the setting is on
    assert path.exists()


def test_profiles_are_computed_once_a_change(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel of an item asks for them each time that it is drawn."""
    service.speakers.name(ITEM.id, "S1", "Anna")
    made: list[int] = []
    compute = voices._profiles

    def counted(*given: Any) -> Any:
        made.append(1)
        return compute(*given)

    monkeypatch.setattr(voices, "_profiles", counted)

    def computed(act: Callable[[], object] = lambda: None) -> int:
        made.clear()
        act()
        for _ in range(3):
            service.speakers.of(OTHER.id)
        return len(made)

    assert computed() <= 1 and computed() == 0
    acts: dict[str, Callable[[], object]] = {
        "a name": lambda: service.speakers.name(ITEM.id, "S2", "Ben"),
        "a name taken away": lambda: service.speakers.unname(ITEM.id, "Ben"),
        "a voice deleted": lambda: service.voices.delete("Anna"),
        "voices made again": lambda: write_voices(service, {"Speaker 1": ANNA}),
    }
    for case, act in acts.items():
        assert computed(act) == 1, case
        fresh = compute(service.library, service.items.listing().entries)
        assert [each.name for each in service.voices.list()] == sorted(fresh), case


def test_the_voice_of_a_removed_item_is_deleted_with_its_name(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(ITEM.id, "S2", "Ben")
    service.removals.remove([ITEM.id])
    assert service.voices.delete("Anna") == 1
    service.removals.undo([ITEM.id])
    assert [each.name for each in service.voices.list()] == ["Ben"]
    assert "<v Anna>" in service.items.export(ITEM.id, "vtt")


def test_voices_are_never_in_exports_and_documents(service: Service) -> None:
    add(service, S1=(0.1234, 0.9, 0.0, 0.0), S2=BEN, S3=CARL)
    service.speakers.name(ITEM.id, "S1", "Anna")
    for form in FORMATS:
        if form not in ("chapters", "xlsx", "docx", "notes", "notes_json", "screen"):
            assert "0.1234" not in service.items.export(ITEM.id, form), form
    archive = io.BytesIO()
    service.exports.write_zip(archive, [ITEM.id], ExportRequest(("json", "xlsx", "docx")))
    with zipfile.ZipFile(archive) as made:
        assert all("voices" not in name for name in made.namelist())
    source = build_sync_item(service.library, service.items.entry(ITEM.id))
    assert "0.1234" not in repr(source)


def test_database_and_index_lost_keep_names_and_voices_and_backup_has_them(
    service: Service, tmp_path: Path
) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.voices.confirm(OTHER.id, "S1")
    service.search.reindex()
    service.close()
    home = service.library.home
    for path in home.glob("kb.sqlite*"):
        path.unlink()
    shutil.rmtree(home / "index.lance")
    again = opened(home, KB_VOICE_PROFILES="true")
    again.search.reindex()
    assert {each.id for each in again.items.statuses()} == {ITEM.id, OTHER.id}
    steps = {step.step for each in again.items.statuses() for step in each.steps}
    assert steps == {"speakers"}  # the voices are no step's result
    (profile,) = again.voices.list()
    assert (profile.name, profile.is_confirmed, len(profile.items)) == ("Anna", True, 2)
    report = again.backup.make(tmp_path / "backup.zip")
    again.voices.delete_all()
    assert again.voices.list() == ()
    again.backup.restore(report.path)
    again.close()
    again = opened(home, KB_VOICE_PROFILES="true")
    assert [each.name for each in again.voices.list()] == ["Anna"]
    # They go with their item into the trash and back.
    again.removals.remove([ITEM.id])
    (item,) = Trash(again.library).items()
    assert (item.folder / "extras" / "voices.json").is_file()
    assert again.voices.list()[0].items == (OTHER.id,)
    again.removals.undo([ITEM.id])
    assert len(again.voices.list()[0].items) == 2
    # What is damaged is named, and stops nothing.
    entry = again.items.entry(ITEM.id)
    (home / "extras" / entry.stem / "voices.json").write_text('{"model": 5}')
    findings = again.verification.run().findings
    assert ITEM.id in {each.subject for each in findings if each.kind == "result_damaged"}
    assert again.voices.list()[0].items == (OTHER.id,)
    again.close()


# The real model


@pytest.mark.slow
def test_a_known_voice_is_recognized_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same two voices through another codec, and four of which two are others."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_weights()
    step = get_step("speakers")

    def heard(name: str, *, asked: bool = True) -> list[np.ndarray]:
        options = {"voices": True} if asked else {}
        result = step.run(StepInput(VOICES / f"{name}.opus", SHA, options=options), lambda _: None)
        if not asked:
            assert "private" not in result
            return []
        document = result["private"]["voices"]
        assert document["model"] == step.model
        return [np.asarray(row["vector"]) for row in document["voices"]]

    assert heard("flite2", asked=False) == []
    two, four = heard("flite2"), heard("flite4")
    assert (len(two), len(four)) == (2, 4)
    cosines = np.array([[float(a @ b) for b in four] for a in two])
    # Both voices of the one are in the other.
    sure = cosines >= voices.SURE
    assert sure.sum(axis=1).tolist() == [1, 1] and sure.sum(axis=0).max() == 1, cosines
    assert all(np.linalg.norm(each) == pytest.approx(1, abs=0.01) for each in (*two, *four))


@pytest.mark.slow
def test_the_step_keeps_voices_only_where_the_setting_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_weights()
    on = opened(tmp_path / "home", KB_VOICE_PROFILES="true")
    off = opened(tmp_path / "home")
    write(on, panel())
    medium = two_voices(tmp_path)
    entry = on.library.add_media(ITEM, medium)
    said = replace(panel(), media=replace(panel().media, sha256=sha256_of(medium)))
    write(on, said)
    on.library.amend(ITEM.id, {"media": {"sha256": said.media.sha256}})

    def carry_out(service: Service, **options: int) -> tuple[int, int]:
        """Return the number of speakers, and of their voices."""
        entry = service.items.entry(ITEM.id)
        enrichment.run_step(service.library, entry, "speakers", options, settings=service.settings)
        document = Extras(service.library).read(entry, "speakers")
        assert document is not None and "private" not in document
        return len(document["speakers"]), len(voices.read(service.library, entry))

    assert carry_out(off, speakers=3) == (3, 0)
    # The voices follow, for the number of speakers that was asked for.
    assert not on.enrichment.run([ITEM.id], ["speakers"]).current
    assert carry_out(on) == (3, 3)
    assert on.enrichment.run([ITEM.id], ["speakers"]).current
    assert carry_out(off) == (3, 3)  # what is there is current
    assert carry_out(off, speakers=2) == (2, 0)  # other speakers: their voices are not kept
    assert not (on.library.home / "extras" / entry.stem / "voices.json").exists()
    on.close()
    off.close()
