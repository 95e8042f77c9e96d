"""The route of ZIP downloads: what a page asked for, and nothing else."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kb.pipeline import stages
from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.types import Segment
from kb.ui.web import export_route, server
from tests.support.random_transcripts import ITEM, make_transcript

LOCAL = replace(ITEM, id="file:0000000000aa", source="file", url="file:///talk.wav")
REQUEST = ExportRequest(("txt", "srt"), language_in_name=True)


@pytest.fixture
def client() -> TestClient:
    """The server's routes over a library of one item."""
    service = Service()
    service.library.prepare()
    transcript = make_transcript((Segment(0.0, 2.0, "One two.", ()),))
    for item in (ITEM, LOCAL):
        stages.write(service.library, item, transcript, 0.0)
    service.close()
    return TestClient(Starlette(routes=server.routes()))


def test_a_zip_of_what_the_page_asked_for(client: TestClient) -> None:
    answer = client.get("/" + export_route.zip_url([ITEM.id], REQUEST))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert ".zip" in answer.headers["content-disposition"]
    assert "content-length" not in answer.headers  # it is written while it is sent
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert [name.split(".", 1)[1] for name in names] == ["en.txt", "en.srt"]


def test_links_of_a_zip_begin_with_the_address_of_the_visitor(client: TestClient) -> None:
    for base in ("http://desk.example:8502", "http://127.0.0.1:9000"):
        answer = client.get("/" + export_route.zip_url([LOCAL.id], ExportRequest(("md",)), base))
        (name,) = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
        said = zipfile.ZipFile(io.BytesIO(answer.content)).read(name).decode()
        assert f"({base}/?tab=Library&item=" in said


def test_an_address_cannot_be_guessed_and_is_forgotten(client: TestClient) -> None:
    assert client.get(f"/{export_route.PREFIX}/{'0' * 32}").status_code == 404
    first = export_route.zip_url([ITEM.id], REQUEST)
    assert export_route.zip_url([ITEM.id], REQUEST) == first
    assert export_route.zip_url([ITEM.id], ExportRequest(("txt",))) != first
    for number in range(export_route.KEPT):
        export_route.zip_url([f"item:{number}"], REQUEST)
    assert client.get(f"/{first}").status_code == 404
