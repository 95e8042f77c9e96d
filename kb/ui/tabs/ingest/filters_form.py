"""The fields of filters, of one listing and of a followed source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import streamlit as st

from kb.service.notation import VideoFilters
from kb.ui.i18n import text

_FIELDS = (
    "after", "before", "playlist", "limit", "min", "max", "title", "captions", "no_shorts", "new",
)  # fmt: skip
_CAPTIONS = {"": None, "with": True, "without": False}
_NO_FILTERS = VideoFilters()


@dataclass(frozen=True, slots=True)
class FiltersForm:
    """The fields of one form; `name` separates their state from that of other forms.

    They begin with `values`. The days of a followed source are typed, because they may move
    (`30d`); its looks take what is new only.
    """

    name: str
    values: VideoFilters = _NO_FILTERS
    followed: bool = False

    @property
    def is_active(self) -> bool:
        """True if a field has a value."""
        return any(self._value(name) for name in _FIELDS)

    def filters(self) -> VideoFilters:
        """Return the filters in the form. Raises UsageError naming the value that is none."""
        return VideoFilters.typed(
            after=self._day("after"),
            before=self._day("before"),
            playlist=str(self._value("playlist") or ""),
            min_duration=str(self._value("min") or ""),
            max_duration=str(self._value("max") or ""),
            title=str(self._value("title") or ""),
            no_shorts=bool(self._value("no_shorts")),
            new=bool(self._value("new")),
            limit=int(self._value("limit") or 0),
            captions=_CAPTIONS[str(self._value("captions") or "")],
        )

    def forget(self) -> None:
        """Forget what was typed: the fields show the stored values again."""
        for name in _FIELDS:
            st.session_state.pop(self._key(name), None)

    def clear(self) -> None:
        """Empty the fields of a followed source; for callbacks."""
        empty = {"limit": None, "no_shorts": False}
        for name in _FIELDS:
            if self._key(name) in st.session_state:
                st.session_state[self._key(name)] = empty.get(name, "")

    def draw(self, playlists: Sequence[str] = ()) -> None:
        """Draw the fields; `playlists` are those of the channel, as far as they are known."""
        own = self.values
        first = st.columns([2, 2, 3, 2], gap="small")
        for place, name, value in (
            (first[0], "after", own.after),
            (first[1], "before", own.before),
        ):
            self._draw_day(place, name, value)
        self._draw_playlist(first[2], own.playlist, playlists)
        first[3].number_input(
            text("filter_newest" if self.followed else "filter_limit"), min_value=0, step=10,
            value=own.limit or None, key=self._key("limit"), placeholder=text("filter_limit_all"),
            persist_state="session",
        )  # fmt: skip
        second = st.columns([2, 2, 3, 2], gap="small", vertical_alignment="bottom")
        least, most = own.min_duration_s, own.max_duration_s
        self._draw_text(second[0], "min", _span(least), placeholder="90s, 5m, 1h30m")
        self._draw_text(second[1], "max", _span(most), placeholder="2h")
        self._draw_text(second[2], "title", own.title, help=text("filter_title_help"))
        labels = {name: text(f"filter_captions_{name or 'any'}") for name in _CAPTIONS}
        second[3].selectbox(
            text("filter_captions"), list(_CAPTIONS),
            index=list(_CAPTIONS.values()).index(own.captions), key=self._key("captions"),
            format_func=labels.__getitem__,
            help=text("filter_captions_help"), persist_state="session",
        )  # fmt: skip
        with st.container(horizontal=True):
            self._draw_switch("no_shorts", own.no_shorts)
            if not self.followed:
                self._draw_switch("new", own.new)

    def _draw_day(self, place: Any, name: str, value: str) -> None:
        if self.followed:
            self._draw_text(
                place, name, value, placeholder="30d, 2024-03-05", help=text("filter_day_help")
            )
            return
        latest = {"max_value": date.today()} if name == "after" else {}
        place.date_input(
            text(f"filter_{name}"), value=None, key=self._key(name), format="YYYY-MM-DD",
            help=text("filter_date_help"), persist_state="session", **latest,
        )  # fmt: skip

    def _draw_playlist(self, place: Any, value: str, playlists: Sequence[str]) -> None:
        """Draw a text field, or one to choose a known playlist or type another."""
        key, kind = self._key("playlist"), self._key("playlist_kind")
        chosen = bool(playlists)
        if st.session_state.get(kind, False) != chosen:
            st.session_state[kind] = chosen
            # The other kind of field takes what this one had.
            st.session_state[key] = st.session_state.get(key) or (None if chosen else "")
        if not chosen:
            self._draw_text(place, "playlist", value, help=text("filter_playlist_help"))
            return
        place.selectbox(
            text("filter_playlist"), list(playlists), index=None, key=key,
            accept_new_options=True, placeholder=text("filter_playlist_all"),
            help=text("filter_playlist_pick_help"), persist_state="session",
        )  # fmt: skip

    def _draw_text(self, place: Any, name: str, value: str, **others: str) -> None:
        place.text_input(
            text(f"filter_{name}"), value=value, key=self._key(name), persist_state="session",
            **others,
        )  # fmt: skip

    def _draw_switch(self, name: str, value: bool) -> None:
        st.checkbox(
            text(f"filter_{name}"), value=value, key=self._key(name), persist_state="session"
        )

    def _day(self, name: str) -> str:
        value = self._value(name)
        return value.isoformat() if isinstance(value, date) else str(value or "").strip()

    def _value(self, name: str) -> Any:
        return st.session_state.get(self._key(name))

    def _key(self, name: str) -> str:
        return f"{self.name}_{name}"


def _span(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:g}s"
