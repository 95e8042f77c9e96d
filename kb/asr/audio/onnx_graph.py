"""Reads the tensors of an ONNX file and writes small ONNX graphs, without the package `onnx`.

An ONNX file is a message of protocol buffers (onnx.proto, IR version 8): fields that are a number
and a value. Only the fields that a graph of float layers needs are known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_IR_VERSION, _OPSET = 8, 16
_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_INT_ATTRIBUTE = 2  # AttributeProto.AttributeType


def read_tensors(data: bytes) -> dict[str, Floats]:
    """Return the float tensors of an ONNX file by their names.

    Raises ValueError if the bytes are no ONNX file.
    """
    tensors: dict[str, Floats] = {}
    try:
        for graph in _values(data, 7):
            for tensor in _values(graph, 5):
                numbers = [(number, v) for number, v in _fields(tensor) if isinstance(v, int)]
                if (2, _FLOAT) in numbers:
                    (name,), (raw,) = _values(tensor, 8), _values(tensor, 9)
                    shape = [value for number, value in numbers if number == 1]
                    found = np.frombuffer(raw, "<f4").reshape(shape)
                    tensors[name.decode()] = found.astype(np.float32)
    except IndexError as error:
        raise ValueError("The file is no ONNX file: it ends within a field.") from error
    return tensors


class OnnxGraph:
    """A graph in the making: `node` and `tensor` return the name of their output."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._tensors: dict[str, bytes] = {}

    def tensor(self, values: Floats | Sequence[int]) -> str:
        """Add a constant, of floats or of whole numbers; equal ones are stored once."""
        array = np.asarray(values)
        kind = _FLOAT if array.dtype.kind == "f" else _INT64
        data = array.astype("<f4" if kind == _FLOAT else "<i8")
        body = b"".join(_field(1, size) for size in data.shape) + _field(2, kind)
        body += _field(9, data.tobytes())
        for name, known in self._tensors.items():
            if known == body:
                return name
        name = f"constant{len(self._tensors)}"
        self._tensors[name] = body
        return name

    def node(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str] = (), **attributes: int
    ) -> str:
        """Add an operator with whole-number attributes; return the name of its first output."""
        outputs = outputs or [f"value{len(self._nodes)}"]
        body = b"".join(_field(1, name) for name in inputs)
        body += b"".join(_field(2, name) for name in outputs) + _field(4, operator)
        for name, value in attributes.items():
            body += _field(5, _field(1, name) + _field(3, value) + _field(20, _INT_ATTRIBUTE))
        self._nodes.append(body)
        return outputs[0]

    def file(
        self,
        inputs: dict[str, Sequence[int | str]],
        outputs: dict[str, Sequence[int | str]],
    ) -> bytes:
        """Return the ONNX file; the float inputs and outputs have the given names and shapes.

        A size may be a name: then it is any number.
        """
        graph = b"".join(_field(1, node) for node in self._nodes) + _field(2, "graph")
        for name, body in self._tensors.items():
            graph += _field(5, body + _field(8, name))
        for number, ports in ((11, inputs), (12, outputs)):
            for name, shape in ports.items():
                graph += _field(number, _port(name, shape))
        return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, _field(2, _OPSET))


def _port(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    return _field(1, name) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, sizes)))


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return a number of at least 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _values(data: bytes, wanted: int) -> Iterator[bytes]:
    return (v for number, v in _fields(data) if number == wanted and isinstance(v, bytes))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field; IndexError where the data ends too early."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
            continue
        size = {1: 8, 5: 4}.get(kind) or varint()
        if at + size > len(data):
            raise IndexError
        yield number, data[at : at + size]
        at += size
