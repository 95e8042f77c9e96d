"""The record of a device, and the JSON documents that it is written to."""

from __future__ import annotations

import json

from gpu.devices import NO_DEVICE, Device, cpu_device
from gpu.status import Machine, Snapshot
from gpu.throughput import Calibration

KEYS = ["address", "kind", "name", "dtype", "reason", "budget_bytes"]
CARD = Device(
    "cuda:0", "CUDA", "A Card", "bfloat16", budget_bytes=22, attention="sdpa", total_bytes=24,
    tf32=True,
)  # fmt: skip


def test_a_device_is_written_with_the_same_keys_everywhere() -> None:
    snapshot = Snapshot(CARD, "whisper", "demo")
    machine = Machine("one", "here", True, 1.0, snapshot, None)
    calibration = Calibration(1.0, "here", CARD, "whisper", "demo", 1, 1, {}, 1.0, 1.0, 1.0, ())
    documents = [CARD.as_dict()]
    documents += [each.as_dict()["device"] for each in (snapshot, machine, calibration)]
    for document in documents:
        assert list(document) == KEYS
        assert document["budget_bytes"] == 22


def test_a_device_read_back_equals_the_one_written() -> None:
    for device in (CARD, NO_DEVICE, cpu_device("no GPU was found")):
        snapshot = Snapshot(device)
        found = Snapshot.from_dict(json.loads(json.dumps(snapshot.as_dict())))
        assert found == snapshot
        assert found.device.reason == device.reason
