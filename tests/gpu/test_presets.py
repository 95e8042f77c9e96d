"""Presets: the figures, their lookup and overrides, and the errors of a faulty file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu.preset_figures import Preset, override
from gpu.presets import find_preset, load_presets
from kb.errors import SettingsError
from kb.settings import PROJECT_ROOT
from tests.support.raising import raises

GOOD = """\
# a comment
mine:
  label: "🐢 MINE"
  batch_size: 4
  chunk_s: 25.5
  overlap_s: 2
  workers: 1
  timestamps: word
  vram_budget_gb: 6
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "presets.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_projects_presets_are_the_designs_figures() -> None:
    figures = {
        tuple(getattr(preset, key) for key in Preset.__dataclass_fields__)
        for preset in load_presets(PROJECT_ROOT / "presets.yaml").values()
    }
    assert figures == {
        ("stabil", "🛡️ STABIL", 8, 20, 2, 1, "segment", 20),
        ("optimiert", "⚡ OPTIMIERT", 16, 30, 3, 2, "segment", 20),
        ("schnell", "🚀 SCHNELL", 32, 45, 5, 4, "word", 22),
        ("max", "🔥 MAX. SCHNELL", 56, 60, 8, 6, "word", 22),
    }


def test_every_key_and_limit_is_explained_in_the_file() -> None:
    comments = [
        line
        for line in (PROJECT_ROOT / "presets.yaml").read_text("utf-8").splitlines()
        if line.startswith("#")
    ]
    explained = "\n".join(comments)
    for key in Preset.__dataclass_fields__:
        assert key == "name" or f"#   {key} " in explained


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("max", "max"),
        ("MAX", "max"),
        ("MAX. SCHNELL", "max"),
        ("max schnell", "max"),
        ("Max-Schnell", "max"),
        ("🔥 MAX. SCHNELL", "max"),
        (" Schnell ", "schnell"),
        ("🛡️ stabil", "stabil"),
        ("OPTIMIERT", "optimiert"),
    ],
)
def test_a_preset_answers_to_its_name_and_its_label(asked: str, name: str) -> None:
    assert find_preset(asked).name == name


@pytest.mark.parametrize("asked", ["turbo", "", "🔥", "schnel"])
def test_an_unknown_preset_lists_the_known_ones(asked: str) -> None:
    code = "preset.unknown_close" if asked == "schnel" else "preset.unknown"
    known = "stabil, optimiert, schnell, max"
    with raises(SettingsError, code, name=f"“{asked}”", known=known) as caught:
        find_preset(asked)
    assert caught.value.exit_code == 2
    assert ("schnell" in caught.value.hint) == (asked == "schnel")


def test_a_users_file_and_preset(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + GOOD)
    mine = Preset("mine", "🐢 MINE", 4, 25.5, 2, 1, "word", 6)
    assert load_presets(path) == {"mine": mine}
    assert type(load_presets(path)["mine"].batch_size) is int
    assert find_preset("Mine", load_presets(path)) == mine
    without_label = GOOD.replace('  label: "🐢 MINE"\n', "")
    assert load_presets(write(tmp_path, without_label))["mine"].label == "MINE"


