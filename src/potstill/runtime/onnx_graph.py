"""Building an ONNX graph node by node. Requires the package `onnx`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 20
PAD = -1  # the id where there is no word or token
ALL = np.iinfo(np.int64).max  # the end of a slice that takes all
_SMALL = 1 << 16  # bytes; only smaller constants may occur twice


class Graph:
    """Builds the nodes and constants of a graph; values are referred to by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, operator: str, *inputs: Any, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return its name."""
        output = output or f"{operator.lower()}{len(self.nodes)}"
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, names, [output], domain=domain, **attributes))
        return output

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant, unless there is an equal one, and return its name."""
        tensor = numpy_helper.from_array(np.asarray(value))
        for known, other in self.constants.items() if np.asarray(value).nbytes < _SMALL else ():
            if other == tensor:
                return known
        name = name or f"constant{len(self.constants)}"
        self.constants[name] = tensor
        return name

    def cut(self, value: str, start: int, end: int) -> str:
        """Return columns `start` to `end` of a matrix."""
        return self("Slice", value, ints(start), ints(end), ints(1))

    def model(self, given: onnx.ValueInfoProto, outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """Return the model with one input."""
        for name, tensor in self.constants.items():
            tensor.name = name
        made = helper.make_graph(self.nodes, "student", [given], outputs, list(self.constants.values()))
        opsets = [helper.make_opsetid(*opset) for opset in (("", OPSET), ("ai.onnx.ml", 2), ("com.microsoft", 1))]
        model = helper.make_model(made, producer_name="potstill", ir_version=9, opset_imports=opsets)
        onnx.checker.check_model(model)
        return model


def ints(*values: int) -> np.ndarray:
    """Return an int64 array."""
    return np.array(values, np.int64)


def floats(*values: float) -> np.ndarray:
    """Return a float32 array."""
    return np.array(values, np.float32)
