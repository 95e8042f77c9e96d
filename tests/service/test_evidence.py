"""Evidence packs and films of items of the library: made, checked, and damage found."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli import run
from kb.errors import UsageError
from kb.library.trash import RemovedItem, Trash
from kb.media import sha256_of
from kb.media.probe import probe
from kb.pipeline import evidence_pack, stages
from kb.pipeline.evidence import quoted
from kb.service import Service, health
from kb.service.evidence import SUMS, check_pack
from kb.service.video import Wish
from kb.settings import Settings, get_settings
from kb.types import MediaItem, MediaRef
from tests.support import films
from tests.support.films import grey, spoken, tone
from tests.support.raising import raises

pytestmark = pytest.mark.slow

ITEM = MediaItem(
    "web:example:1", "web", "https://example.org/talk", "It's 100 % {true}", "2026-01-01"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("evidence")
    made = Service(Settings(KB_HOME=str(folder / "home")))
    made.library.prepare()
    film = films.make(folder / "talk.mp4", *grey(4, "320x180", 10), *tone(4))
    digest = sha256_of(film)
    entry = made.library.add_media(ITEM, film, sha256=digest)
    assert entry.media_path is not None
    words = spoken(["We have seen it", "and said so"])
    words = replace(
        words, media=MediaRef(entry.media_path.name, digest, 4.0),
        segments=tuple(replace(s, speaker="Ada") for s in words.segments),
    )  # fmt: skip
    stages.write(made.library, ITEM, words, 0.0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def pack(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("pack") / "pack.zip"
    return service.evidence.make(ITEM.id, 0.3, 2.0, target)


def test_a_pack_has_words_source_clip_and_frame(pack: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.txt", "quote.txt", "facts.json", "clip.mp4", "clip-with-captions.mp4", "frame.png",
        SUMS,
    }  # fmt: skip
    assert (tmp_path / "quote.txt").read_text("utf-8") == (
        "[00:00.400 - 00:01.900] Ada: We have seen it\n"
    )
    facts = json.loads((tmp_path / "facts.json").read_text("utf-8"))
    assert facts["item"]["title"] == ITEM.title
    assert facts["item"]["link"] == "https://example.org/talk#t=0"
    assert facts["reading"]["model"] == "demo" and not facts["reading"]["revised_by_hand"]
    assert [word["text"] for word in facts["words"]] == ["We", "have", "seen", "it"]
    assert len(facts["medium"]["sha256"]) == 64
    for name in ("clip.mp4", "clip-with-captions.mp4"):
        assert probe(tmp_path / name).duration_s == pytest.approx(1.7, abs=0.2)
    assert films.near(films.frame_at(tmp_path / "clip-with-captions.mp4", 0.8), "#FFFFFF", 110) > 20
    assert films.near(films.frame_at(tmp_path / "clip.mp4", 0.8), "#FFFFFF", 110) == 0
    assert (tmp_path / "frame.png").read_bytes().startswith(b"\x89PNG")
    readme = (tmp_path / "README.txt").read_text("utf-8")
    assert "does not show a forgery" in readme and "Ada: We have seen it" in readme
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=tmp_path, check=True)


def test_damage_is_found(pack: Path, tmp_path: Path) -> None:
    assert check_pack(pack).is_whole and check_pack(pack).checked == 6
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(tmp_path / "folder")
    folder = tmp_path / "folder"
    assert check_pack(folder).is_whole
    quote = folder / "quote.txt"
    quote.write_text(quote.read_text("utf-8").replace("seen", "been"), encoding="utf-8")
    (folder / "frame.png").unlink()
    (folder / "more.txt").write_text("more", encoding="utf-8")
    found = check_pack(folder)
    assert (found.changed, found.missing, found.unknown) == (
        ("quote.txt",), ("frame.png",), ("more.txt",),
    )  # fmt: skip
    assert not found.is_whole
    damaged = bytearray(pack.read_bytes())
    place = damaged.index(b"clip.mp4") + 2000
    damaged[place : place + 20] = bytes(20)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(bytes(damaged))
    assert check_pack(broken).changed == ("clip.mp4",)


@pytest.mark.parametrize(
    "sums", ["", "no hashes", f"{'0' * 64}  ../other", f"{'0' * 64}  a\\b", "x" * 2**21]
)
def test_what_is_no_pack(tmp_path: Path, sums: str) -> None:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(SUMS, sums)
    with raises(UsageError, "evidence.no_pack", path=path):
        check_pack(path)
    path.write_bytes(b"PK no zip")
    with raises(UsageError, "evidence.no_pack", path=path):
        check_pack(path)


def test_a_folder_and_a_stretch_without_words(service: Service, tmp_path: Path) -> None:
    folder = service.evidence.make(ITEM.id, 2.5, 3.9, tmp_path / "pack")
    assert check_pack(folder).is_whole
    with raises(UsageError, "evidence.no_words"):
        service.evidence.make(ITEM.id, 0.0, 0.3, tmp_path / "none.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_a_signed_pack_names_its_key(service: Service, tmp_path: Path) -> None:
    for target in (tmp_path / "signed.zip", tmp_path / "folder"):
        made = service.evidence.make(ITEM.id, 0.3, 2.0, target, sign=True)
        found = check_pack(made)
        key = service.evidence.own_key()
        assert (found.signature, found.key, found.unknown) == ("valid", key, ())
    assert key in (tmp_path / "folder" / "README.txt").read_text("utf-8")
    secret = (service.library.home / "evidence-key.pem").read_bytes().splitlines()[1]
    for each in (tmp_path / "folder").iterdir():
        assert secret not in each.read_bytes()


def test_the_named_command_checks_a_pack_with_a_space_in_its_name(
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KB_HOME", str(service.library.home))
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    made = ["evidence", ITEM.id, "--from", "0.3", "--to", "2.0", "--sign", "-o", "the pack.zip"]
    assert run(made) == 0
    (command,) = capsys.readouterr().err.split("kb verify ")[1:]
    assert run(["verify", *shlex.split(command)]) == 0
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("link", "is_own"),
    [("http://127.0.0.1:8501/?item=a&t=3", True), ("http://localhost:8501/?t=3", True),
     ("https://library.example.org/?t=3", False), ("", False)],
)  # fmt: skip
def test_a_link_that_opens_on_one_machine_is_said_to_be_so(
    service: Service, link: str, is_own: bool
) -> None:
    entry = service.items.entry(ITEM.id)
    words = spoken(["We have seen it"])
    found = quoted(entry, words, 0.3, 2.0, "")
    facts = {**found.facts, "item": {**found.facts["item"], "link": link}}
    text = evidence_pack._readme(replace(found, facts=facts), ("clip.mp4",), 0.3, 2.0, "")
    assert f"Where: {link or ITEM.url}\n" in text
    assert ("on the library's machine alone" in text) is is_own


def test_a_film_of_an_item(service: Service, tmp_path: Path) -> None:
    made = service.videos.of_item(ITEM.id, Wish("captions", threads=1), tmp_path / "film.mp4")
    assert films.near(films.frame_at(made.path, 1.0), "#FFFFFF", 110) > 20
    with raises(UsageError, "reel.no_highlights", item_id=ITEM.id):
        service.videos.of_item(ITEM.id, Wish("reel"), tmp_path / "reel.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_files_are_written_where_nothing_may_be_kept(service: Service, tmp_path: Path) -> None:
    """The kept one goes when its copy is there, not before."""
    tight = Service(service.settings.replace(products_gb=0.0))
    film = tight.videos.of_item(ITEM.id, Wish("soft"), tmp_path / "soft.mp4")
    assert probe(film.path).has_video
    assert check_pack(tight.evidence.make(ITEM.id, 0.3, 2.0, tmp_path / "pack.zip")).is_whole
    assert tight.videos.products.use().count == 0
    tight.close()


def test_a_film_is_made_once(service: Service, tmp_path: Path) -> None:
    """The kept film is found by all that it was made from; another wish is another film."""
    made: list[float] = []
    wish = Wish("captions", style="box", threads=1)
    first = service.videos.of_item(ITEM.id, wish, tmp_path / "1.mp4", progress=made.append)
    assert made
    made.clear()
    again = service.videos.of_item(
        ITEM.id, replace(wish, threads=2), tmp_path / "2.mp4", progress=made.append
    )
    assert made == []
    assert again.path.read_bytes() == first.path.read_bytes()
    kept = service.videos.products
    before = kept.use()
    for other in (replace(wish, style="slide"), Wish("karaoke", threads=1)):
        made.clear()
        service.videos.of_item(ITEM.id, other, tmp_path / f"{other.kind}.mp4",
                               progress=made.append)  # fmt: skip
        assert made
    assert kept.use().count == before.count + 2
    (line,) = health._products(service.settings)
    assert line.detail.startswith(f"{before.count + 2} films")

    # Half a film, whose maker was killed, is none.
    stem = service.items.entry(ITEM.id).stem
    (kept.folder / stem / f"{'0' * 64}.mp4").write_bytes(b"half")
    assert kept.find(stem, "0" * 64, ".mp4") is None


def test_the_films_of_a_removed_item_go_with_it(service: Service, tmp_path: Path) -> None:
    entry = service.items.entry(ITEM.id)
    service.videos.of_item(ITEM.id, Wish("captions", threads=1), tmp_path / "film.mp4")
    folder = service.library.home / "trash" / "one"
    removed = RemovedItem(ITEM.id, ITEM.title, 0.0, "removing", entry.stem, {}, (), (), folder)
    assert service.videos.products.use().count
    Trash(service.library).move_in(removed)
    assert service.videos.products.use().count == 0
    Trash(service.library).move_out(removed)
