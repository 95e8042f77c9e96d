"""Charts with axes that a reader of the screen can tell from ornament: one text for the whole.

Vega marks every stroke for screen readers and gives none of them a name; here the strokes are
silent and the chart speaks through its `alt`.
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
    """One line a series over the same places."""
    import altair  # a quarter of a second that the other tabs' first visitor need not wait

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
    """One bar a name, in the order given."""
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
