"""The description of the API says what the API does: schemathesis finds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from kb.settings import PROJECT_ROOT
from tests.support.api_server import Held, served
from tests.support.waiting import WAIT_S

# A request may fit the description and still be refused: for a file without sound, a language that
# is none, a link that leads nowhere. A cancelled job can still be asked for.
# tus 1.0 demands 412 without its version.
# The stream of a job that nobody works on has one event and no end.
CHECKS = """
max-stream-events = 1

[checks]
positive_data_acceptance.enabled = false
use_after_free.enabled = false
missing_required_header.expected-statuses = [400, 401, 403, 406, 412, 415, 422]
negative_data_rejection.expected-statuses = [
    400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 428, 429,
]
"""


@pytest.mark.long
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    held, file = Held(), tmp_path / "schemathesis.toml"
    held.go.set()
    file.write_text(CHECKS, encoding="utf-8")
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": "tests.support.contract_hooks",
        "PYTHONPATH": str(PROJECT_ROOT),
    }  # fmt: skip
    with served(tmp_path / "home", held, KB_API_MAX_MB=1) as server:
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(file), "run",
            f"{server.address}/openapi.json", "--phases", "examples,coverage,fuzzing",
            "--max-examples", "3", "--continue-on-failure", "--no-color",
            # The same examples in each run, however slow the machine is.
            "--seed", "1", "--generation-deterministic",
            "--suppress-health-check", "all", "--request-timeout", str(WAIT_S),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert held.requests  # answers of a recognizer were checked, too


def test_every_route_describes_its_refusals(tmp_path: Path) -> None:
    with served(tmp_path / "home", Held()) as server:
        document = httpx.get(f"{server.address}/openapi.json").json()
        refused = httpx.request("OPTIONS", f"{server.address}/v1/jobs")
    assert set(refused.headers["allow"].split(", ")) == {"GET", "POST"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"4XX", "5XX"} <= set(responses) and "422" not in responses, (path, method)
    schema = document["components"]["schemas"]["ErrorDocument"]
    assert "error" in schema["properties"] and "HTTPValidationError" not in json.dumps(document)
