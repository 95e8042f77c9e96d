"""Dockerfile, compose files and manifests: their own checkers, and what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import sqlalchemy as sa
from ruamel.yaml import YAML
from typer.main import get_command

from kb.api.app import create_app
from kb.api.context import ApiContext
from kb.cli.application import application
from kb.database import Database
from kb.jobs.queue.items import ItemStore
from kb.settings import PROJECT_ROOT, Settings
from tests.support.postgres import connected, database_url, server
from tests.support.queue_store import queued
from tests.support.waiting import WAIT_S

app = application()

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="the checkers' wheels"),
]

__all__ = ["database_url", "server"]

DEPLOY = PROJECT_ROOT / "deploy"
SECRETS = {
    "KB_PASSWORD": "long and random",
    "KB_DATABASE_PASSWORD": "long and random too",
    "KB_API_KEYS": "also-long-and-random-1",
}


def check(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(command[0])
    found = str(program) if program.exists() else shutil.which(command[0])
    assert found, f"{command[0]} is missing: make setup"
    return subprocess.run(
        [found, *command[1:]], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=WAIT_S,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        check=False,
    )  # fmt: skip


def documents(name: str) -> list[dict]:
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_the_dockerfile_has_no_finding() -> None:
    # Versions of Debian's packages vanish from its mirrors, and constraints.txt pins Python's.
    done = check("hadolint", "--ignore", "DL3008", "--ignore", "DL3013", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "more",
    [
        (), ("compose.gpu.yaml",), ("compose.postgres.yaml",), ("compose.api.yaml",),
        ("compose.gpu.yaml", "compose.postgres.yaml", "compose.api.yaml"),
    ],
)  # fmt: skip
def test_the_compose_files_are_whole_and_ask_for_their_secrets(more: tuple[str, ...]) -> None:
    files = [part for name in more for part in ("-f", f"deploy/{name}")]
    command = ("docker-compose", "-f", "compose.yaml", *files, "config")
    done = check(*command, **SECRETS)
    assert done.returncode == 0, done.stderr
    services = YAML(typ="safe").load(done.stdout)["services"]
    assert {"worker", "dashboard"} <= set(services)
    for service in services.values():
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1"  # a proxy with TLS stands before it
    watched = {name for name, each in services.items() if each.get("healthcheck", {}).get("test")}
    served = {"worker"} if "compose.api.yaml" in more else set()
    assert watched - {"postgres"} == {"dashboard"} | served
    refused = check(*command)
    assert refused.returncode != 0 and "set KB_" in refused.stderr


def test_the_manifests_are_valid() -> None:
    done = check("kubernetes-validate", "--strict", "deploy/kubernetes.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def started(name: str) -> list[list[str]]:
    """Return the commands of `kb` in a file of `deploy`, or in the Dockerfile."""
    if name == "Dockerfile":
        text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
        (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
        (probe,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", text, re.MULTILINE)
        return [json.loads(command), json.loads(probe)[1:]]
    if name.endswith("compose.yaml") or name.startswith("compose."):
        folder = PROJECT_ROOT if name == "compose.yaml" else DEPLOY
        services = YAML(typ="safe").load((folder / name).read_text(encoding="utf-8"))["services"]
        commands = [each["command"] for each in services.values() if each.get("command")]
        probes = [each.get("healthcheck", {}).get("test", []) for each in services.values()]
        return commands + [test[2:] for test in probes if test[1:2] == ["kb"]]
    specs = [
        each["spec"]["template"]["spec"] for each in documents(name) if "template" in each["spec"]
    ]
    containers = [each for spec in specs for each in spec["containers"]]
    return [each["args"] for each in containers if "command" not in each]


@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile", "compose.yaml", "compose.api.yaml", "kubernetes.yaml",
        "cloudrun-service.yaml", "cloudrun-worker.yaml",
    ],
)  # fmt: skip
def test_every_command_that_is_started_exists_with_its_options(name: str) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    found = started(name)
    assert found
    for command, *arguments in found:
        commands[command].make_context(command, list(arguments))  # raises for a wrong option


def test_every_probe_asks_a_path_that_answers(tmp_path: Path) -> None:
    context = ApiContext(Settings.model_validate({"KB_HOME": str(tmp_path)}))
    try:
        paths = set(create_app(context).openapi()["paths"])
    finally:
        context.close()
    texts = [
        (DEPLOY / name).read_text(encoding="utf-8")
        for name in ("kubernetes.yaml", "cloudrun-service.yaml")
    ]
    asked = {path for text in texts for path in re.findall(r"path: (/health\S*?)[,}]", text)}
    assert asked == {"/health/ready", "/health/live"} and asked <= paths


@pytest.mark.parametrize("name", ["cloudrun-service.yaml", "cloudrun-worker.yaml"])
def test_the_containers_of_cloud_run_are_those_of_a_pod(name: str) -> None:
    """Cloud Run takes a part of a pod's fields; its own ones are named here."""
    (document,) = documents(name)
    spec = dict(document["spec"]["template"]["spec"])
    for own in ("containerConcurrency", "timeoutSeconds"):
        spec.pop(own, None)
    (container,) = spec["containers"]
    limits = container["resources"]["limits"]
    # With an L4 the platform asks for at least these.
    assert int(limits["cpu"]) >= 4 and int(limits["memory"].removesuffix("Gi")) >= 16
    assert limits["nvidia.com/gpu"] == "1" and "KB_PASSWORD" not in str(container)
    assert all("secretKeyRef" in each["valueFrom"] for each in container["env"])
    spec["containers"] = [{**container, "name": "kb"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kb"}, "spec": spec}
    kubernetes_validate.validate(pod, "1.35", strict=True)


def test_every_setting_in_a_manifest_exists() -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()}
    own = {"KB_FLAVOUR", "KB_DATABASE_PASSWORD"}  # of the compose files themselves
    for file in (PROJECT_ROOT / "compose.yaml", PROJECT_ROOT / "Dockerfile", *DEPLOY.iterdir()):
        named = set(re.findall(r"\bKB_[A-Z_]+\b", file.read_text(encoding="utf-8")))
        assert named <= known | own, file


def test_workers_are_scaled_by_the_sound_that_waits(database_url: str) -> None:
    settings = Settings.model_validate({"KB_DATABASE_URL": database_url})
    store = ItemStore(Database.open(settings))
    (scaled,) = [each for each in documents("keda.yaml") if each["kind"] == "ScaledObject"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    target = scaled["spec"]["scaleTargetRef"]["name"]
    deployments = [each for each in documents("kubernetes.yaml") if each["kind"] == "Deployment"]
    assert target in {each["metadata"]["name"] for each in deployments}
    with connected(database_url) as connection:
        assert connection.scalar(sa.text(query)) == 0
        ids, _ = queued(store, 4)
        states = [("queued", 60.0), ("running", 7.5), ("queued", None), ("done", 9000.0)]
        for item_id, (state, duration_s) in zip(ids, states, strict=True):
            change = "UPDATE kb_items SET state = :state, duration_s = :duration_s WHERE id = :id"
            values = {"id": item_id, "state": state, "duration_s": duration_s}
            connection.execute(sa.text(change), values)
        assert connection.scalar(sa.text(query)) == 60 + 7.5 + 600
