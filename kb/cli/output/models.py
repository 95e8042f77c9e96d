"""Output about models: their table, and what a run fetches first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kb.cli.output import console
from kb.cli.output.columns import Column, Columns
from kb.types.sentences import decimal_size

if TYPE_CHECKING:
    from kb.service.views import MemoryRoom, ModelFacts, NeededFetch

GIB = 2**30


_COLUMNS = (
    Column("model"),
    Column("engine", shrinks=True),
    Column("languages", shrinks=True),
    Column("files", right=True),
    Column("memory, 1–16 windows", right=True),
    Column("fits", shrinks=True),
    Column("here", shrinks=True),
)


def models_table(models: Sequence[ModelFacts]) -> Columns:
    """Return a table of the known models, with those on this machine marked."""
    return Columns(_COLUMNS, [_row(model) for model in models])


def _row(model: ModelFacts) -> tuple[str, ...]:
    memory = f"{model.memory_bytes / GIB:.1f} – {model.memory_bytes_16 / GIB:.1f} GB"
    return (
        f"{model.name} *" if model.default else model.name,
        model.engine,
        "English" if model.languages == 1 else str(model.languages or ""),
        _size(model.disk_bytes or model.download_bytes),
        memory if model.memory_bytes else "",
        _fits(model),
        _here(model),
    )


def room_note(room: MemoryRoom, folder: str, free: int) -> str:
    """Return what the column `fits` compares with."""
    memory = f"{room.budget_bytes / GIB:.1f} GB ({room.device})" if room.budget_bytes else "unknown"
    return f"Memory for models: {memory}. Fetched to {folder}, {decimal_size(free)} free."


def print_fetch_notice(needed: NeededFetch) -> None:
    """Print what a run fetches first, and a warning where it does not fit this machine."""
    about = "at least" if needed.is_least else "about"
    size = f"{about} {decimal_size(needed.size)}" if needed.size else "its size is not known yet"
    memory = ""
    if needed.memory_bytes:
        memory = f" It takes {about} {needed.memory_bytes / GIB:.1f} GB of memory"
        if needed.room.budget_bytes:
            memory += f" ({needed.room.device}: {needed.room.budget_bytes / GIB:.1f} GB)"
        memory += "."
    console.print_note(
        f"The model {needed.name} is fetched first: {size}, from {needed.source} to "
        f"{needed.folder} ({decimal_size(needed.free)} free).{memory}"
    )
    if not needed.fits_disk:
        console.print_warning(
            f"{needed.folder} has no room for it. Make room, or name another folder with HF_HOME "
            "in .env."
        )
    if not needed.fits_memory:
        console.print_warning(
            f"{needed.name} does not fit into the memory of this machine. Choose a smaller model: "
            "kb models"
        )


def _fits(model: ModelFacts) -> str:
    lacking = [
        word
        for word, fits in (("memory", model.fits_memory), ("disk", model.fits_disk))
        if not fits
    ]
    return f"no: {', '.join(lacking)}" if lacking else "yes" if model.memory_bytes else ""


def _here(model: ModelFacts) -> str:
    """Return where a model is, and its state where that is not a complete one."""
    if model.where and model.state == "ready":
        return model.where
    return ", ".join(word for word in (model.where, model.state) if word)


def _size(count: int) -> str:
    return decimal_size(count) if count else ""
