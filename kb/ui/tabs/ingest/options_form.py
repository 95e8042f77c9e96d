"""The fields of options, of a run and of a followed source, made from their declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from kb.options import (
    OPTIONS,
    SOURCE_OPTIONS,
    Option,
    RunOptions,
    SourceOptions,
    parse_metadata,
)
from kb.service import Service
from kb.service.option_suggestions import option_suggestions
from kb.service.views import Preset
from kb.ui.i18n import has_text, text
from kb.ui.widgets import messages

# The share of a row that a field takes, by the kind of its option.
_WIDTHS = {"number": 2, "choice": 2, "text": 2, "list": 3, "pairs": 4}
_ROW_WIDTH = 9
_ALL: Mapping[str, Option] = {**OPTIONS, **SOURCE_OPTIONS}


@dataclass(frozen=True, slots=True)
class OptionsForm:
    """The fields of one form; `name` separates their state from that of other forms.

    With `preset` each field shows the value in force: the preset's figure or the setting. Without
    it the fields start with the stored `values`, or empty, and an empty field means the setting at
    the time of the run.
    """

    name: str
    service: Service
    preset: Preset | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def key(self, option_name: str) -> str:
        """Return the session's key of an option's field; a preset's figures have their own."""
        if self.preset is not None and _ALL[option_name].is_preset_figure:
            return f"{self.name}_{option_name}_{self.preset.name}"
        return f"{self.name}_{option_name}"

    def value(self, option_name: str) -> Any:
        """Return the option's value in the form, None for the setting's or preset's.

        Raises UsageError for metadata that is not `key=value`.
        """
        option = _ALL[option_name]
        value = st.session_state.get(self.key(option_name))
        if option.kind == "pairs":
            pairs = str(value or "").split(",")
            return parse_metadata(pair for pair in pairs if pair.strip()) or None
        if option.kind == "list":
            # In a form that shows the values in force, an empty list is a choice too.
            return tuple(value) if value or (value is not None and self.preset) else None
        if value is None or value == "":
            return option.default
        if self.preset is not None and option.is_preset_figure:
            return None if value == getattr(self.preset, option_name) else value
        return value

    def run_options(self) -> RunOptions:
        """Return the options in the form.

        Raises SettingsError for figures that contradict each other, UsageError for metadata.
        """
        values = {name: self.value(name) for name in OPTIONS}
        if self.preset is not None:
            values["preset"] = self.preset.name
        options = RunOptions(**values)
        options.resolve_preset(self.service.settings)
        return options

    def source_options(self) -> SourceOptions:
        """Return the options of a followed source in the form. Raises UsageError."""
        values = {name: self.value(name) for name in SOURCE_OPTIONS}
        return SourceOptions(**values).checked()

    def forget(self) -> None:
        """Forget what was typed: the fields show the stored values again."""
        for name in _ALL:
            st.session_state.pop(self.key(name), None)

    def draw_figures(self) -> None:
        """Draw the preset's figures in an expander, to be changed for this run."""
        assert self.preset is not None
        figures = [option for option in OPTIONS.values() if option.is_preset_figure]
        with st.expander(text("preset_adjust")):
            label = messages.escape_markdown(self.preset.label)
            st.caption(text("preset_adjust_help", preset=label))
            for column, option in zip(st.columns(len(figures), gap="small"), figures, strict=True):
                self._field(option, column)

    def draw_choices(self) -> None:
        """Draw the options beside preset and figures."""
        self._rows(
            option
            for name, option in OPTIONS.items()
            if name != "preset" and not option.is_preset_figure
        )

    def draw_for_subscription(self) -> None:
        """Draw the options that apply to every listing, the preset as a list of names."""
        self._rows(option for option in OPTIONS.values() if not option.single_run)
        self._rows(SOURCE_OPTIONS.values())

    def _rows(self, options: Iterable[Option]) -> None:
        chosen = list(options)
        for row in _rows([option for option in chosen if option.kind != "switch"]):
            widths = [_WIDTHS[option.kind] for option in row]
            spare = _ROW_WIDTH - sum(widths)
            columns = st.columns([*widths, spare] if spare else widths, gap="small")
            for option, column in zip(row, columns, strict=False):
                self._field(option, column)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            for option in chosen:
                if option.kind == "switch":
                    self._field(option, st)

    def _field(self, option: Option, place: Any) -> None:
        """Draw the field of one option into `place`, a column or the page."""
        name, value = option.name, self._shown(option)
        common = {
            "label": text(f"option_{name}"),
            "key": self.key(name),
            "help": text(f"option_{name}_help") if has_text(f"option_{name}_help") else None,
            "persist_state": "session",
        }
        unset = text("option_unset")
        if option.kind == "number":
            number = option.value_type
            low, high = (option.range.low, option.range.high) if option.range else (None, None)
            place.number_input(
                value=None if value is None else number(value), step=number(option.step),
                min_value=None if low is None else number(low),
                max_value=None if high is None else number(high), placeholder=unset, **common,
            )  # fmt: skip
        elif option.kind == "switch" and (self.preset is not None or option.default is not None):
            place.checkbox(value=bool(value), **common)
        elif option.kind == "switch":
            place.selectbox(
                options=[True, False], index=None if value is None else int(not value),
                placeholder=unset, width=220,
                format_func=lambda chosen: text("option_yes" if chosen else "option_no"), **common,
            )  # fmt: skip
        elif option.kind == "pairs":
            pairs = ", ".join(f"{key}={each}" for key, each in (value or {}).items())
            place.text_input(
                value=pairs, placeholder=text(f"option_{name}_placeholder"), **common
            )  # fmt: skip
        elif option.kind == "text" and name in SOURCE_OPTIONS:
            place.text_input(
                value=value or "", placeholder=text(f"option_{name}_placeholder"), **common
            )
        else:
            self._choice(option, place, value, common)

    def _choice(self, option: Option, place: Any, value: Any, common: dict[str, Any]) -> None:
        """Draw a field with values to choose from."""
        labels = self._labels(option)

        def label(chosen: str) -> str:
            return labels.get(chosen, chosen)

        placeholder = text("option_unset")
        if self.preset is not None and has_text(f"option_{option.name}_default"):
            placeholder = text(f"option_{option.name}_default")
        if option.kind == "list":
            shown = [each for each in value or () if each in labels]
            place.multiselect(
                options=list(labels), default=shown, placeholder=placeholder, format_func=label,
                **common,
            )  # fmt: skip
            return
        names = list(dict.fromkeys([*([value] if value else []), *labels]))
        place.selectbox(
            options=names, index=names.index(value) if value else None, placeholder=placeholder,
            accept_new_options=option.kind == "text" and option.name != "preset",
            format_func=label, **common,
        )  # fmt: skip

    def _labels(self, option: Option) -> dict[str, str]:
        """Return the values to choose from and their labels."""
        if option.name == "preset":
            return {name: preset.label for name, preset in self.service.presets.all().items()}
        labels: dict[str, str] = {}
        values = dict.fromkeys(option.choices, "") or option_suggestions(option.name)
        for value, note in values.items():
            key = f"option_{option.name}_{value}"
            words = text(key) if has_text(key) else value
            labels[value] = f"{words} ({note})" if note else words
        return labels

    def _shown(self, option: Option) -> Any:
        """Return the initial value of a field."""
        if self.preset is None:
            return self.values.get(option.name, option.default)
        if option.is_preset_figure:
            return getattr(self.preset, option.name)
        return option.setting(self.service.settings)


def _rows(options: Sequence[Option]) -> list[list[Option]]:
    """Return the options in rows that are filled by their fields."""
    rows: list[list[Option]] = []
    free = 0
    for option in options:
        width = _WIDTHS[option.kind]
        if width > free:
            rows.append([])
            free = _ROW_WIDTH
        rows[-1].append(option)
        free -= width
    return rows
