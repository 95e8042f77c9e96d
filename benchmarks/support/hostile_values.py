"""Mutations of documents and texts for `hostile.py`: one field, one stretch of bytes at a time."""

from __future__ import annotations

import copy
import random
from typing import Any

DEEP = 3_000  # levels of nesting; more than Python's recursion limit
LONG = 200_000  # characters

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**30, 1e308, -0.0, "", " ", "0", "-1", "null", [],
    {}, [[]], [None], {"": None}, {"key": "value"}, "x" * 5_000, "\x00", "a\x00b", "\x1b[2J\x07",
    "\u202egpj.exe", "\ud800", "NaN", "1e400", "../../etc/passwd", "javascript:alert(1)", "=1+1",
    "<script>alert(1)</script>", "PT", "PT-5S", "P99999999999999Y", "PT99999999999H",
    "2026-13-45T99:99:99Z", "0000-00-00", "99999-01-01", "T", "١٢٣", "²", float("inf"),
    float("nan"), [1, 2, 3], ["a", None, {}], {"a": [{}]},
)  # fmt: skip

ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1",
    "cp437", "mac-roman", "shift_jis", "utf-7",
)  # fmt: skip
# Encodings that a text editor writes; a text in one of them must be read whole or refused.
CONTROLS = "\x00\x01\x07\x08\x0b\x0c\x1b\x7f\x85\x9b\u200b\u2028\u2029\u202e\ufeff\uffff"


def paths_of(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of every value inside a document, as keys and indices from its root."""
    found = [place]
    if isinstance(value, dict):
        for key, each in value.items():
            found += paths_of(each, (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value[:3]):
            found += paths_of(each, (*place, index))
    return found


def mutated(document: Any, rng: random.Random, *, strict: bool = False) -> tuple[Any, str]:
    """Return the document with one change, and what was changed.

    `strict` uses only values that a JSON document can have.
    """
    whole = copy.deepcopy(document)
    place = rng.choice(paths_of(whole)[1:] or [()])
    kind = rng.choice(("value", "value", "value", "value", "delete", "wrap", "double", "rename"))
    value = rng.choice(VALUES)
    if strict and isinstance(value, float) and value not in (1e308, -0.0):
        value = 1e308
    if not place:
        return value, f"document = {value!r:.40}"
    parent = whole
    for key in place[:-1]:
        parent = parent[key]
    key, name = place[-1], ".".join(map(str, place))
    if kind == "delete":
        del parent[key]
        return whole, f"{name} deleted"
    if kind == "wrap":
        parent[key] = rng.choice(([parent[key]], {"value": parent[key]}, str(parent[key])))
        return whole, f"{name} wrapped"
    if kind == "double" and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
        return whole, f"{name} doubled"
    if kind == "rename" and isinstance(parent, dict):
        parent[f"{key}2"] = parent.pop(key)
        return whole, f"{name} renamed"
    parent[key] = value
    return whole, f"{name} = {value!r:.40}"


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return bytes with one damage, and its name."""
    kind = rng.choice(("cut", "flip", "zeros", "insert", "remove", "double", "swap", "empty"))
    size = len(data)
    at = rng.randrange(size + 1)
    length = rng.choice((1, 2, 7, 64, max(1, size // 10)))
    if kind == "cut":
        return data[:at], f"cut at {at} of {size}"
    if kind == "flip":
        changed = bytearray(data)
        for _ in range(min(length, size)):
            changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
        return bytes(changed), f"{length} bits flipped"
    if kind == "zeros":
        return data[:at] + bytes(length) + data[at + length :], f"{length} zeros at {at}"
    if kind == "insert":
        return data[:at] + rng.randbytes(length) + data[at:], f"{length} random bytes at {at}"
    if kind == "remove":
        return data[:at] + data[at + length :], f"{length} bytes removed at {at}"
    if kind == "double":
        return data * rng.choice((2, 5)), "joined with itself"
    if kind == "swap":
        return data[at:] + data[:at], f"turned at {at}"
    return rng.choice((b"", b" ", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\0")), "nearly empty"


def damaged_text(text: str, rng: random.Random) -> tuple[str, str]:
    """Return a text with one strange stretch, and its name."""
    at = rng.randrange(len(text) + 1)
    kind = rng.choice(("control", "long line", "nested", "lines", "quotes", "value", "repeated"))
    if kind == "control":
        character = rng.choice(CONTROLS)
        return text[:at] + character + text[at:], f"{character!r} at {at}"
    if kind == "long line":
        return text[:at] + rng.choice("aä[{\"'=#\\") * LONG + text[at:], "a long line"
    if kind == "nested":
        opened = rng.choice(("[", '{"a":', "- ", "(", "<i>"))
        return text[:at] + opened * DEEP + text[at:], f"{opened!r} nested"
    if kind == "lines":
        lines = text.split("\n")
        rng.shuffle(lines)
        return rng.choice(("\n", "\r\n", "\r", "\x0b")).join(lines), "lines shuffled"
    if kind == "quotes":
        return text.replace('"', rng.choice(("'", "“", '\\"', ""))), "other quotes"
    if kind == "value":
        value = str(rng.choice([each for each in VALUES if each != "\ud800"]))
        return text[:at] + value + text[at:], f"{value[:20]!r} at {at}"
    return text + text[at:] * 50, "a part repeated"
