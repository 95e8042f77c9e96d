"""The figures of a preset, their accepted values, and changes for one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kb.errors import SettingsError
from kb.types import Timestamps


def _is_boolean(value: object) -> bool:
    """Return True for a boolean, also for one that keeps its place in a YAML file."""
    if isinstance(value, bool) or type(value) in (int, float, str):
        return isinstance(value, bool)
    from ruamel.yaml.scalarbool import ScalarBoolean  # not at the start of every command

    return isinstance(value, ScalarBoolean)


@dataclass(frozen=True, slots=True)
class Range:
    """The accepted values of a figure, both ends included, and the option that overrides it."""

    kind: type[int] | type[float]
    low: float
    high: float
    option: str

    def problem(self, value: object) -> SettingsError | None:
        """Return the mistake in a value, as the end of a sentence; None for a valid value."""
        # In Python a boolean is a number as well; in a preset it is a mistake.
        is_number = isinstance(value, self.kind | int) and not _is_boolean(value)
        # NaN compares false with every number, so it is rejected here as well.
        if is_number and self.low <= value <= self.high:  # type: ignore[operator]
            return None
        if self.kind is int:
            return SettingsError(
                "preset.whole",
                "must be a whole number from {low:g} to {high:g}, not {value}",
                low=self.low,
                high=self.high,
                value=quote(value),
            )
        return SettingsError(
            "preset.number",
            "must be a number from {low:g} to {high:g}, not {value}",
            low=self.low,
            high=self.high,
            value=quote(value),
        )


RANGES: Mapping[str, Range] = {
    "batch_size": Range(int, 1, 256, "--batch-size"),
    "chunk_s": Range(float, 5, 600, "--chunk"),
    "overlap_s": Range(float, 0, 300, "--overlap"),
    "workers": Range(int, 1, 32, "--workers"),
    "vram_budget_gb": Range(float, 0.5, 1024, "--vram-budget"),
}
_TIMESTAMPS = ("segment", "word")
FIGURE_OPTIONS = {key: limits.option for key, limits in RANGES.items()} | {
    "timestamps": "--timestamps"
}


@dataclass(frozen=True, slots=True)
class Preset:
    """A set of performance figures; `presets.yaml` explains them.

    `batch_size` is the most windows in a call, `chunk_s` and `overlap_s` are in seconds, `workers`
    is the number of items prepared at once, `vram_budget_gb` has units of 2^30 bytes. The
    constructor raises SettingsError for a value out of range.
    """

    name: str
    label: str
    batch_size: int
    chunk_s: float
    overlap_s: float
    workers: int
    timestamps: Timestamps
    vram_budget_gb: float

    def __post_init__(self) -> None:
        for key in FIGURE_OPTIONS:
            problem = figure_problem(key, getattr(self, key), self.chunk_s)
            if problem:
                raise SettingsError(
                    "preset.value",
                    "Preset {name}: {key} {problem}.",
                    hint="See presets.yaml.",
                    name=self.name,
                    key=key,
                    problem=problem,
                )


def override(
    preset: Preset,
    *,
    batch_size: int | None = None,
    chunk_s: float | None = None,
    overlap_s: float | None = None,
    workers: int | None = None,
    timestamps: Timestamps | None = None,
    vram_budget_gb: float | None = None,
) -> Preset:
    """Return the preset with some figures replaced for one run; None keeps a figure.

    If only the chunk is shortened and the overlap no longer fits, the overlap shrinks in
    proportion. Raises SettingsError with the option and the accepted values.
    """
    overrides: dict[str, Any] = {
        "batch_size": batch_size,
        "chunk_s": chunk_s,
        "overlap_s": overlap_s,
        "workers": workers,
        "timestamps": timestamps,
        "vram_budget_gb": vram_budget_gb,
    }
    changes = {key: value for key, value in overrides.items() if value is not None}
    chunk = changes.get("chunk_s", preset.chunk_s)
    for key, value in changes.items():
        problem = figure_problem(key, value, chunk)
        if problem:
            raise SettingsError(
                "preset.option",
                "{option} {problem}.",
                hint="kb presets shows the presets' own figures.",
                option=FIGURE_OPTIONS[key],
                problem=problem,
            )
    if "overlap_s" not in changes and figure_problem("overlap_s", preset.overlap_s, chunk):
        changes["overlap_s"] = preset.overlap_s * chunk / preset.chunk_s
    return replace(preset, **changes)


def figure_problem(key: str, value: Any, chunk_s: float) -> SettingsError | None:
    """Return the mistake in a value, as the end of a sentence that begins with its key."""
    if key == "timestamps":
        if isinstance(value, str) and value in _TIMESTAMPS:
            return None
        return SettingsError(
            "preset.timestamps", "must be segment or word, not {value}", value=quote(value)
        )
    problem = RANGES[key].problem(value)
    if problem or key != "overlap_s" or RANGES["chunk_s"].problem(chunk_s):
        return problem
    if 2 * value >= chunk_s:
        return SettingsError(
            "preset.overlap",
            "must be less than half of the chunk ({half:g} s), not {value}",
            half=chunk_s / 2,
            value=quote(value),
        )
    return None


def quote(value: object) -> str:
    """Return a value approximately as in the file, so that it can be found there."""
    if isinstance(value, str):
        return f"“{value}”"
    if value is None:
        return "nothing"
    if _is_boolean(value):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "a block"
    return str(value)
