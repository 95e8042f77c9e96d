"""Documents for ODIN: their text, their names, their parts and their metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.sinks.odin.documents import ascii_name, is_name_of, make_documents, parse_passages
from kb.types import Chapter, DocumentFacts
from tests.support.odin_items import FACTS, video
from tests.support.sink_contract import make_passages


def test_the_document(tmp_path: Path) -> None:
    item = video(
        title="Ärger & *Glück*: 100 % ~ 人工 <b>",
        channel="Ein [Kanal]",
        chapters=(Chapter(0, "Anfang"), Chapter(55, "Mitte # 2")),
    )
    made = make_documents(item, make_passages(item, ["eins", "zwei", "1. drei"]), FACTS)
    (document,) = made.documents
    assert document.name == f"2026-03-04_Aerger-Glueck-100-b_vid_-EoT001_{made.sha256[:8]}.md"
    link = "https://youtu.be/vid_-EoT001"
    assert document.content.decode() == (
        "# Ärger & \\*Glück\\*: 100 % ~ 人工 \\<b>\n\n"
        "- Channel: Ein \\[Kanal]\n"
        "- Date: 2026-03-04\n"
        f"- Link: <{link}>\n"
        "- Length: 01:01\n"
        "- Language: de\n"
        "- Model: tiny · whisper · stabil\n"
        "- Coverage: 98.7 % of the speech (A)\n\n"
        "## Anfang\n\n"
        f"[00:00]({link}?t=0) eins\n\n"
        f"[00:30]({link}?t=30) zwei\n\n"
        "## Mitte # 2\n\n"
        f"[01:00]({link}?t=60) 1\\. drei\n\n"
    )
    assert is_name_of(document.name, item) and not is_name_of(document.name, video(2))
    about = dict(document.metadata)
    assert about == {
        **{"producer": "kb-ingest", "id": item.id, "url": item.url, "title": item.title},
        **{"channel": "Ein [Kanal]", "published": "2026-03-04", "language": "de"},
        **{"model": "tiny", "engine": "whisper", "preset": "stabil", "coverage": 0.987},
        **{"grade": "A", "duration_s": 61.5, "content_sha256": made.sha256},
        **{"part": 1, "parts": 1, "words": document.words},
    }


def test_the_same_input_gives_the_same_bytes_and_any_change_another_name() -> None:
    item = video()
    passages = make_passages(item, ["one", "two"])
    names = {make_documents(item, passages, FACTS).names for _ in range(3)}
    assert len(names) == 1
    changed = [
        make_documents(item, make_passages(item, ["one", "three"]), FACTS),
        make_documents(item, make_passages(item, ["one", "two"], seconds=31), FACTS),
        make_documents(video(title="Other"), passages, FACTS),
        make_documents(video(chapters=(Chapter(0, "New"),)), passages, FACTS),
        make_documents(item, passages, DocumentFacts(model="large")),
        make_documents(item, passages, FACTS, {"team": "one"}),
        make_documents(item, passages, FACTS, {"team": "two"}),
        make_documents(item, [], FACTS),
    ]
    assert len(names | {made.names for made in changed}) == 1 + len(changed)


def test_long_transcripts_are_split_between_passages() -> None:
    item = video()
    texts = [f"{n} " + "wörter " * 60 for n in range(100)]
    made = make_documents(item, make_passages(item, texts), FACTS, limit=4_000)
    contents = [document.content for document in made.documents]
    assert len(contents) > 5
    assert max(map(len, contents)) <= 4_000 and min(map(len, contents[:-1])) > 2_500
    assert [read.text for content in contents for read in parse_passages(content)] == texts
    assert made.names[0].endswith("_p01.md") and made.names[10].endswith("_p11.md")
    second = contents[1].decode()
    assert f"Part 2 of {len(contents)} · [← part 1]({made.names[0]})" in second
    assert f"[part 3 →]({made.names[2]})" in second
    for content in contents:  # every part has its own header
        assert content.decode().split("\n\n")[3].startswith("## ")
    # A passage over the limit is not cut.
    huge = make_documents(item, make_passages(item, ["a", "x" * 9_000, "b"]), limit=4_000)
    assert len(huge.documents) == 3


def test_times_are_headings_without_chapters() -> None:
    item = video()
    made = make_documents(item, make_passages(item, ["a", "b", "c"], seconds=299))
    headings = [line for line in made.documents[0].content.decode().split("\n") if "## " in line]
    assert headings == ["## 00:00", "## 05:00"]


def test_reserved_metadata_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        make_documents(video(), [], None, {"content_sha256": "x"})
    assert caught.value.code == "odin.metadata_reserved"
    assert caught.value.values == {"field": "content_sha256"}


def test_names_are_plain() -> None:
    assert ascii_name("Größe: 100 % ~ 人工 / \\ „x“.") == "Groesse-100-x"
    assert ascii_name("../../etc") == "etc"
