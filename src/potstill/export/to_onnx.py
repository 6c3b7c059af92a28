"""A student as an ONNX model that takes text.

Words are told apart by operators that every build of onnxruntime has: `StringNormalizer`, and `Tokenizer` of its own
domain com.microsoft. Weights stay whole numbers of 8 bits. A student that knows its words by fingerprints cannot be
expressed so, since ONNX has no way from a string to its bytes: its model takes the ids of rows.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from potstill.runtime.file import TABLE
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import JOINERS, SPACELESS, Words

OPSET = 20
LOCALE = "C.UTF-8"  # others may be missing, and lower-case other letters
# `tokenizer.words` as a regular expression of RE2, where no class can be taken from another: [^\PL…] are letters but ….
_SPACE = r"\x{09}-\x{0d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_MARK = rf"\pM{JOINERS}"
_LETTER = rf"[^\PL{SPACELESS}]|[^\PN{SPACELESS}]"
_EDGES = [0, *(ord(edge) + i % 2 for i, edge in enumerate(SPACELESS.replace("-", ""))), 0x110000]
_SPACED = "".join(rf"\x{{{start:x}}}-\x{{{end - 1:x}}}" for start, end in zip(_EDGES[::2], _EDGES[1::2], strict=True))
TOKEN = rf"(?:{_LETTER}|_)(?:{_LETTER}|[_{_MARK}])*|[^{_MARK}{_SPACED}][{_MARK}]*|[^\pL\pN_{_MARK}{SPACELESS}{_SPACE}]"
PAD = -1  # the id where there is no word
_GATES = {"bigru": ("GRU", [1, 0, 2]), "bilstm": ("LSTM", [0, 3, 1, 2])}  # ONNX's operator, and its order of gates


class _Graph:
    """Nodes and constants, put together call by call; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def __call__(self, operator: str, *inputs: Any, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output, and name it."""
        output = output or f"{operator.lower()}{len(self.nodes)}"
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(operator, names, [output], domain=domain, **attributes))
        return output

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant, once, and name it."""
        tensor = numpy_helper.from_array(np.asarray(value))
        for known, other in self.constants.items():
            if other == tensor:
                return known
        name = name or f"constant{len(self.constants)}"
        self.constants[name] = tensor
        return name

    def cut(self, value: str, start: int, end: int) -> str:
        """Columns `start` to `end` of a matrix."""
        return self("Slice", value, _ints(start), _ints(end), _ints(1))


_ALL = np.iinfo(np.int64).max


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def build(student: Student) -> onnx.ModelProto:
    """The model: `text`, strings (texts,), or `ids`, int64 (texts, words) with -1 where there is no word.

    It gives `label`, strings (texts,), and `probabilities`, float32 (texts, classes). Where a text may have several
    labels, `label` is of shape (texts, classes): the names of those it has, each in its column, and empty strings.
    """
    graph = _Graph()
    if isinstance(student.lookup.known, Words):
        given = helper.make_tensor_value_info("text", TensorProto.STRING, ["texts"])
        ids = _ids(graph, student)
    else:
        given = helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "words"])
        ids = graph("Pad", "ids", _ints(0, 0, 1, 0), _ints(PAD))
    logits = _logits(graph, student, _filled(graph, ids))
    logits = graph("Slice", logits, _ints(0), _ints(-1), _ints(0))
    logits = graph("Div", logits, _floats(student.temperature))
    names, columns = np.array(student.labels, object), [len(student.labels)]
    if student.thresholds is None:
        graph("Softmax", logits, axis=1, output="probabilities")
        graph(
            "LabelEncoder", graph("ArgMax", "probabilities", axis=1, keepdims=0), domain="ai.onnx.ml", output="label",
            keys_int64s=list(range(len(names))), values_strings=student.labels,
        )  # fmt: skip
        columns = []
    else:
        graph("Sigmoid", logits, output="probabilities")
        chosen = graph("GreaterOrEqual", "probabilities", _floats(*student.thresholds))
        graph("Where", chosen, names, np.array([""], object), output="label")
    made = helper.make_graph(
        graph.nodes,
        "student",
        [given],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["texts", *columns]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", len(student.labels)]),
        ],
        [_named(tensor, name) for name, tensor in graph.constants.items()],
    )
    domains = [("", OPSET), ("ai.onnx.ml", 2), ("com.microsoft", 1)]
    model = helper.make_model(
        made,
        producer_name="potstill",
        ir_version=9,
        opset_imports=[helper.make_opsetid(*domain) for domain in domains],
    )
    onnx.checker.check_model(model, full_check=False)
    return model


def _named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    tensor.name = name
    return tensor


def _filled(graph: _Graph, ids: str) -> str:
    """Ids of which each text has one: without words, it is one unknown word."""
    ids = graph("Pad", ids, _ints(0, 0, 0, 1), _ints(PAD))  # no text may have a word
    return graph("Concat", graph("Max", graph.cut(ids, 0, 1), _ints(0)), graph.cut(ids, 1, _ALL), axis=1)


