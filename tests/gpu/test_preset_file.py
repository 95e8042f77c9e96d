"""The preset file changed by a program: all else in it stays, mistakes name line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu.preset_file import with_preset, without_preset, write_text
from gpu.presets import check_presets, read_preset_file
from kb.errors import KBError, SettingsError, UsageError
from kb.settings import PROJECT_ROOT
from tests.support.raising import raises

FIGURES: dict[str, object] = {
    "label": "🌙 NACHT", "batch_size": 4, "chunk_s": 20.0, "overlap_s": 2.5, "workers": 1,
    "timestamps": "word", "vram_budget_gb": 10.0,
}  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "presets.yaml"
    target.write_bytes((PROJECT_ROOT / "presets.yaml").read_bytes())
    return target


def test_a_figure_changes_its_line_and_no_other(path: Path) -> None:
    before = read_preset_file(path)
    after = with_preset(before, "max", {"batch_size": 48}, path)
    old, new = before.splitlines(), after.splitlines()
    changed = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
    assert changed == [("  batch_size: 56", "  batch_size: 48")]


def test_a_new_preset_stands_last_and_goes_without_a_trace(path: Path) -> None:
    before = read_preset_file(path)
    after = with_preset(before, "nacht", FIGURES, path)
    assert after.startswith(before)
    made = check_presets(after, path)["nacht"]
    assert (made.label, made.overlap_s, made.timestamps) == ("🌙 NACHT", 2.5, "word")
    assert without_preset(after, "nacht", path) == before


@pytest.mark.parametrize(
    ("changes", "code", "values"),
    [
        (
            {"overlap_s": 40},
            "presets.value",
            {"key": "overlap_s", "problem": ("preset.overlap", {"half": 30.0, "value": "40"})},
        ),
        (
            {"batch_size": 0},
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "0"}),
            },
        ),
        (
            {"timestamps": "line"},
            "presets.value",
            {"key": "timestamps", "problem": ("preset.timestamps", {"value": "“line”"})},
        ),
        ({"label": "🛡️ STABIL"}, "presets.same_name", {"other": "stabil"}),
    ],
)
def test_mistakes_name_line_and_field(
    path: Path, changes: dict[str, object], code: str, values: dict[str, object]
) -> None:
    with raises(SettingsError, code, path=path, name="max", **values) as caught:
        with_preset(read_preset_file(path), "max", changes, path)
    assert f"{path}, line {caught.value.values['line']}" in caught.value.message


@pytest.mark.parametrize("name", ["", "two words", "a-b", "1st", "x" * 50])
def test_invalid_preset_names(path: Path, name: str) -> None:
    with raises(SettingsError, "presets.name", name=name):
        with_preset(read_preset_file(path), name, FIGURES, path)


def test_text_is_written_only_if_valid_and_unchanged_meanwhile(path: Path) -> None:
    seen = read_preset_file(path)
    with raises(SettingsError, "presets.unknown_key_close", path=path, line=5):
        write_text(
            path, "stabil:\n  batch_size: 8\n  chunk_s: 20\n\n  batch_siez: 8\n", expected=seen
        )
    assert read_preset_file(path) == seen
    other = with_preset(seen, "max", {"workers": 3}, path)
    assert write_text(path, other, expected=seen)["max"].workers == 3
    with raises(UsageError, "presets.changed", path=path):
        write_text(path, seen, expected=seen)


def test_the_last_preset_stays(path: Path) -> None:
    text = read_preset_file(path)
    for name in ("stabil", "optimiert", "schnell"):
        text = without_preset(text, name, path)
    with raises(KBError, "presets.last", name="max"):
        without_preset(text, "max", path)
