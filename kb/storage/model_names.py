"""Names of models: a folder is meant only where the name is written as a path."""

from __future__ import annotations

from pathlib import Path

from kb.errors import ModelUnavailable


def is_path(name: str) -> bool:
    """Return True for a name that is written as a path: absolute, `./x`, `../x`, `~/x`, `x\\y`."""
    return name.startswith((".", "~")) or "\\" in name or Path(name).is_absolute()


def check_no_folder_here(name: str, hub_name: str = "") -> None:
    """Raise ModelUnavailable if the current folder has a folder of a model's hub name.

    The libraries that load models would take that folder instead of the model on the hub, and some
    of them run code from it.
    """
    found = Path(hub_name or name)
    if not is_path(name) and found.exists():
        raise ModelUnavailable(
            "model.folder_here",
            "Model {name} is not written as a path, and the current folder has {path}, which would "
            "be loaded instead.",
            hint="Start from another folder; or name the folder itself: {explicit}.",
            name=name,
            path=found.absolute(),
            explicit=f"./{found.as_posix()}",
        )
