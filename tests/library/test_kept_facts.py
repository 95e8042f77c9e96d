"""Each fact that a person or a step adds outlives database and index: one table for all kinds.

Facts of an item are keys of its metadata, facts of the library are keys of `library.json` or files
beside it, results and voices are documents in `extras/<stem>/`. The source is read for every key
that is written, so that a new kind without a row here is found.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.enrich import STEPS, Step, get_step
from kb.library import Library
from kb.library.extras import Extras
from kb.service import Service
from kb.settings import PROJECT_ROOT
from kb.transcript.digest import text_digest
from tests.library.test_extras import RESULTS, home, opened, whole
from tests.library.test_version_before import DONE

__all__ = ["home", "whole"]

_NAMES = {"sha256": "ab" * 32, "names": [{"name": "Anna", "by": "hand", "spans": [[0.0, 5.0]]}]}
_PUBLISHED = {"folder": {"status": "failed", "error": "no", "attempts": 1}}

# Keys of an item's metadata that are written by a change of their own -> a value that is kept.
ITEM_FACTS: dict[str, Any] = {
    "speakers": {**_NAMES, "earlier": [{**_NAMES, "sha256": "cd" * 32}]},
    "published": _PUBLISHED,
    "followed": "youtube:channel:UC1",
    "renewal": {"run": 1, "duration_s": 60.0, "at": 1.0},
    "retention": {"at": 1.0, "rule": "keep_days", "medium": "gone.m4a", "bytes": 5},
    "user": {"tags": ["harbour"], "note": "for the report", "title": "The harbour"},
    "checked": {"run": 1, "spans": [[12.0, 14.5]], "by": "a person", "at": "2026-03-01T00:00:00Z"},
    "review": {"accepted": True, "by": "a person", "at": "2026-03-01T00:00:00Z"},
}
# Keys that say how far the item's own work is: tests of adoption and repair have them.
WORK = frozenset((
    "state", "error", "hint", "problem", "attempts", "transcribed", "media", "question",
    "stored_media", "captions",
))  # fmt: skip

# Keys of `library.json` -> a value that is kept; clock and removed items have their own tests.
LIBRARY_FACTS: dict[str, Any] = {
    "unfollowed": {"youtube:channel:UC1": {"at": 1.0}},
    "voices_deleted": "0123456789abcdef",
    "searches": [{
        "id": "0123abcd", "name": "Harbour", "query": "harbour", "mode": "hybrid", "filters": {},
        "alerts": "new", "made_at": 1.0, "checked_until": 2.0,
        "alerted": [{"item_id": DONE, "at": 2.0}],
    }],
}  # fmt: skip
OWN_TESTS = frozenset(("clock", "removed", "subscriptions"))

# Further documents of `extras/<stem>/`, which are no result of a step.
PRIVATE: dict[str, dict[str, Any]] = {
    "voices": {"model": "a model", "voices": [{"spans": [[0.0, 5.0]], "vector": [1.0, 0.0]}]},
}

# Documents of a result that is more than one, by step.
FURTHER: dict[str, dict[str, dict[str, Any]]] = {
    "translate": {
        "de.transcript": {
            "language": "de", "source_language": "en", "via": "llm", "model": "a model",
            "segments": [{"start": 1.0, "end": 4.0, "text": "Die Hafenmeisterin erzählt."},
                         {"start": 4.0, "end": 5.0, "text": "", "mark": "failed"}],
        }
    },
}  # fmt: skip


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module gives names to, those of tuples too."""
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for name, value in pairs:
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant):
                    found[name.id] = str(value.value)
    return found


def written_keys(method: str) -> set[str]:
    """Return the keys of the dictionaries that the source gives to a method, `**` left out."""
    trees = {
        ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted((PROJECT_ROOT / "kb").rglob("*.py"))
    }
    constants = {module: _constants(tree) for module, tree in trees.items()}
    found: set[str] = set()
    for module, tree in trees.items():
        nodes = list(ast.walk(tree))
        calls = [
            node
            for node in nodes
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == method
        ]
        if not calls:
            continue
        known = dict(constants[module])
        for node in nodes:
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                value = constants.get(str(node.module), {}).get(alias.name)  # type: ignore[union-attr]
                if value is not None:
                    known[alias.asname or alias.name] = value
        for call in calls:
            for argument in call.args:
                for key in argument.keys if isinstance(argument, ast.Dict) else ():
                    if isinstance(key, ast.Constant):
                        found.add(str(key.value))
                    elif isinstance(key, ast.Name):
                        found.add(known[key.id])
    return found


