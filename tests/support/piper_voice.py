"""A voice of piper with random weights: a tone for each letter, as long as its length scale says.

It has the inputs and the output of the voices that piper's training writes, so that piper's own
program and package load it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

RATE_HZ = 16_000
HOP = 800  # samples of a letter
LETTERS = " abcdefghijklmnopqrstuvwxyz.,"
_MARKS = "_^$"  # of piper: between, before and behind the letters


def write_voice(folder: Path, name: str = "de_DE-random-low", speakers: int = 1) -> Path:
    """Write NAME.onnx and NAME.onnx.json; return the first. With speakers the pitch differs."""
    from onnx import TensorProto, helper, numpy_helper, save

    symbols = _MARKS + LETTERS
    random = np.random.default_rng(7)
    pitch = random.uniform(200, 900, (speakers, len(symbols))).astype(np.float32)
    constants = {
        "pitch": pitch * (2 * np.pi / RATE_HZ), "hop": np.float32(HOP), "one": np.int64(1),
        "zero": np.int64(0), "half": np.float32(0.5), "scale_at": np.int64(1),
        "shape": np.array([1, 1, 1, -1], np.int64),
    }  # fmt: skip
    nodes = [
        # Samples of one letter, at the wanted length scale.
        ("Gather", ["scales", "scale_at"], "scale", {}),
        ("Mul", ["hop", "scale"], "wanted", {}),
        ("Cast", ["wanted"], "each", {"to": TensorProto.INT64}),
        ("Squeeze", ["input_lengths"], "count", {}),
        ("Mul", ["each", "count"], "length", {}),
        ("Range", ["zero", "length", "one"], "at", {}),
        ("Div", ["at", "each"], "letter", {}),
        ("Squeeze", ["input"], "ids", {}),
        ("Gather", ["ids", "letter"], "id", {}),
        ("Squeeze", ["sid" if speakers > 1 else "zero"], "speaker", {}),
        ("Gather", ["pitch", "speaker"], "own", {}),
        ("Gather", ["own", "id"], "step", {}),
        ("Cast", ["at"], "time", {"to": TensorProto.FLOAT}),
        ("Mul", ["step", "time"], "angle", {}),
        ("Sin", ["angle"], "tone", {}),
        ("Mul", ["tone", "half"], "quiet", {}),
        ("Reshape", ["quiet", "shape"], "output", {}),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "letters"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
    graph = helper.make_graph(
        [helper.make_node(kind, given, [made], **more) for kind, given, made, more in nodes],
        "voice", inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )  # fmt: skip
    path = folder / f"{name}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    save(model, str(path))
    about = {
        "audio": {"sample_rate": RATE_HZ}, "espeak": {"voice": "de"}, "phoneme_type": "text",
        "language": {"code": name.split("-")[0]}, "num_symbols": len(symbols),
        "num_speakers": speakers, "inference": {"noise_scale": 0, "length_scale": 1, "noise_w": 0},
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(symbols)},
        "speaker_id_map": {str(number): number for number in range(speakers)},
    }  # fmt: skip
    (folder / f"{name}.onnx.json").write_text(json.dumps(about), encoding="utf-8")
    return path