def _ids(graph: _Graph, student: Student) -> str:
    """From texts, and an empty one behind them, to the ids of their rows; since no operator takes no text."""
    lookup = student.lookup
    entries = student.words or []
    texts = graph("Concat", "text", np.array([""], object), axis=0)
    lowered = graph("StringNormalizer", texts, case_change_action="LOWER", locale=LOCALE)
    tokens = graph(
        "Tokenizer", lowered, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", tokenexp=TOKEN
    )  # fmt: skip
    tokens = graph.cut(tokens, 0, lookup.max_length)

    def rows(found: str, longest: bool, other: int) -> str:
        some = [entry for entry in entries if (" " in entry) == longest]
        values = [lookup.row(entry) for entry in some]
        return graph(
            "LabelEncoder", found, domain="ai.onnx.ml", keys_strings=["", *some], values_int64s=[PAD, *values],
            default_int64=other,
        )  # fmt: skip

    parts = [rows(tokens, False, 0)]
    for length in range(2, lookup.longest + 1):
        joined = graph.cut(tokens, 0, 1 - length)
        for i in range(1, length):
            end = _ALL if i == length - 1 else 1 + i - length
            joined = graph(
                "StringConcat", graph("StringConcat", joined, np.array(" ", object)), graph.cut(tokens, i, end)
            )
        parts.append(rows(joined, True, PAD))
    return graph("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _logits(graph: _Graph, student: Student, ids: str) -> str:
    """From ids to logits, as in `runtime.networks`."""
    known = graph("GreaterOrEqual", ids, _ints(0))
    there = graph("Cast", known, to=TensorProto.FLOAT)
    mask = graph("Unsqueeze", there, _ints(2))
    vectors = _vectors(graph, student, graph("Max", ids, _ints(0)))
    vectors = graph("Mul", vectors, mask)  # (texts, words, width)
    architecture = student.shape.architecture

    def convolve(name: str, padding: int) -> str:
        """A convolution over the words, (texts, channels, words)."""
        turned = graph("Transpose", vectors, perm=[0, 2, 1])
        kernel, bias = (_weight(graph, student, f"{name}.{part}") for part in ("weight", "bias"))
        return graph("Conv", turned, kernel, bias, pads=[padding, padding])

    if architecture == "mlp":
        total = graph("ReduceSum", vectors, _ints(1), keepdims=0)
        features = graph("Div", total, graph("ReduceSum", there, _ints(1), keepdims=1))
    elif architecture == "attention":
        scores = convolve("weight", 2)
        scores = graph("Where", graph("Unsqueeze", known, _ints(1)), scores, _floats(-np.inf))
        features = graph("Squeeze", graph("MatMul", graph("Softmax", scores, axis=2), vectors), _ints(1))
    elif architecture == "cnn":
        found = graph("Mul", graph("Relu", convolve("convolution", 1)), graph("Unsqueeze", there, _ints(1)))
        features = graph("ReduceMax", found, _ints(2), keepdims=0)
    else:
        features = _recurrent(graph, student, vectors, known)
    return graph(
        "Gemm", features, _weight(graph, student, "head.weight"), _weight(graph, student, "head.bias"), transB=1
    )


def _recurrent(graph: _Graph, student: Student, vectors: str, known: str) -> str:
    operator, order = _GATES[student.shape.architecture]
    lengths = graph("ReduceSum", graph("Cast", known, to=TensorProto.INT32), _ints(1), keepdims=0)

    def both(*names: str) -> str:
        """Weights of both directions, (2, gates × hidden, …)."""
        sides = []
        for side in ("forwards", "backwards"):
            parts = [_weight(graph, student, f"{side}.{name}", order) for name in names]
            sides.append(graph("Unsqueeze", graph("Concat", *parts, axis=0), _ints(0)))
        return graph("Concat", *sides, axis=0)

    only_gru: dict[str, Any] = {"linear_before_reset": 1} if operator == "GRU" else {}
    states = graph(
        operator,
        graph("Transpose", vectors, perm=[1, 0, 2]),
        both("weight_ih_l0"),
        both("weight_hh_l0"),
        both("bias_ih_l0", "bias_hh_l0"),
        lengths,
        direction="bidirectional",
        hidden_size=student.shape.hidden,
        **only_gru,
    )  # (words, 2, texts, hidden), zeros where a text has ended
    there = graph("Unsqueeze", graph("Transpose", known, perm=[1, 0]), _ints(1, 3))
    states = graph("Where", there, states, _floats(-1))  # states lie above
    features = graph("Transpose", graph("ReduceMax", states, _ints(0), keepdims=0), perm=[1, 0, 2])
    return graph("Reshape", features, _ints(0, 2 * student.shape.hidden))


def _weight(graph: _Graph, student: Student, name: str, order: list[int] | None = None) -> str:
    """A weight, as whole numbers of 8 bits and their step if the student has these; its gates in ONNX's order."""
    values = student.weights[name]
    if order:
        hidden = student.shape.hidden
        values = np.concatenate([values[gate * hidden : (gate + 1) * hidden] for gate in order])
    if name not in student.steps:
        return graph.constant(values, name)
    whole, step = _rounded(student, name, values)
    return graph("DequantizeLinear", graph.constant(whole, name), step)


def _vectors(graph: _Graph, student: Student, ids: str) -> str:
    """The word vectors of ids: rows are looked up while they are whole numbers."""
    table = student.weights[TABLE]
    if TABLE not in student.steps:
        return graph("Gather", table, ids)
    whole, step = _rounded(student, TABLE, table)
    return graph("DequantizeLinear", graph("Gather", whole, ids), step)


def _rounded(student: Student, name: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A weight's whole numbers, and the step that they count."""
    step = np.float32(student.steps[name])
    return np.rint(values / step).astype(np.int8), np.array(step)
