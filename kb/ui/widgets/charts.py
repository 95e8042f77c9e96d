"""Charts with axes and one alternative text for screen readers.

Vega exposes every mark to screen readers without a name. Here the marks are hidden from them, and
`alt` describes the chart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    import altair

_HEIGHT = 200
_BAR_PX, _NAME_PX = 24, 230


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    x_label: str,
    y_label: str,
    alt: str,
) -> None:
    """Draw one line per series over the same x values."""
    altair = _altair()
    rows = [
        {"x": place, "y": value, "series": name}
        for name, values in series.items()
        for place, value in zip(x, values, strict=True)
        if value is not None
    ]
    color = altair.Color("series:N", title=None) if len(series) > 1 else altair.Undefined
    chart = (
        altair.Chart(altair.Data(values=rows))  # type: ignore[no-untyped-call]
        .mark_line()
        .encode(
            x=altair.X("x:Q", title=x_label),
            y=altair.Y("y:Q", title=y_label),
            color=color,
        )
    )
    _draw(chart, alt)


def bars(
    names: Sequence[str | int], values: Sequence[float], *, x_label: str, y_label: str, alt: str
) -> None:
    """Draw one bar per name, in the given order."""
    altair = _altair()
    rows = [{"x": name, "y": value} for name, value in zip(names, values, strict=True)]
    chart = (
        altair.Chart(altair.Data(values=rows))  # type: ignore[no-untyped-call]
        .mark_bar()
        .encode(
            x=altair.X("x:O", title=x_label, sort=None, axis=altair.Axis(labelAngle=0)),
            y=altair.Y("y:Q", title=y_label),
        )
    )
    _draw(chart, alt)


def named_bars(names: Sequence[str], values: Sequence[float], *, x_label: str, alt: str) -> None:
    """Draw one bar to the right per name, which stands before it; equal names have bars each."""
    altair = _altair()
    rows = [
        {"place": place, "name": name, "value": value}
        for place, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    known = ", ".join(json.dumps(name) for name in names)
    axis = altair.Axis(
        labelExpr=f"[{known}][datum.value]", labelLimit=_NAME_PX, labelOverlap=False, title=None
    )
    chart = (
        altair.Chart(altair.Data(values=rows))  # type: ignore[no-untyped-call]
        .mark_bar()
        .encode(
            # The title ends with the axis: centred below short bars a phone would cut it.
            x=altair.X("value:Q", title=x_label, axis=altair.Axis(tickCount=8, titleAnchor="end")),
            y=altair.Y("place:O", sort=None, axis=axis),
            tooltip=[altair.Tooltip("name:N", title=" "),
                     altair.Tooltip("value:Q", title=x_label, format=".1f")],
        )
    )  # fmt: skip
    _draw(chart, alt, 60 + _BAR_PX * len(rows))


def _altair() -> Any:
    """Return altair, imported here because other tabs do not need its 0.25 s.

    Altair uses a pandas that another thread is still importing: this import waits for its end.
    """
    import_module("pandas")
    return import_module("altair")


def _draw(chart: altair.Chart, alt: str, height: int = _HEIGHT) -> None:
    silent = (
        chart.properties(height=height)
        .configure(aria=False)
        .configure_mark(aria=False)
        .configure_axis(aria=False)
        .configure_legend(aria=False, orient="bottom")
    )
    st.altair_chart(silent, alt=alt)
