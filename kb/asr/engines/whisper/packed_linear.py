"""Linear layers in the memory layout that the CPU multiplies fastest.

torch multiplies a few rows by a large float32 matrix with MKL, which takes two to three times
as long as oneDNN with weights in oneDNN's own layout (docs/performance.md). These are the
operators that `torch.compile` itself emits for a CPU. If they are missing or give another
result, all layers use `torch.nn.functional.linear`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own examples use this name

_TRIAL = (5, 24, 40)  # rows, inputs and outputs of the trial multiplication


class Linear(torch.nn.Module):
    """`x @ weight.T + bias`, with the weight in oneDNN's layout if that works.

    `rows`: usual number of rows of `x` (the layout for few rows may not suit many).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, rows: int) -> None:
        super().__init__()
        self.outputs = int(weight.shape[0])
        self.packed = weight.device.type == "cpu" and weight.dtype == torch.float32 and _usable()
        self.weight = _pack(weight, rows) if self.packed else weight
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.packed:
            return _multiply(x, self.weight, self.bias)
        return F.linear(x, self.weight, self.bias)


def pack_linears(module: torch.nn.Module, rows: int) -> None:
    """Replace every `torch.nn.Linear` inside `module`, so that no weight is held twice."""
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, Linear(child.weight, child.bias, rows))
        else:
            pack_linears(child, rows)


def _pack(weight: torch.Tensor, rows: int) -> torch.Tensor:
    # A view of a larger matrix cannot be reordered.
    packed: torch.Tensor = _operators()._reorder_linear_weight(weight.contiguous().clone(), rows)
    return packed


def _multiply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    found: torch.Tensor = _operators()._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def _operators() -> Any:
    return torch.ops.mkldnn


@cache
def _usable() -> bool:
    """Return whether this torch has the operators and they multiply correctly."""
    rows, inputs, outputs = _TRIAL
    x = torch.linspace(-1, 1, rows * inputs).view(rows, inputs)
    weight = torch.linspace(-1, 1, outputs * inputs).view(outputs, inputs)
    bias = torch.linspace(-1, 1, outputs)
    try:
        found = _multiply(x, _pack(weight, rows), bias)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return bool(torch.allclose(found, F.linear(x, weight, bias), atol=1e-4))
