"""Libraries of items with known words, made without a recognizer, and the page over them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from kb.pipeline import stages
from kb.service import Service
from kb.sources import source_for
from kb.types import (
    Coverage,
    MediaRef,
    QualityFlag,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    WindowReport,
    Word,
)

ROOT = Path(__file__).resolve().parents[2]
HARBOUR = ROOT / "samples" / "The harbour in winter.mp4"
APP_TIMEOUT_S = 240

ChangeTranscript = Callable[[Transcript], Transcript]


def add_item(
    sample: Path = HARBOUR,
    *,
    covered_s: float = 50.0,
    change: ChangeTranscript | None = None,
    **item: Any,
) -> str:
    """Add a sample with its known words to the library, in the form of a transcribed item.

    `change` returns a changed transcript; `item` replaces fields of the item. Return the item's
    id.
    """
    service = Service()
    service.library.prepare()
    (found,) = source_for(str(sample)).items(str(sample))
    local = stages.ensure_media(service.library, found, lambda stage, done: None)
    described = replace(local.item, **item)
    segments = tuple(true_segments(sample))
    gaps = (SpeechSpan(20.0, 70.0 - covered_s),) if covered_s < 50.0 else ()
    transcript = Transcript(
        media=MediaRef(local.path.name, local.sha256, segments[-1].end_s + 1.5),
        segments=segments,
        language="en",
        engine="whisper",
        model="demo",
        preset="optimiert",
        coverage=Coverage(50.0, covered_s, gaps),
        timing=Timing(total_s=2.0, media_s=57.0),
    )
    transcript = change(transcript) if change else transcript
    entry, _ = stages.write(service.library, described, transcript, service.settings.hold_below)
    stages.publish(service.library, service.settings, entry, transcript, "local")
    service.queue.adopt_folder()
    service.close()
    return described.id


def doubtful(*spans: tuple[float, float]) -> ChangeTranscript:
    """Return a change for `add_item` that marks spans as repeats and a word as unsure."""
    flags = tuple(QualityFlag("repeats", start, end, 9.0, 4.0) for start, end in spans)

    def change(transcript: Transcript) -> Transcript:
        first = transcript.segments[1]
        words = (replace(first.words[0], probability=0.31), *first.words[1:])
        segments = (transcript.segments[0], replace(first, words=words), *transcript.segments[2:])
        return replace(
            transcript,
            segments=segments,
            windows=(WindowReport(0.0, 30.0, 10.0, 8.0, (), flags),),
            coverage=replace(transcript.coverage, suspect_s=10.0),
        )

    return change


def true_segments(sample: Path = HARBOUR) -> Iterator[Segment]:
    """Yield the phrases of a sample, from its list of words."""
    truth = json.loads(sample.with_suffix(".truth.json").read_text(encoding="utf-8"))
    words = [Word(w["start"], w["end"], w["text"], 0.9) for w in truth["words"]]
    phrase: list[Word] = []
    for word in words:
        if phrase and word.start_s - phrase[-1].end_s > 0.35:
            yield _segment(phrase)
            phrase = []
        phrase.append(word)
    yield _segment(phrase)


def _segment(words: list[Word]) -> Segment:
    spoken = " ".join(word.text for word in words)
    return Segment(words[0].start_s, words[-1].end_s, spoken, tuple(words))


def page(**query: str) -> AppTest:
    """Run the page with a query once; return it."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=APP_TIMEOUT_S)
    for name, value in query.items():
        app.query_params[name] = value
    return run_page(app)


def _data(component: Any) -> dict[str, Any]:
    """Return what the page sends to a component."""
    (sent,) = json.loads(component.json or "[{}]")
    return dict(sent)


def rows_of(app: AppTest) -> list[dict[str, Any]]:
    """Return the rows of the page's list: id, menu, and words and shares by column."""
    for each in app.get("bidi_component"):
        shown = _data(each.proto)
        if "columns" in shown:
            names = [column["name"] for column in shown["columns"]]
            return [
                {"id": row["id"], "menu": row["menu"], "tone": row["tone"],
                 "shares": {name: cell.get("share")
                            for name, cell in zip(names, row["cells"], strict=True)},
                 **{name: cell["text"] for name, cell in zip(names, row["cells"], strict=True)}}
                for row in shown["rows"]
            ]  # fmt: skip
    return []


def run_page(app: AppTest) -> AppTest:
    """Run the page again; it must raise no error."""
    app.run(timeout=APP_TIMEOUT_S)
    assert not app.exception
    return app


def listed(app: AppTest) -> list[dict[str, str]]:
    """Return the rows of the page's list (`kb.ui.widgets.rows`): texts by the column's name."""
    (found,) = (each.proto for each in app.get("bidi_component")
                if each.proto.component_name == "kb_rows")  # fmt: skip
    data = _data(found)
    names = [column["name"] for column in data["columns"]]
    return [
        dict(zip(names, (cell["text"] for cell in row["cells"]), strict=True))
        for row in data["rows"]
    ]


def page_text(app: AppTest) -> str:
    """Return the text of the page."""
    kinds: list[Any] = [
        app.markdown, app.caption, app.error, app.warning, app.info, app.success, app.code,
    ]  # fmt: skip
    lines = "\n".join(str(element.value) for kind in kinds for element in kind)
    lines += "\n".join(str(html.proto.body) for html in app.get("html"))
    return re.sub(r"\\([^\w\s]|_)", r"\1", lines)  # without the escapes of Markdown
