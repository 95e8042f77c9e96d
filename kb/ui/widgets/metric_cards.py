"""Live figures as cards: a name, a value and a small curve, fast enough to redraw every 2 s.

Streamlit's small charts have no alternative text for screen readers; these have one.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import streamlit as st

_WIDTH, _HEIGHT = 160, 40  # of the curve, in SVG units
_COLOR = "#3878b8"  # visible on light and on dark background
_POINTS = 160  # more points would exceed the width of the curve
_STYLE = """<style>
.stApp .kb-cards { display: grid; gap: 0.6rem;
  grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); }
.stApp .kb-card { margin: 0; padding: 0.6rem 0.9rem; border-radius: 0.5rem;
  border: 1px solid color-mix(in srgb, currentColor 22%, transparent); }
.stApp .kb-card figcaption { font-size: 0.875rem; }
.stApp .kb-card strong { display: block; font-size: 1.4rem; font-weight: 400; line-height: 1.5;
  font-variant-numeric: tabular-nums; }
.stApp .kb-card small { display: block; font-size: 0.8rem; opacity: 0.8; line-height: 1.35; }
.stApp .kb-card img { display: block; width: 100%; height: 2.5rem; margin: 0.25rem 0; }
</style>"""


@dataclass(frozen=True, slots=True)
class MetricCard:
    """One figure: `values`, oldest first, are its curve; `alt` describes the curve in words."""

    name: str
    value: str
    details: str
    values: tuple[float, ...]
    alt: str


def cards(found: Sequence[MetricCard]) -> None:
    """Draw cards in rows, with as many cards per row as the width allows."""
    st.html(f"{_STYLE}<div class='kb-cards'>{''.join(map(_card, found))}</div>")


def _card(card: MetricCard) -> str:
    say = html.escape
    more = f"<small>{say(card.details)}</small>" if card.details else ""
    return (
        f"<figure class='kb-card'><figcaption>{say(card.name)}</figcaption>"
        f"<strong>{say(card.value)}</strong>{sparkline(card.values, card.alt)}{more}</figure>"
    )


def sparkline(values: Sequence[float], alt: str) -> str:
    """Return an image of the area under the values; a line at the bottom if all are equal."""
    shown = downsample(values)
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    span = high - low
    step = _WIDTH / max(1, len(shown) - 1)
    points = [
        (
            round(place * step, 1),
            round(_HEIGHT * (1 - (value - low) / span) if span else _HEIGHT, 1),
        )
        for place, value in enumerate(shown)
    ]
    if len(points) == 1:
        points.append((_WIDTH, points[0][1]))
    line = " ".join(f"{x:g},{y:g}" for x, y in points)
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'preserveAspectRatio="none"><g fill="{_COLOR}" stroke="{_COLOR}">'
        f'<polygon points="0,{_HEIGHT} {line} {_WIDTH},{_HEIGHT}" stroke="none" opacity="0.2"/>'
        f'<polyline points="{line}" fill="none" stroke-width="2" '
        'vector-effect="non-scaling-stroke"/></g></svg>'
    )
    # It is an image, because Streamlit removes inline SVG from HTML.
    return f'<img alt="{html.escape(alt)}" src="data:image/svg+xml,{quote(drawn)}">'


def downsample(values: Sequence[float]) -> list[float]:
    """Return at most `_POINTS` values, each the maximum of its interval."""
    if len(values) <= _POINTS:
        return list(values)
    edges = [round(place * len(values) / _POINTS) for place in range(_POINTS + 1)]
    return [max(values[edges[n] : edges[n + 1]]) for n in range(_POINTS)]
