"""LanceDB without the client of Lance's catalog service.

`import lancedb` loads that client with all its calls, two megabytes of code whose arguments
Pydantic prepares to check. They take a third of the import's processor time, in each process that
opens the index. LanceDB needs only the client's types: the index is a folder or a bucket.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

CALLS = "lance_namespace_urllib3_client.api."


def leave_out() -> None:
    """Leave the calls of the client out of this process; call it before LanceDB is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds an empty module in place of each module of calls."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Loader()) if fullname.startswith(CALLS) else None


class _Loader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__getattr__"] = _unused


def _unused(name: str) -> type:
    """Return a class under the name of a call's class."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