@pytest.mark.slow
def test_each_key_that_is_written_is_here() -> None:
    facts = written_keys("amend")
    assert {"speakers", "state"} <= facts
    assert facts - ITEM_FACTS.keys() - WORK == set()
    library = written_keys("write_facts")
    assert "voices_deleted" in library
    assert library - LIBRARY_FACTS.keys() - OWN_TESTS == set()
    private = {kind for step in STEPS for kind in get_step(step).private}
    assert private == PRIVATE.keys()
    several = {name for name in STEPS if type(get_step(name)).further is not Step.further}
    assert several == FURTHER.keys()


def stored(home: Path) -> dict[str, Any]:
    """Return all facts and documents of the item and its library."""
    library = Library(home)
    entry = library.find(DONE)
    if entry is None:
        return {}
    extras, facts = Extras(library), library.read_facts()
    return {
        **{f"item {key}": entry.record.get(key) for key in ITEM_FACTS},
        "item published": {key: entry.published.get(key) for key in _PUBLISHED},
        **{f"library {key}": facts.get(key) for key in LIBRARY_FACTS},
        **{f"extras {kind}": extras.read(entry, kind) for kind in _documents()},
        "vocabulary": json.loads((home / "vocabulary.json").read_text()),
    }


def _documents() -> list[str]:
    return [*RESULTS, *PRIVATE, *(name for each in FURTHER.values() for name in each)]


@pytest.fixture
def filled(home: Path) -> Iterator[Service]:
    """A library with all kinds of facts and results for one item."""
    service = opened(home)
    service.library.amend(DONE, ITEM_FACTS)
    service.library.write_facts(LIBRARY_FACTS)
    transcript = service.items.transcript(DONE)
    sha256 = transcript.media.sha256
    further = {name: each for found in FURTHER.values() for name, each in found.items()}
    for kind, document in {**PRIVATE, **further}.items():
        Extras(service.library).write(
            service.items.entry(DONE),
            kind,
            {"basis": {"sha256": sha256, "words": text_digest(transcript)}, **document},
            lambda: service.library.guard(DONE),
        )
    service.vocabulary.change("Harbour", add=["Anna Weber"])
    yield service
    service.close()


def translations(service: Service) -> list[str]:
    """Return the origins of what a search for words of the translation finds."""
    return [hit.origin for hit in service.search.run("Hafenmeisterin").hits]


@pytest.mark.slow
def test_nothing_is_lost_with_database_index_removal_and_restore(
    filled: Service, tmp_path: Path
) -> None:
    home = filled.library.home
    before = stored(home)
    assert all(before.values()), {key for key, value in before.items() if not value}
    ids = {each.id for each in filled.items.statuses()}
    kinds = {each.kind for each in filled.verification.run().findings if each.subject == DONE}
    assert not {kind for kind in kinds if "result" in kind}
    filled.close()

    for path in home.glob("kb.sqlite*"):
        path.unlink()
    shutil.rmtree(home / "index.lance")
    again = opened(home)
    again.search.reindex()
    assert stored(home) == before
    assert {each.id for each in again.items.statuses()} <= ids  # no fact is an item

    assert translations(again) == ["translation, de"]

    again.removals.remove([DONE])
    assert stored(home) == {} and translations(again) == []
    again.removals.undo([DONE])
    assert stored(home) == before and translations(again) == ["translation, de"]
    damaged = Extras(again.library).path(again.items.entry(DONE).stem, "de.transcript")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole.replace(b'"failed"', b'"odd"'))
    named = [each for each in again.verification.run().findings if each.kind == "result_damaged"]
    assert "de.transcript.json" in named[0].detail and again.items.transcript(DONE).segments
    damaged.write_bytes(whole)

    report = again.backup.make(tmp_path / "backup.zip")
    again.library.amend(DONE, dict.fromkeys(ITEM_FACTS))
    again.library.write_facts(dict.fromkeys(LIBRARY_FACTS))
    shutil.rmtree(home / "extras")
    (home / "vocabulary.json").write_text("{}")
    again.backup.restore(report.path)
    again.close()
    assert stored(home) == before
