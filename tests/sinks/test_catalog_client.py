"""LanceDB is imported without the calls of its catalog client."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import json, sys
import kb.sinks.local.tables
from kb.sinks.local.catalog_client import CALLS
print(json.dumps({name: getattr(module, "__file__", None)
                  for name, module in sys.modules.items() if name.startswith(CALLS)}))
"""


@pytest.mark.slow
def test_no_module_of_the_calls_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    files = json.loads(done.stdout)
    assert files  # LanceDB asks for them
    assert set(files.values()) == {None}
