"""Read a pot1 file and classify texts, as docs/format.md specifies, with Python's standard library alone.

It shares no code with potstill, and is written to be compared with the specification, not to be fast. What it answers
is what every runtime of potstill has to answer.

    python conformance/reference.py conformance/mlp-strings.pot "not good"
"""

import json
import math
import re
import struct
import sys
import unicodedata
import zlib

ARCHITECTURES = ("mlp", "attention", "cnn", "bigru")
SHARED, STRINGS, CALIBRATED, MULTI_LABEL, SUBWORDS = 128, 64, 32, 16, 8
SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U0003fffd]"
)


class Bits:
    """A sequence of bits, the most significant of each byte first."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def integer(self, width):
        """Read an unsigned integer."""
        value = 0
        for _ in range(width):
            value = value << 1 | self.data[self.at >> 3] >> (7 - (self.at & 7)) & 1
            self.at += 1
        return value

    def float(self, form):
        """Read a float, big-endian: `e` of 16 bits, `f` of 32."""
        size = struct.calcsize(form)
        return struct.unpack(f">{form}", self.integer(8 * size).to_bytes(size, "big"))[0]


class Model:
    """A model file, and its answers."""

    def __init__(self, data):
        assert data[:4] == b"pot1"
        assert int.from_bytes(data[4:8], "little") == zlib.crc32(data[8:])
        code, table_bits, other_bits, self.fingerprint_bits, rice_bits, self.max_ngram, buckets_log2 = data[8:15]
        embedding, hidden, self.max_length, words, labels_size = struct.unpack("<HHHIH", data[15:27])
        at, rows, self.temperature = 27, words, 1.0
        if code & SHARED:
            [rows], at = struct.unpack_from("<I", data, at), at + 4
        if code & CALIBRATED:
            [self.temperature], at = struct.unpack_from("<f", data, at), at + 4
        self.architecture, self.subwords = ARCHITECTURES[code & 7], code & SUBWORDS
        self.labels, at = data[at : at + labels_size].decode().split("\n"), at + labels_size
        self.salts = b""
        if not code & STRINGS:
            self.salts, at = data[at : at + 2**buckets_log2], at + 2**buckets_log2
        bits = Bits(data[at:])
        self.thresholds = [bits.float("e") for _ in self.labels] if code & MULTI_LABEL else None
        self.fingerprints, last = [], -1
        for _ in range(0 if code & STRINGS else words - 1):
            quotient = 0
            while bits.integer(1):
                quotient += 1
            last += 1 + (quotient << rice_bits | bits.integer(rice_bits))
            self.fingerprints.append(last)
        row_bits = max(1, (rows - 2).bit_length())
        of_entries = [1 + (bits.integer(row_bits) if code & SHARED else i) for i in range(words - 1)]
        self.weights = {}
        for name, shape in self.shapes(embedding, hidden, rows).items():
            width = table_bits if name == "embedding" else other_bits
            step = bits.float("e") if width != 32 else None
            flat = [
                bits.float("f") if step is None else step * (bits.integer(width) - 2 ** (width - 1))
                for _ in range(math.prod(shape))
            ]
            self.weights[name] = nested(flat, shape)
        facts = data[at + (bits.at + 7) // 8 :]
        self.facts = json.loads(zlib.decompress(facts, -15)) if facts else {}
        keys = self.fingerprints
        if code & STRINGS:
            keys = self.facts["words"].split("\n") if self.facts["words"] else []
        self.rows = dict(zip(keys, of_entries, strict=True))

    def shapes(self, embedding, hidden, rows):
        """Return the shapes of the tensors, in their order."""
        width = hidden if self.architecture in ("mlp", "attention") else embedding
        shapes = {"embedding": (rows, width)}
        if self.architecture == "attention":
            shapes |= {"kernel": (5, 1, hidden), "kernel_bias": (1,)}
        elif self.architecture == "cnn":
            shapes |= {"kernel": (3, hidden, width), "kernel_bias": (hidden,)}
        elif self.architecture == "bigru":
            for side in ("forwards", "backwards"):
                shapes |= {f"{side}_words": (3 * hidden, width), f"{side}_state": (3 * hidden, hidden)}
                shapes |= {f"{side}_words_bias": (3 * hidden,), f"{side}_state_bias": (3 * hidden,)}
        features = 2 * hidden if self.architecture == "bigru" else hidden
        return shapes | {"head": (len(self.labels), features), "head_bias": (len(self.labels),)}

    def row(self, entry):
        """Return the row of a word, n-gram or piece; 0 if it is not in the vocabulary."""
        if not self.salts:
            return self.rows.get(entry, 0)
        crc = zlib.crc32(entry.encode())
        buckets_log2 = len(self.salts).bit_length() - 1
        bucket = (crc * 0x9E3779B1 % 2**32) >> (32 - buckets_log2)
        mixed = (crc ^ (self.salts[bucket] + 1) * 0x9E3779B1 % 2**32) * 0x85EBCA6B % 2**32
        mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 % 2**32
        mixed ^= mixed >> 16
        width = self.fingerprint_bits - buckets_log2
        return self.rows.get(bucket << width | mixed >> (32 - width), 0)

    def pieces(self, word):
        """Return the rows of a word: its own, or those of its longest pieces, or 0."""
        whole = self.row(word)
        if whole or not self.subwords or len(word) > 100:
            return [whole]
        rows, start = [], 0
        while start < len(word):
            for end in range(min(len(word), start + 32), start, -1):
                if found := self.row("##" * (start > 0) + word[start:end]):
                    break
            else:
                return [0]
            rows.append(found)
            start = end
        return rows

    def ids(self, text):
        """Return the rows of a text."""
        found = words(text)[: self.max_length]
        rows = [row for word in found for row in self.pieces(word)] or [0]
        for n in range(2, self.max_ngram + 1):
            grams = (self.row(" ".join(found[i : i + n])) for i in range(len(found) - n + 1))
            rows += filter(None, grams)
        return rows

    def features(self, vectors):
        """Return the input of the last layer."""
        weights = self.weights
        if self.architecture == "mlp":
            return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]
        if self.architecture == "attention":
            scores = softmax([convolve(weights, vectors, t)[0] for t in range(len(vectors))])
            return [sum(map(math.prod, zip(scores, column, strict=True))) for column in zip(*vectors, strict=True)]
        if self.architecture == "cnn":
            channels = zip(*(convolve(weights, vectors, t) for t in range(len(vectors))), strict=True)
            return [max(0.0, *channel) for channel in channels]
        return self.gru("forwards", vectors) + self.gru("backwards", vectors[::-1])

    def gru(self, side, vectors):
        """Return the largest value of each cell over all words."""
        of_words, words_bias, of_state, state_bias = (
            self.weights[f"{side}_{name}"] for name in ("words", "words_bias", "state", "state_bias")
        )
        hidden = len(of_state[0])
        state, largest = [0.0] * hidden, [-1.0] * hidden
        for vector in vectors:
            x, h = affine(of_words, vector, words_bias), affine(of_state, state, state_bias)
            for i in range(hidden):
                reset, update = (sigmoid(x[i + gate * hidden] + h[i + gate * hidden]) for gate in (0, 1))
                new = math.tanh(x[i + 2 * hidden] + reset * h[i + 2 * hidden])
                state[i] = (1 - update) * new + update * state[i]
            largest = list(map(max, largest, state))
        return largest

    def logits(self, ids):
        """Return the logits of a text from its rows."""
        features = self.features([self.weights["embedding"][row] for row in ids])
        return [y / self.temperature for y in affine(self.weights["head"], features, self.weights["head_bias"])]

    def probabilities(self, text):
        """Return the probability of each label."""
        logits = self.logits(self.ids(text))
        return softmax(logits) if self.thresholds is None else list(map(sigmoid, logits))

    def in_scope(self, text):
        """Return whether a text is like those of the training data."""
        ids, scope, rare = self.ids(text), self.facts["scope"], []
        for i, run in enumerate(scope["rare"]):
            rare += [i % 2 == 0] * run
        logits = self.logits(ids)
        energy = math.log(sum(map(math.exp, logits)))
        if self.thresholds:
            energy = sum(math.log(1 + math.exp(y)) for y in logits)
        share = sum(row < len(rare) and rare[row] for row in ids) / len(ids)
        return energy - scope["weight"] * share >= scope["threshold"]


def nested(flat, shape):
    """Return numbers as lists of lists; of a kernel (out, in, width), with `width` first, as `shape` has it."""
    if len(shape) == 1:
        return flat
    if len(shape) == 2:
        return [flat[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]
    width, outputs, inputs = shape
    return [[[flat[(o * inputs + i) * width + w] for i in range(inputs)] for o in range(outputs)] for w in range(width)]


def words(text):
    """Split a text into words."""
    text = re.sub("[\ud800-\udfff]", "?", text).replace("İ", "i").replace("Σ", "σ").lower()
    found, last = [], " "
    for char in text:
        kind = kind_of(char)
        if kind == "mark":
            if last in ("letter", "alone"):
                found[-1] += char
            continue
        if kind == "letter" and last == "letter":
            found[-1] += char
        elif kind != " ":
            found.append(char)
        last = kind
    return found


def kind_of(char):
    """Return what a character is to `words`."""
    category = unicodedata.category(char)[0]
    if char.isspace():
        return " "
    if category == "M" or char in "\u200c\u200d":
        return "mark"
    if SPACELESS.match(char):
        return "alone"
    return "letter" if category in "LN" or char == "_" else "symbol"


def affine(matrix, vector, bias):
    """Multiply a matrix (out, in) by a vector, and add the bias."""
    return [sum(map(math.prod, zip(row, vector, strict=True))) + b for row, b in zip(matrix, bias, strict=True)]


def convolve(weights, vectors, t):
    """Return the convolution at a position, zeros being outside the text."""
    kernel, total = weights["kernel"], weights["kernel_bias"]
    for w in range(len(kernel)):
        at = t + w - len(kernel) // 2
        if 0 <= at < len(vectors):
            total = affine(kernel[w], vectors[at], total)
    return total


def softmax(x):
    """Return the softmax."""
    powers = [math.exp(y - max(x)) for y in x]
    return [power / sum(powers) for power in powers]


def sigmoid(x):
    """Return the logistic function."""
    return 0.5 * math.tanh(0.5 * x) + 0.5


if __name__ == "__main__":
    path, *texts = sys.argv[1:]
    with open(path, "rb") as stream:
        model = Model(stream.read())
    for text in texts:
        print(dict(zip(model.labels, model.probabilities(text), strict=True)))
