"""Films, dubs and evidence packs on an item's page: ordered, shown, cancelled, downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kb.jobs.queue.step_states import DONE, RUNNING
from kb.library.extras import Extras
from kb.library.products import Products, product_name
from kb.service import Service
from kb.settings import get_settings
from kb.transcript.digest import text_digest
from kb.transcript.translation import document_name
from kb.ui.web import media_route, product_route, server
from tests.support.library_pages import add_item, page, page_text, run_page

NAME = product_name({"film": 1})
ABOUT = {"kind": "karaoke", "picture_is": "wave", "made_at": "2026-11-27T20:00:00Z"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a separate empty library; yield its folder."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


@pytest.fixture
def item_id(home: Path) -> str:
    return add_item()


def keep(service: Service, item_id: str, content: bytes = b"a film") -> None:
    entry = service.items.entry(item_id)
    products = Products(service.library.home, 5, 30)
    with products.draft(entry.stem, ".mp4") as draft:
        draft.write_bytes(content)
        products.keep(draft, entry.stem, NAME, [], ABOUT)


@pytest.mark.slow
def test_a_pack_is_ordered_and_cancelled(item_id: str) -> None:
    app = page(tab="Library", item=item_id)
    app.selectbox(f"produce-kind|{item_id}").select("evidence")
    run_page(app)
    app.text_input(f"produce-from|{item_id}").input("0:02")
    app.button("produce-make").click()
    run_page(app)
    assert "Give both, such as 1:05" in page_text(app)
    app.text_input(f"produce-to|{item_id}").input("0:05")
    app.button("produce-make").click()
    run_page(app)
    assert "Evidence pack: queued" in page_text(app)
    assert "Belegpaket: eingereiht" in page_text(page(tab="Library", item=item_id, lang="de"))
    service = Service()
    (ordered,) = service.products.ordered(item_id)
    assert ordered.kind == "evidence" and ordered.is_under_way
    app.button(f"produce-cancel|{ordered.step}").click()
    run_page(app)
    assert "Evidence pack: cancelled" in page_text(app)
    (ordered,) = service.products.ordered(item_id)
    assert ordered.status == "cancelled"
    service.close()


@pytest.mark.slow
def test_a_signed_pack_is_ordered(item_id: str) -> None:
    app = page(tab="Library", item=item_id)
    app.selectbox(f"produce-kind|{item_id}").select("evidence")
    run_page(app)
    app.text_input(f"produce-from|{item_id}").input("0:02")
    app.text_input(f"produce-to|{item_id}").input("0:05")
    app.checkbox(f"produce-sign|{item_id}").check()
    app.button("produce-make").click()
    run_page(app)
    service = Service()
    (row,) = service.products._rows(item_id)
    assert row.options["sign"] is True and row.options["fetch"] is False
    service.close()


@pytest.mark.slow
def test_a_dub_is_ordered_with_language_and_voice(item_id: str) -> None:
    app = page(tab="Library", item=item_id)
    app.selectbox(f"produce-kind|{item_id}").select("dub")
    run_page(app)
    said = page_text(app)
    assert "there is none of these words" in said and "kb " not in said
    assert app.button("produce-make").disabled
    app.button("translate-now-dub").click()
    run_page(app)
    assert "KB_TRANSLATE" in page_text(app) or "model" in page_text(app)
    service = Service()
    entry, original = service.items.entry(item_id), service.items.transcript(item_id)
    rows = [{"start": s.start_s, "end": s.end_s, "text": "Ja"} for s in original.segments]
    basis = {"sha256": original.media.sha256, "words": text_digest(original)}
    for language in ("de", "fr"):
        document = {"basis": basis, "segments": rows}
        Extras(service.library).write(entry, document_name(language), document, nullcontext)
    app = page(tab="Library", item=item_id)
    app.selectbox(f"produce-kind|{item_id}").select("dub")
    run_page(app)
    assert app.selectbox(f"produce-language|{item_id}").options == ["German", "French"]
    app.selectbox(f"produce-language|{item_id}").select("fr")
    run_page(app)
    voice = app.selectbox(f"produce-voice|{item_id}|fr")
    assert not app.button("produce-make").disabled
    assert voice.options[0] == "usual, another one for each speaker"
    voice.select(next(each for each in voice.options if each.endswith("+f2")))
    app.button("produce-make").click()
    run_page(app)
    assert "Dub: queued" in page_text(app)
    (row,) = service.products._rows(item_id)
    assert (row.options["language"], row.options["suffix"]) == ("fr", ".mp4")
    assert str(row.options["voice"]).startswith("espeak:fr")
    service.close()


@pytest.mark.slow
def test_a_film_under_way_shows_its_measured_time_left(item_id: str) -> None:
    from kb.service.video import Wish

    service = Service()
    step = service.products.request(item_id, service.videos.order(Wish("captions")))
    # Asked for twice, it is made once.
    assert service.products.request(item_id, service.videos.order(Wish("captions"))) == step
    store = service.queue.steps
    (row,) = store.for_items([item_id])[item_id]
    claimed = store.claim(step, item_id, row.serial)
    assert claimed is not None and claimed.status == RUNNING
    store.report(claimed, 0.25)
    (ordered,) = service.products.ordered(item_id)
    assert ordered.share == 0.25
    ((known, under_way),) = service.products.under_way(5)
    assert (known, under_way.step) == (item_id, step)
    app = page(tab="Library", item=item_id)
    assert "Video with captions: under way (25%)" in page_text(app)
    assert "Video with captions: under way (25%)" in page_text(page(tab="Activity"))
    assert store.finish(claimed, DONE)
    keep(service, item_id)
    assert "Karaoke video · " in page_text(page(tab="Library", item=item_id))
    assert service.products.under_way(5) == []
    service.close()


@pytest.mark.slow
def test_a_file_is_streamed_to_who_has_its_address(item_id: str) -> None:
    service = Service()
    keep(service, item_id, bytes(range(256)) * 4096)
    client = TestClient(Starlette(routes=server.routes()))
    address = "/" + product_route.product_url(item_id, f"{NAME}.mp4")
    answer = client.get(address)
    assert answer.status_code == 200 and len(answer.content) == 2**20
    assert "attachment" in answer.headers["content-disposition"]
    assert "karaoke" in answer.headers["content-disposition"]
    part = client.get(address, headers={"Range": "bytes=256-511"})
    assert part.status_code == 206 and part.content == bytes(range(256))
    path, _, key = address.partition("?")
    assert client.get(path).status_code == 403
    other = path.replace(NAME, product_name({"film": 2}))
    assert client.get(f"{other}?{key}").status_code == 403
    # The token of a name that is no product leads nowhere.
    for name in ("x.mp4", "..", f"{NAME}.json", f"{NAME}.mkv"):
        key = media_route.token(f"product {item_id} {name}")
        known = client.get(f"{path.rpartition('/')[0]}/{name}?key={key}")
        assert known.status_code in (403, 404) and b"film" not in known.content
    service.close()
