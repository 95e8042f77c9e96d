"""The tables of `trust.py`: `docs/trust.md`, and figures against their targets."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.support.common import figure
from benchmarks.support.trust_cases import FaultRow, HoldRow, Row
from benchmarks.support.trust_reader import PRESET
from kb.asr.engines.model_lookup import DEMO_FOLDER


def versions() -> Iterator[str]:
    """Return the versions used for the measurement."""
    weights = DEMO_FOLDER / "model.safetensors"
    yield f"Measured {time.strftime('%Y-%m-%d')} on {platform.machine()}, CPU, two threads at most."
    names = ("torch", "transformers", "ctranslate2", "faster-whisper", "onnxruntime", "numpy")
    yield ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names) + "."
    yield (
        f"Demo recognizer: {weights.stat().st_size / 1e6:.2f} MB of weights, "
        f"CRC-32 {zlib.crc32(weights.read_bytes()):08x}; preset `{PRESET}`."
    )


def percent(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def document(
    rows: Sequence[Row],
    faults: FaultRow,
    holds: Sequence[HoldRow],
    peers: Sequence[Any],
    mode: str,
    elapsed_s: float,
    words: Iterable[str],
) -> str:
    """Return the text of `docs/trust.md`; `words` are the lines of the part on single words."""
    lines = [
        "# Words you can trust: what was measured",
        "",
        f"Written by `benchmarks/trust.py` ({mode}); do not edit. " + " ".join(versions()),
        f"The run took {elapsed_s / 60:.0f} minutes.",
        "",
        "Composed speech with known words, known voices of the demo recognizer. `before` is the",
        "first reading, `after` what stands after suspect windows were read again. Figures in",
        "per cent of the words said; *lost* are deletions, *loops* stretches in which a phrase",
        "is repeated though it was spoken once.",
        "",
        "## Undisturbed",
        "",
        "| | min | suspect windows | WER before | WER after | lost | loops | cost of repair "
        "| items held |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.minutes:.1f} | {row.suspect} of {row.windows} "
        f"| {percent(row.before.wer)} | {percent(row.after.wer)} "
        f"| {percent(row.after.share(row.after.deleted))} | {row.after.loops} "
        f"| {percent(row.cost)} | {row.held} of {row.items} |"
        for row in rows
    ]
    total = faults.total
    lines += [
        "",
        "## With faults in 10 % of the windows, on first and later readings alike",
        "",
        f"{total('faults')} faults in {faults.windows} windows ({faults.items} runs over "
        f"{faults.minutes:.0f} minutes of clean speech). The undisturbed run beside it: "
        f"WER {percent(faults.floor.wer)}, lost {percent(faults.floor.share(faults.floor.deleted))}"
        f". Before repair: WER {percent(faults.before.wer)}, lost "
        f"{percent(faults.before.share(faults.before.deleted))}, {faults.before.loops} loops. "
        f"After: WER {percent(faults.after.wer)}, lost "
        f"{percent(faults.after.share(faults.after.deleted))}, {faults.after.loops} loops. "
        f"Cost of repair: {percent(faults.cost)} % of the first reading's time. "
        f"Items held: {faults.held} of {faults.items}.",
        "",
        "| fault | injected | found | mended | not mended, but flagged |",
        "|---|---|---|---|---|",
    ]
    for kind, struck in faults.kinds.items():
        left = struck.faults - struck.repaired
        lines.append(
            f"| {kind} | {struck.faults} | {percent(100 * struck.found / max(1, struck.faults))} % "
            f"| {percent(100 * struck.repaired / max(1, struck.faults))} % "
            f"| {struck.unrepaired_flagged} of {left} |"
        )
    lines += [
        "",
        "What the faults are stands in `tests/fakes/faults.py`: at least 2 s of speech dropped, a",
        "phrase looped to the window's end, 4 to 8 words invented, all words 1.5 to 5 s out of",
        "place; log-probabilities are left as they were, so that confidence tells nothing.",
        "",
        "## What is held for review",
        "",
        "Items of which it is known whether they have to be held (`KB_HOLD_BELOW` as it comes).",
        "*Trusted* is the share of the speech that is covered and free of doubt, of the item",
        "that was nearest to the wrong decision.",
        "",
        "| | must be held | held | decided rightly | trusted |",
        "|---|---|---|---|---|",
        *(
            f"| {row.name} | {row.items if row.expected else 0} of {row.items} "
            f"| {row.held} of {row.items} | {row.correct} of {row.items} | {row.trusted:.3f} |"
            for row in holds
        ),
        "",
        *words,
        "## Beside others, on the same sound and weights",
        "",
        "| WER / lost / loops | this product | " + " | ".join(p.name for p in peers) + " |",
        "|---|---|" + "---|" * len(peers),
    ]
    for row in rows:
        cells = [row.after, *row.peers]
        best = min(tally.wer for tally in cells)
        shown = [
            f"{'**' if tally.wer <= best else ''}{percent(tally.wer)}"
            f"{'**' if tally.wer <= best else ''} / {percent(tally.share(tally.deleted))}"
            f" / {tally.loops}"
            for tally in cells
        ]
        lines.append(f"| {row.name} | " + " | ".join(shown) + " |")
    worse = [r.name for r in rows if any(p.wer < r.after.wer for p in r.peers)]
    lines += [
        "",
        "Lower is better; bold is the lowest word error rate of a line. "
        + (
            f"Another program has fewer word errors here: {', '.join(worse)}."
            if worse
            else "No other program has fewer word errors in any line."
        ),
        "The pipeline reads with one beam (its default of five takes some seven times as long);",
        "faster-whisper's batched pipeline with its defaults, five beams among them, as English",
        "only (what it takes a model of this vocabulary for), with timestamps.",
        "",
    ]
    return "\n".join(lines)


def with_part(page: str, part: Iterable[str]) -> str:
    """Return the page with a part in place of the one with the same title, or behind all parts.

    The first of the lines is the title. When and with what it was measured is put below it.
    """
    title, blank, *lines = part
    text = "\n".join([title, blank, " ".join(versions()), "", *lines]).rstrip() + "\n"
    begin = page.find(f"{title}\n")
    if begin < 0:
        return f"{page.rstrip()}\n\n{text}"
    end = page.find("\n## ", begin + 1)
    return page[:begin] + text + (page[end:] if end >= 0 else "")


def report(
    rows: Sequence[Row], faults: FaultRow, holds: Sequence[HoldRow], peers: Sequence[Any]
) -> bool:
    """Print the figures as JSON lines; return True if the targets are met."""
    met = True
    for row in rows:
        figure(f"word error rate before repair, {row.name}", row.before.wer, "%")
        figure(f"word error rate, {row.name}", row.after.wer, "%")
        figure(f"cost of repair, {row.name}", row.cost, "% of the first reading")
        for peer, tally in zip(peers, row.peers, strict=True):
            figure(f"word error rate, {row.name}, {peer.name}", tally.wer, "%")
    clean = rows[0]
    false_alarms = 100 * clean.suspect / max(1, clean.windows)
    met &= figure("false alarms, clean", false_alarms, "% of windows", at_most=3.0)
    count = max(1, faults.total("faults"))
    met &= figure("faults found", 100 * faults.total("found") / count, "%", at_least=98.0)
    met &= figure("faults mended", 100 * faults.total("repaired") / count, "%", at_least=95.0)
    lost = faults.after.share(faults.after.deleted)
    met &= figure("lost after repair, with faults", lost, "%", at_most=0.5)
    figure("lost, undisturbed", faults.floor.share(faults.floor.deleted), "%")
    met &= figure("cost of repair, with faults", faults.cost, "% of first", at_most=30.0)
    items = sum(row.items for row in holds)
    right = 100 * sum(row.correct for row in holds) / max(1, items)
    met &= figure("hold decisions as they must be", right, "%", at_least=100.0)
    for example in faults.unnoticed[:10]:
        print(f"not noticed: {example}", file=sys.stderr)
    return met
