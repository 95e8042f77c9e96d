"""Presets: the figures, their lookup and overrides, and the errors of a faulty file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu.presets import Preset, find_preset, load_presets, override
from kb.errors import SettingsError
from kb.settings import PROJECT_ROOT

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
    with pytest.raises(SettingsError, match="stabil, optimiert, schnell, max") as caught:
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
    ("old", "new", "line", "parts"),
    [
        ("batch_size: 4", "batch_size: true", 4, ["mine", "batch_size", "1 to 256", "true"]),
        ("batch_size: 4", "batch_size: '4'", 4, ["batch_size", "whole number", "“4”"]),
        ("batch_size: 4", "batch_size: 4.5", 4, ["batch_size", "whole number", "4.5"]),
        ("batch_size: 4", "batch_size: 0", 4, ["batch_size", "1 to 256", "not 0"]),
        ("batch_size: 4", "batch_size: 257", 4, ["batch_size", "257"]),
        ("batch_size: 4", "batch_size: [4]", 4, ["batch_size", "a list"]),
        ("batch_size: 4", "batch_size:", 4, ["batch_size", "not nothing"]),
        ("batch_size: 4", "batchsize: 4", 4, ["unknown key", "batchsize"]),
        ("chunk_s: 25.5", "chunk_s: .nan", 5, ["chunk_s", "5 to 600"]),
        ("chunk_s: 25.5", "chunk_s: .inf", 5, ["chunk_s", "5 to 600"]),
        ("chunk_s: 25.5", "chunk_s: yes", 5, ["chunk_s", "“yes”"]),
        ("overlap_s: 2", "overlap_s: 12.75", 6, ["overlap_s", "half of the chunk (12.75 s)"]),
        ("overlap_s: 2", "overlap_s: -1", 6, ["overlap_s", "-1"]),
        ("workers: 1", "workers: 33", 7, ["workers", "1 to 32"]),
        ("timestamps: word", "timestamps: words", 8, ["timestamps", "segment or word", "words"]),
        ("timestamps: word", "timestamps: true", 8, ["timestamps", "segment or word", "true"]),
        ("vram_budget_gb: 6", "vram_budget_gb: 0", 9, ["vram_budget_gb", "0.5 to 1024"]),
        ("vram_budget_gb: 6", "vram_gb: 6", 9, ["unknown key", "vram_gb"]),
        ("  workers: 1\n", "", 2, ["mine", "workers is missing"]),
        ("workers: 1", "batch_size: 9", 7, ["duplicate", "batch_size"]),
        ('label: "🐢 MINE"', "label: 7", 3, ["label", "not 7"]),
        ('label: "🐢 MINE"', 'label: "🐢"', 3, ["label"]),
        ("mine:", "7:", 2, ["7", "preset name"]),
        ("mine:", "mine: {", 2, []),
        ("workers: 1", "workers: [1", 8, []),
        ("  batch_size: 4", "\tbatch_size: 4", 4, []),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, parts: list[str]
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SettingsError) as caught:
        load_presets(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line ")
    if parts:  # where YAML itself is broken, its reader says where it noticed
        assert message.startswith(f"{path}, line {line}: ")
    for part in parts:
        assert part in message
    assert caught.value.hint
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("", 1, "nothing"),
        ("# only a comment\n", 1, "nothing"),
        ("just words\n", 1, "just words"),
        ("- a\n- b\n", 1, "a list"),
        ("mine: 5\n", 1, "has no figures"),
        ("a: 1\nmine:\n", 1, "has no figures"),
        (GOOD + GOOD.replace("# a comment", ""), 11, "duplicate key"),
        (GOOD + GOOD.replace("mine:", "Mine!:").replace("# a comment\n", ""), 10, "same name"),
        (b"a: 1\nb: \xff\xfe\n", 2, "UTF-8"),
        ("a: \x01\n", 1, ""),
    ],
)
def test_a_file_that_is_no_preset_file(
    tmp_path: Path, text: str | bytes, line: int, part: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_presets(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert part in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError, match="cannot be read") as caught:
            load_presets(path)
        assert str(path) in str(caught.value)
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
    ("change", "parts"),
    [
        ({"batch_size": 0}, ["--batch-size", "1 to 256"]),
        ({"batch_size": True}, ["--batch-size", "true"]),
        ({"chunk_s": 4}, ["--chunk", "5 to 600"]),
        ({"overlap_s": 15}, ["--overlap", "half of the chunk (15 s)"]),
        ({"chunk_s": 10, "overlap_s": 5}, ["--overlap", "half of the chunk (5 s)"]),
        ({"workers": 99}, ["--workers", "1 to 32"]),
        ({"timestamps": "none"}, ["--timestamps", "segment or word"]),
    ],
)
def test_a_wrong_override_names_the_option(change: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        override(find_preset("optimiert"), **change)
    for part in parts:
        assert part in str(caught.value)


def test_a_preset_made_in_code_is_checked_too() -> None:
    with pytest.raises(SettingsError, match="Preset x: workers must be"):
        Preset("x", "X", 8, 20, 2, 0, "segment", 20)
