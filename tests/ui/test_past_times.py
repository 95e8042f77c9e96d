"""Times of what has happened: one in the future was written by a wrong clock and says nothing."""

from __future__ import annotations

import time

import pytest

from kb.cli.output import times
from kb.types.clock import SLACK_S
from kb.ui.i18n import text
from kb.ui.widgets import messages


@pytest.mark.parametrize(
    ("ahead_s", "known"),
    [
        (-400 * 86_400.0, True), (-60.0, True), (0.0, True),
        (SLACK_S / 2, True),  # the clocks of several machines differ by less
        (SLACK_S + 60, False), (86_400.0, False), (400 * 86_400.0, False),
    ],
)  # fmt: skip
def test_a_time_of_the_past_is_not_in_the_future(ahead_s: float, known: bool) -> None:
    moment = time.time() + ahead_s
    shown = (messages.format_past(moment), times.format_past(moment))
    if known:
        assert shown == (messages.format_datetime(moment), times.format_moment(moment))
    else:
        assert shown == (text("time_unknown"), "(time unknown)")
