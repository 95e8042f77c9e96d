"""Charts with axes and one alternative text for screen readers.

Vega exposes every mark to screen readers without a name. Here the marks are hidden from them, and
`alt` describes the chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    import altair

_HEIGHT = 200


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    x_label: str,
    y_label: str,
    alt: str,
) -> None:
    """Draw one line per series over the same x values."""
    import altair  # the import takes 0.25 s, which the other tabs do not need

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
    import altair

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


def _draw(chart: altair.Chart, alt: str) -> None:
    silent = (
        chart.properties(height=_HEIGHT)
        .configure(aria=False)
        .configure_mark(aria=False)
        .configure_axis(aria=False)
        .configure_legend(aria=False, orient="bottom")
    )
    st.altair_chart(silent, alt=alt)
