"""Kept films: found by their name, and removed by size and age."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kb.library.products import Products, forget_products, product_name
from kb.storage.atomic import temporary_name


def keep(products: Products, stem: str, name: str, size: int, age_s: float = 0.0) -> None:
    with products.draft(stem, ".mp4") as draft:
        draft.write_bytes(b"x" * size)
        made = products.keep(draft, stem, name, ["a remark"])
    at = made.path.stat().st_mtime - age_s
    os.utime(made.path, (at, at))


A, B, C = (product_name({"film": name}) for name in "abc")


def test_the_same_inputs_have_the_same_name() -> None:
    assert product_name({"a": 1, "b": [2]}) == product_name({"b": [2], "a": 1})
    assert len({A, B, C, product_name({"film": "a", "more": 1})}) == 4


def test_a_film_is_found_with_its_remarks(tmp_path: Path) -> None:
    products = Products(tmp_path, 1, 30)
    keep(products, "stem", A, 100)
    found = products.find("stem", A, ".mp4")
    assert found is not None and found.path.stat().st_size == 100
    assert found.remarks == ["a remark"]
    for stem, name, suffix in (("stem", B, ".mp4"), ("stem", A, ".mkv"), ("other", A, ".mp4")):
        assert products.find(stem, name, suffix) is None
    assert {path.name for path in found.path.parent.iterdir()} == {f"{A}.mp4", f"{A}.json"}
    with pytest.raises(ZeroDivisionError), products.draft("stem", ".mp4") as draft:
        draft.write_bytes(b"half")
        raise ZeroDivisionError
    assert products.use().count == 1 and len(list(found.path.parent.iterdir())) == 2


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    products = Products(tmp_path, 250 / 1e9, 30)
    for name, age_s in ((A, 300.0), (B, 200.0), (C, 100.0)):
        keep(products, name[:8], name, 100, age_s)
    assert products.find(A[:8], A, ".mp4")  # used now
    assert products.trim() == 1
    assert products.find(B[:8], B, ".mp4") is None and not (products.folder / B[:8]).exists()
    assert products.use().size_bytes == 200
    assert Products(tmp_path, 0, 30).trim() == 2


def test_old_ones_go_and_nothing_else(tmp_path: Path) -> None:
    products = Products(tmp_path, 1, 2)
    keep(products, "stem", A, 10, 3 * 86_400.0)
    keep(products, "stem", B, 10, 1 * 86_400.0)
    own = products.folder / "stem" / "own.mp4"
    own.write_bytes(b"mine")
    assert products.trim() == 1
    assert products.find("stem", B, ".mp4") and own.exists()
    forget_products(tmp_path, "")
    forget_products(tmp_path, "stem")
    assert products.use().count == 0 and not (products.folder / "stem").exists()


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    products = Products(tmp_path, 1, 30)
    keep(products, "stem", A, 10)
    left = products.folder / "stem" / temporary_name().replace(str(os.getpid()), "4194399")
    left.mkdir()
    (left / "film.mp4").write_bytes(b"half")
    products.trim()
    assert not left.exists() and products.use().count == 1