@pytest.mark.parametrize(
    ("old", "new", "line", "code", "values"),
    [
        (
            "batch_size: 4",
            "batch_size: true",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "true"}),
            },
        ),
        (
            "batch_size: 4",
            "batch_size: '4'",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "“4”"}),
            },
        ),
        (
            "batch_size: 4",
            "batch_size: 4.5",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "4.5"}),
            },
        ),
        (
            "batch_size: 4",
            "batch_size: 0",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "0"}),
            },
        ),
        (
            "batch_size: 4",
            "batch_size: 257",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "257"}),
            },
        ),
        (
            "batch_size: 4",
            "batch_size: [4]",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "a list"}),
            },
        ),
        (
            "batch_size: 4",
            "batch_size:",
            4,
            "presets.value",
            {
                "key": "batch_size",
                "problem": ("preset.whole", {"low": 1, "high": 256, "value": "nothing"}),
            },
        ),
        (
            "batch_size: 4",
            "batchsize: 4",
            4,
            "presets.unknown_key_close",
            {"key": "“batchsize”", "close": "batch_size"},
        ),
        (
            "chunk_s: 25.5",
            "chunk_s: .nan",
            5,
            "presets.value",
            {
                "key": "chunk_s",
                "problem": ("preset.number", {"low": 5, "high": 600, "value": "nan"}),
            },
        ),
        (
            "chunk_s: 25.5",
            "chunk_s: .inf",
            5,
            "presets.value",
            {
                "key": "chunk_s",
                "problem": ("preset.number", {"low": 5, "high": 600, "value": "inf"}),
            },
        ),
        (
            "chunk_s: 25.5",
            "chunk_s: yes",
            5,
            "presets.value",
            {
                "key": "chunk_s",
                "problem": ("preset.number", {"low": 5, "high": 600, "value": "“yes”"}),
            },
        ),
        (
            "overlap_s: 2",
            "overlap_s: 12.75",
            6,
            "presets.value",
            {"key": "overlap_s", "problem": ("preset.overlap", {"half": 12.75, "value": "12.75"})},
        ),
        (
            "overlap_s: 2",
            "overlap_s: -1",
            6,
            "presets.value",
            {
                "key": "overlap_s",
                "problem": ("preset.number", {"low": 0, "high": 300, "value": "-1"}),
            },
        ),
        (
            "workers: 1",
            "workers: 33",
            7,
            "presets.value",
            {"key": "workers", "problem": ("preset.whole", {"low": 1, "high": 32, "value": "33"})},
        ),
        (
            "timestamps: word",
            "timestamps: words",
            8,
            "presets.value",
            {"key": "timestamps", "problem": ("preset.timestamps", {"value": "“words”"})},
        ),
        (
            "timestamps: word",
            "timestamps: true",
            8,
            "presets.value",
            {"key": "timestamps", "problem": ("preset.timestamps", {"value": "true"})},
        ),
        (
            "vram_budget_gb: 6",
            "vram_budget_gb: 0",
            9,
            "presets.value",
            {
                "key": "vram_budget_gb",
                "problem": ("preset.number", {"low": 0.5, "high": 1024, "value": "0"}),
            },
        ),
        (
            "vram_budget_gb: 6",
            "vram_gb: 6",
            9,
            "presets.unknown_key_close",
            {"key": "“vram_gb”", "close": "vram_budget_gb"},
        ),
        ("  workers: 1\n", "", 2, "presets.key_missing", {"name": "mine", "key": "workers"}),
        (
            "workers: 1",
            "batch_size: 9",
            7,
            "presets.yaml_mark",
            {"cause": 'duplicate key "batch_size"'},
        ),
        ('label: "🐢 MINE"', "label: 7", 3, "presets.label", {"name": "mine", "value": "7"}),
        ('label: "🐢 MINE"', 'label: "🐢"', 3, "presets.label", {"name": "mine", "value": "“🐢”"}),
        ("mine:", "7:", 2, "presets.no_name", {"name": "7"}),
        ("mine:", "mine: {", None, "presets.yaml_mark", {}),
        ("workers: 1", "workers: [1", None, "presets.yaml_mark", {}),
        ("  batch_size: 4", "\tbatch_size: 4", None, "presets.yaml_mark", {}),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    tmp_path: Path, old: str, new: str, line: int | None, code: str, values: dict[str, object]
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    if line is not None:  # where YAML itself is broken, its reader says where it noticed
        values = {**values, "line": line}
    if code == "presets.value":
        values = {**values, "name": "mine"}
    with raises(SettingsError, code, path=path, **values) as caught:
        load_presets(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {caught.value.values['line']}: ")
    assert caught.value.hint
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "line", "code", "values"),
    [
        ("", 1, "presets.no_presets", {"value": "nothing"}),
        ("# only a comment\n", 1, "presets.no_presets", {"value": "nothing"}),
        ("just words\n", 1, "presets.no_presets", {"value": "“just words”"}),
        ("- a\n- b\n", 1, "presets.no_presets", {"value": "a list"}),
        ("mine: 5\n", 1, "presets.no_figures", {"name": "mine"}),
        ("a: 1\nmine:\n", 1, "presets.no_figures", {"name": "a"}),
        (
            GOOD + GOOD.replace("# a comment", ""),
            11,
            "presets.yaml_mark",
            {"cause": 'duplicate key "mine"'},
        ),
        (
            GOOD + GOOD.replace("mine:", "Mine!:").replace("# a comment\n", ""),
            10,
            "presets.same_name",
            {"name": "Mine!", "other": "mine"},
        ),
        ("a: \x01\n", 1, "presets.yaml", {}),
    ],
)
def test_a_file_that_is_no_preset_file(
    tmp_path: Path, text: str | bytes, line: int, code: str, values: dict[str, object]
) -> None:
    path = write(tmp_path, text)
    with raises(SettingsError, code, path=path, **values) as caught:
        load_presets(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with raises(SettingsError, "presets.not_readable", path=path) as caught:
            load_presets(path)
        assert "KB_PRESETS_FILE" in caught.value.hint


def test_one_figure_for_all_by_a_yaml_merge(tmp_path: Path) -> None:
    text = GOOD.replace("mine:", "mine: &base") + "other:\n  <<: *base\n  batch_size: 8\n"
    text = text.replace('  label: "🐢 MINE"\n', "")
    presets = load_presets(write(tmp_path, text))
    assert presets["other"].batch_size == 8
    assert presets["other"].chunk_s == presets["mine"].chunk_s == 25.5


def test_every_figure_can_be_overridden() -> None:
    base = find_preset("optimiert")
    changed = override(
        base,
        batch_size=2,
        chunk_s=40,
        overlap_s=0,
        workers=3,
        timestamps="word",
        vram_budget_gb=8,
    )
    assert changed == Preset(base.name, base.label, 2, 40, 0, 3, "word", 8)
    assert override(base) == base


def test_a_shorter_chunk_takes_its_overlap_along() -> None:
    assert override(find_preset("max"), chunk_s=15).overlap_s == 2
    assert override(find_preset("max"), chunk_s=30).overlap_s == 8


@pytest.mark.parametrize(
    ("change", "option", "problem"),
    [
        (
            {"batch_size": 0},
            "--batch-size",
            ("preset.whole", {"low": 1, "high": 256, "value": "0"}),
        ),
        (
            {"batch_size": True},
            "--batch-size",
            ("preset.whole", {"low": 1, "high": 256, "value": "true"}),
        ),
        ({"chunk_s": 4}, "--chunk", ("preset.number", {"low": 5, "high": 600, "value": "4"})),
        ({"overlap_s": 15}, "--overlap", ("preset.overlap", {"half": 15.0, "value": "15"})),
        (
            {"chunk_s": 10, "overlap_s": 5},
            "--overlap",
            ("preset.overlap", {"half": 5.0, "value": "5"}),
        ),
        ({"workers": 99}, "--workers", ("preset.whole", {"low": 1, "high": 32, "value": "99"})),
        ({"timestamps": "none"}, "--timestamps", ("preset.timestamps", {"value": "“none”"})),
    ],
)
def test_a_wrong_override_names_the_option(
    change: dict[str, Any], option: str, problem: tuple[str, dict[str, object]]
) -> None:
    with raises(SettingsError, "preset.option", option=option, problem=problem):
        override(find_preset("optimiert"), **change)


def test_a_preset_made_in_code_is_checked_too() -> None:
    with raises(SettingsError, "preset.value", name="x", key="workers", problem="preset.whole"):
        Preset("x", "X", 8, 20, 2, 0, "segment", 20)
