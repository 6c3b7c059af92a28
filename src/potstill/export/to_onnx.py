"""A student as an ONNX model that takes text, or ids.

Texts are split by operators that every build of onnxruntime has: `StringNormalizer`, and `Tokenizer` of the domain
com.microsoft. Quantized weights are stored as int8. Two kinds of vocabulary cannot be expressed: fingerprints, since no
ONNX operator gives the bytes of a string, and subwords, since none splits a word into its longest pieces. Such a model
takes row ids, see docs/inference.md; so does a small Transformer, whose tokens no operator of the stock onnxruntime
finds. `encode` of the student gives these ids.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from potstill.runtime.file import TABLE
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import Student
from potstill.runtime.onnx_graph import ALL, PAD, Graph, floats, ints
from potstill.runtime.scope import FACT
from potstill.runtime.tokenizer import JOINERS, SPACELESS, Vocabulary, Words
from potstill.runtime.transformer import graph as transformer_graph
from potstill.runtime.transformer.model import Transformer

LOCALE = "C.UTF-8"  # others may be missing, or lower-case differently
# `tokenizer.words` as a regular expression. RE2 cannot subtract classes; [^\PL…] are the letters except ….
_SPACE = r"\x{09}-\x{0d}\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_MARK = rf"\pM{JOINERS}"
_LETTER = rf"[^\PL{SPACELESS}]|[^\PN{SPACELESS}]"
_EDGES = [0, *(ord(edge) + i % 2 for i, edge in enumerate(SPACELESS.replace("-", ""))), 0x110000]
_SPACED = "".join(rf"\x{{{start:x}}}-\x{{{end - 1:x}}}" for start, end in zip(_EDGES[::2], _EDGES[1::2], strict=True))
TOKEN = rf"(?:{_LETTER}|_)(?:{_LETTER}|[_{_MARK}])*|[^{_MARK}{_SPACED}][{_MARK}]*|[^\pL\pN_{_MARK}{SPACELESS}{_SPACE}]"
_GATES = (1, 0, 2)  # ONNX's order of the gates of a GRU, as indices into torch's


def takes_text(vocabulary: Vocabulary) -> bool:
    """Return whether a model with this vocabulary takes text, not ids."""
    return isinstance(vocabulary.entries, Words) and not vocabulary.subwords


def build(student: Student | Transformer) -> onnx.ModelProto:
    """Build the ONNX model of a student.

    Its input is `text`, strings (texts,); with fingerprints or subwords, and of a small Transformer, it is `ids`, int64
    (texts, ids of the longest), -1 after the last id of a text.
    Its outputs are `label`, strings (texts,), and `probabilities`, float32 (texts, classes). In a multi-label task
    `label` is of shape (texts, classes): the names of a text's labels, each in its column, and empty strings. If the
    student has a guarantee, there is another output, `answered`: whether it covers a text, booleans (texts,); and if it
    knows which texts are in scope, `in_scope`, the same.
    """
    graph = Graph()
    if isinstance(student, Student):
        given, ids, logits = _of_words(graph, student)
    else:
        given, ids = transformer_graph.ids(), "ids"
        logits = transformer_graph.add_logits(graph, student.shape, student.weights)
    logits = graph("Div", logits, floats(student.temperature))
    flags = []
    names, columns = np.array(student.labels, object), [len(student.labels)]
    if student.thresholds is None:
        graph("Softmax", logits, axis=1, output="probabilities")
        chosen = graph("ArgMax", "probabilities", axis=1, keepdims=0)
        graph(
            "LabelEncoder", chosen, domain="ai.onnx.ml", output="label",
            keys_int64s=list(range(len(names))), values_strings=student.labels,
        )  # fmt: skip
        if promise := Guarantee.of(student.facts):
            highest = graph("ReduceMax", "probabilities", ints(1), keepdims=0)
            graph("GreaterOrEqual", highest, graph("Gather", promise.limits, chosen), output="answered")
            flags.append("answered")
        columns = []
    else:
        graph("Sigmoid", logits, output="probabilities")
        chosen = graph("GreaterOrEqual", "probabilities", floats(*student.thresholds))
        graph("Where", chosen, names, np.array([""], object), output="label")
    if FACT in student.facts:
        if student.thresholds is None:
            scores = graph("ReduceLogSumExp", logits, ints(1), keepdims=0)
        else:
            scores = graph("ReduceSum", graph("Softplus", logits), ints(1), keepdims=0)
        if student.rare_rows.any():
            rare = graph("Mul", _share_of_rare(graph, student, ids), floats(student.facts[FACT]["weight"]))
            scores = graph("Sub", scores, rare)
        graph("GreaterOrEqual", scores, floats(student.facts[FACT]["threshold"]), output="in_scope")
        flags.append("in_scope")
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["texts", *columns]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", len(student.labels)]),
        *(helper.make_tensor_value_info(name, TensorProto.BOOL, ["texts"]) for name in flags),
    ]
    return graph.model(given, outputs)


def _share_of_rare(graph: Graph, student: Student | Transformer, ids: str) -> str:
    """Add the share of the ids of each text that are rare rows."""
    known = graph("Cast", graph("GreaterOrEqual", ids, ints(0)), to=TensorProto.FLOAT)
    rare = graph("Cast", graph("Gather", student.rare_rows, graph("Max", ids, ints(0))), to=TensorProto.FLOAT)
    counts = (graph("ReduceSum", values, ints(1), keepdims=0) for values in (graph("Mul", rare, known), known))
    return graph("Div", *counts)


def _of_words(graph: Graph, student: Student) -> tuple[onnx.ValueInfoProto, str, str]:
    """Add the nodes of a student over words, and return its input and the names of its ids and its logits."""
    if takes_text(student.vocabulary):
        given = helper.make_tensor_value_info("text", TensorProto.STRING, ["texts"])
        ids = _ids(graph, student)
    else:
        given = helper.make_tensor_value_info("ids", TensorProto.INT64, ["texts", "ids"])
        ids = graph("Pad", "ids", ints(0, 0, 1, 0), ints(PAD))
    ids = _filled(graph, ids)
    logits = _logits(graph, student, ids)
    # Without the empty text at the end.
    ids, logits = (graph("Slice", values, ints(0), ints(-1), ints(0)) for values in (ids, logits))
    return given, ids, logits


def _filled(graph: Graph, ids: str) -> str:
    """Give texts without words the id of one unknown word."""
    ids = graph("Pad", ids, ints(0, 0, 0, 1), ints(PAD))  # in case no text has a word
    return graph("Concat", graph("Max", graph.cut(ids, 0, 1), ints(0)), graph.cut(ids, 1, ALL), axis=1)


def _ids(graph: Graph, student: Student) -> str:
    """Look up the ids of texts, and of an empty one after them, since the operators fail without any text."""
    vocabulary = student.vocabulary
    entries = student.words or []
    texts = graph("Concat", "text", np.array([""], object), axis=0)
    lowered = graph("StringNormalizer", texts, case_change_action="LOWER", locale=LOCALE)
    tokens = graph(
        "Tokenizer", lowered, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", tokenexp=TOKEN
    )  # fmt: skip
    tokens = graph.cut(tokens, 0, vocabulary.max_length)

    def rows(tokens: str, ngrams: bool, default: int) -> str:
        keys = [entry for entry in entries if (" " in entry) == ngrams]
        values = [vocabulary.row(entry) for entry in keys]
        return graph(
            "LabelEncoder", tokens, domain="ai.onnx.ml", keys_strings=["", *keys], values_int64s=[PAD, *values],
            default_int64=default,
        )  # fmt: skip

    parts = [rows(tokens, False, 0)]
    for length in range(2, vocabulary.max_ngram + 1):
        joined = graph.cut(tokens, 0, 1 - length)
        for i in range(1, length):
            end = ALL if i == length - 1 else 1 + i - length
            joined = graph(
                "StringConcat", graph("StringConcat", joined, np.array(" ", object)), graph.cut(tokens, i, end)
            )
        parts.append(rows(joined, True, PAD))
    return graph("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _logits(graph: Graph, student: Student, ids: str) -> str:
    """Compute logits from ids, as `runtime.networks` does."""
    known = graph("GreaterOrEqual", ids, ints(0))
    there = graph("Cast", known, to=TensorProto.FLOAT)
    mask = graph("Unsqueeze", there, ints(2))
    vectors = _vectors(graph, student, graph("Max", ids, ints(0)))
    vectors = graph("Mul", vectors, mask)  # (texts, words, width)
    architecture = student.shape.architecture

    def convolve(name: str, padding: int) -> str:
        """Convolve over the words, to (texts, channels, words)."""
        turned = graph("Transpose", vectors, perm=[0, 2, 1])
        kernel, bias = (_weight(graph, student, f"{name}.{part}") for part in ("weight", "bias"))
        return graph("Conv", turned, kernel, bias, pads=[padding, padding])

    if architecture == "mlp":
        total = graph("ReduceSum", vectors, ints(1), keepdims=0)
        features = graph("Div", total, graph("ReduceSum", there, ints(1), keepdims=1))
    elif architecture == "attention":
        scores = convolve("weight", 2)
        scores = graph("Where", graph("Unsqueeze", known, ints(1)), scores, floats(-np.inf))
        features = graph("Squeeze", graph("MatMul", graph("Softmax", scores, axis=2), vectors), ints(1))
    elif architecture == "cnn":
        activations = graph("Mul", graph("Relu", convolve("convolution", 1)), graph("Unsqueeze", there, ints(1)))
        features = graph("ReduceMax", activations, ints(2), keepdims=0)
    else:
        features = _bigru(graph, student, vectors, known)
    head, bias = (_weight(graph, student, f"head.{part}") for part in ("weight", "bias"))
    return graph("Gemm", features, head, bias, transB=1)


def _bigru(graph: Graph, student: Student, vectors: str, known: str) -> str:
    lengths = graph("ReduceSum", graph("Cast", known, to=TensorProto.INT32), ints(1), keepdims=0)

    def both(*names: str) -> str:
        """Stack the weights of both directions, (2, 3 × hidden, …)."""
        sides = []
        for side in ("forwards", "backwards"):
            parts = [_weight(graph, student, f"{side}.{name}", _GATES) for name in names]
            sides.append(graph("Unsqueeze", graph("Concat", *parts, axis=0), ints(0)))
        return graph("Concat", *sides, axis=0)

    hidden = student.shape.hidden
    turned = graph("Transpose", vectors, perm=[1, 0, 2])
    weights = both("weight_ih_l0"), both("weight_hh_l0"), both("bias_ih_l0", "bias_hh_l0")
    # (words, 2, texts, hidden), zeros where a text has ended
    states = graph(
        "GRU", turned, *weights, lengths, direction="bidirectional", hidden_size=hidden, linear_before_reset=1
    )
    there = graph("Unsqueeze", graph("Transpose", known, perm=[1, 0]), ints(1, 3))
    states = graph("Where", there, states, floats(-1))  # states lie above -1
    features = graph("Transpose", graph("ReduceMax", states, ints(0), keepdims=0), perm=[1, 0, 2])
    return graph("Reshape", features, ints(0, 2 * hidden))


def _weight(graph: Graph, student: Student, name: str, order: tuple[int, ...] = ()) -> str:
    """Add a weight, as int8 and a step if it is quantized, with its gates in the given order."""
    values = student.weights[name]
    if order:
        hidden = student.shape.hidden
        values = np.concatenate([values[gate * hidden : (gate + 1) * hidden] for gate in order])
    if name not in student.steps:
        return graph.constant(values, name)
    step = np.float32(student.steps[name])
    return graph("DequantizeLinear", graph.constant(_integers(values, step), name), step)


def _vectors(graph: Graph, student: Student, ids: str) -> str:
    """Look up the word vectors of ids; a quantized table is looked up before it is scaled."""
    table = student.weights[TABLE]
    if TABLE not in student.steps:
        return graph("Gather", table, ids)
    step = np.float32(student.steps[TABLE])
    return graph("DequantizeLinear", graph("Gather", _integers(table, step), ids), step)


def _integers(values: np.ndarray, step: np.float32) -> np.ndarray:
    """Return the integers that times the step are the values of a quantized weight."""
    return np.rint(values / step).astype(np.int8)
