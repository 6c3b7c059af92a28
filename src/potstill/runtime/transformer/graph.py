"""The ONNX graph of a small Transformer, from its checked weights.

The matrix products of the layers are of int8 weights and uint8 activations, by an operator of onnxruntime. The scales
of the activations were fixed in training, so that a text's logits do not depend on the others in its batch. All else is
in float32.
"""

import math
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from potstill.runtime.file import TABLE
from potstill.runtime.onnx_graph import Graph, floats, ints
from potstill.runtime.transformer.shape import Shape
from potstill.runtime.transformer.weights import Weights, steps_of

_FAR = -1e9  # added to the attention scores of padding


def build(shape: Shape, weights: Weights) -> onnx.ModelProto:
    """Build the model that computes `logits`, float32 (texts, classes), from `ids`, see `ids`."""
    graph = Graph()
    add_logits(graph, shape, weights, "logits")
    return graph.model(ids(), [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", "classes"])])


def ids() -> onnx.ValueInfoProto:
    """Return the input `ids`: int64 (texts, tokens), -1 where there is no token."""
    return helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "tokens"])


def add_logits(graph: Graph, shape: Shape, weights: Weights, output: str = "") -> str:
    """Add the nodes from the input `ids` to the logits, and return the name of these, which is `output` if given."""
    return _Network(graph, shape, weights).logits(output)


class _Quantized(NamedTuple):
    """The name of quantized values, their scale and their zero."""

    name: str
    scale: np.float32
    zero: np.uint8


class _Network:
    """Adds the parts of a network to a graph."""

    def __init__(self, graph: Graph, shape: Shape, weights: Weights) -> None:
        self._graph, self._shape, self._weights = graph, shape, weights

    def logits(self, output: str) -> str:
        graph, shape = self._graph, self._shape
        known = graph("GreaterOrEqual", "ids", ints(0))
        bias = graph("Where", graph("Unsqueeze", known, ints(1, 2)), floats(0), floats(_FAR))
        length = graph("Slice", graph("Shape", "ids"), ints(1), ints(2))
        if shape.relative:
            bias = graph("Add", self._distances(length), bias)
        vectors = self._embed(length)
        if shape.embedding != shape.hidden:
            vectors = self._product(self._quantize(vectors, "projection"), "projection")
        for i in range(shape.layers):
            vectors = self._layer(f"layers.{i}", vectors, bias, first_only=i == shape.layers - 1)
        pooled = self._dense(graph("Squeeze", vectors, ints(1)), "pooler")
        return self._dense(self._activate(pooled, shape.pooler), "head", output)

    def _distances(self, length: str) -> str:
        """Add the bias of each head, query and key."""
        graph, table = self._graph, self._weights.matrices["distance.weight"]
        places = graph("Range", np.int64(0), graph("Squeeze", length), np.int64(1))
        distances = graph("Sub", places, graph("Unsqueeze", places, ints(1)))
        return graph("Gather", table.floats(), graph("Add", distances, ints(self._shape.positions - 1)), axis=1)

    def _embed(self, length: str) -> str:
        graph, table = self._graph, self._weights.matrices[TABLE]
        ids = graph("Max", "ids", ints(0))
        # Rows are looked up before they are scaled.
        integers = graph("Cast", graph("Gather", graph.constant(table.values, "embedding"), ids), to=TensorProto.FLOAT)
        tokens = graph("Mul", integers, graph("Gather", table.steps[:, None], ids))
        table = self._weights.matrices["position.weight"]
        positions = graph("Slice", table.floats(), ints(0), length, ints(0))
        return self._norm(graph("Add", tokens, positions), "norm")

    def _layer(self, name: str, vectors: str, bias: str, first_only: bool) -> str:
        """Add a layer; with `first_only`, its output is that of the first token."""
        graph = self._graph
        inputs = self._quantize(vectors, f"{name}.query")
        key, value = self._product(inputs, f"{name}.key"), self._product(inputs, f"{name}.value")
        if first_only:
            vectors = graph("Slice", vectors, ints(0), ints(1), ints(1))
            inputs = self._quantize(vectors, f"{name}.query")
            if self._shape.relative:
                bias = graph("Slice", bias, ints(0), ints(1), ints(2))
        query = graph("Mul", self._product(inputs, f"{name}.query"), floats(1 / math.sqrt(self._head_width)))
        scores = graph("MatMul", self._split(query), self._split(key, turned=True))
        shares = graph("Softmax", graph("Add", scores, bias), axis=-1)
        mixed = graph("Transpose", graph("MatMul", shares, self._split(value)), perm=[0, 2, 1, 3])
        joined = graph("Reshape", mixed, ints(0, 0, self._shape.hidden))
        attended = self._product(self._quantize(joined, f"{name}.output"), f"{name}.output")
        vectors = self._norm(graph("Add", attended, vectors), f"{name}.attention_norm")
        wide = self._activate(
            self._product(self._quantize(vectors, f"{name}.up"), f"{name}.up"), self._shape.activation
        )
        narrow = self._product(self._quantize(wide, f"{name}.down"), f"{name}.down")
        return self._norm(graph("Add", narrow, vectors), f"{name}.norm")

    @property
    def _head_width(self) -> int:
        return self._shape.hidden // self._shape.heads

    def _split(self, vectors: str, turned: bool = False) -> str:
        """Return vectors as (texts, heads, tokens, width), or `turned` as (texts, heads, width, tokens)."""
        heads = self._graph("Reshape", vectors, ints(0, 0, self._shape.heads, self._head_width))
        return self._graph("Transpose", heads, perm=[0, 2, 3, 1] if turned else [0, 2, 1, 3])

    def _quantize(self, vectors: str, name: str) -> "_Quantized":
        """Divide vectors by their smoothing factors, if any, and round them to uint8 multiples of their scale."""
        if self._shape.smoothed:
            vectors = self._graph("Mul", vectors, 1 / self._weights.vectors[f"{name}.smoothing"])
        scale, zero = steps_of(*self._weights.ranges[name])
        return _Quantized(self._graph("QuantizeLinear", vectors, scale, zero), scale, zero)

    def _product(self, inputs: "_Quantized", name: str) -> str:
        """Add a linear layer of int8 weights."""
        matrix, bias = self._weights.matrices[f"{name}.weight"], self._weights.vectors[f"{name}.bias"]
        integers = self._graph.constant(np.ascontiguousarray(matrix.values.T), f"{name}.weight")
        return self._graph(
            "MatMulIntegerToFloat", inputs.name, integers, inputs.scale, matrix.steps, inputs.zero, "", bias,
            domain="com.microsoft",
        )  # fmt: skip

    def _dense(self, vectors: str, name: str, output: str = "") -> str:
        """Add a linear layer of float weights."""
        weight, bias = self._weights.matrices[f"{name}.weight"].floats(), self._weights.vectors[f"{name}.bias"]
        return self._graph("Gemm", vectors, weight, bias, transB=1, output=output)

    def _norm(self, vectors: str, name: str) -> str:
        gain, bias = (self._weights.vectors[f"{name}.{part}"] for part in ("weight", "bias"))
        return self._graph("LayerNormalization", vectors, gain, bias, epsilon=self._shape.epsilon)

    def _activate(self, vectors: str, activation: str) -> str:
        if activation.startswith("gelu"):
            return self._graph("Gelu", vectors, approximate="tanh" if activation == "gelu_tanh" else "none")
        return self._graph({"relu": "Relu", "tanh": "Tanh"}[activation], vectors)
