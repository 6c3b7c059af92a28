"""Forged model files, and what makes them."""

import dataclasses
import json
import random
import zlib

import numpy as np

from potstill.runtime import facts, file
from potstill.runtime.model import Student
from potstill.runtime.networks import Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from tools import fuzz


def ones_student(known=None, architecture="mlp", hidden=2, rows=None, max_ngram=1, max_length=5, **more):
    """A student whose weights are all 1."""
    vocabulary = Vocabulary(Words(["a", "b"]) if known is None else known, rows, max_ngram, max_length)
    labels, shape = more.pop("labels", ["yes", "no"]), Shape(architecture, 1, hidden)
    weights = {
        name: np.ones(size, np.float32) for name, size in shape.weights(vocabulary.size, len(set(labels))).items()
    }
    return Student(labels, vocabulary, shape, weights, **({"bits": (32, 32), "steps": {}} | more))


def written(made):
    """A file that was packed without checks."""
    return file._pack(made)


def with_json(text):
    """A file whose facts are this JSON, which includes its two words."""
    body = ones_student().to_bytes()[8:].removesuffix(file.deflate({"words": "a\nb"}))
    return fuzz.seal(body + zlib.compress(text.encode("utf-8", "surrogatepass"), 9, wbits=-15))


def with_facts(**changes):
    return with_json(json.dumps({"words": "a\nb", **fuzz.FACTS, **changes}))


def without_fact(name):
    return with_json(json.dumps({"words": "a\nb", **without(fuzz.FACTS, name)}))


def with_header(**changes):
    body = ones_student().to_bytes()[8:]
    names, layout = file._Header.layout(0)
    numbers = dict(zip(names, layout.unpack_from(body), strict=True)) | changes
    return fuzz.seal(layout.pack(*numbers.values()) + body[layout.size :])


def with_weight(value):
    made = ones_student()
    made.weights["head.bias"][0] = value
    return written(made)


def with_step(value):
    made = ones_student(bits=(4, 4), steps=dict.fromkeys(("embedding.weight", "head.weight", "head.bias"), 1.0))
    content = written(made)
    at = content.index(np.array([1], ">f2").tobytes())
    return fuzz.seal(content[8:at] + np.array([value], ">f2").tobytes() + content[at + 2 :])


def with_threshold(value):
    return written(ones_student(thresholds=[value, 0.5]))


def without(values, name):
    return {key: value for key, value in values.items() if key != name}


METRICS, SCOPE = fuzz.FACTS["metrics"], fuzz.FACTS["scope"]

GUARANTEE = {
    "kind": "accuracy",
    "target": 0.98,
    "confidence": 0.95,
    "per_class": False,
    "thresholds": [0.5, None],
    "rows": 500,
    "answered": 0.75,
}


def with_guarantee(**changes):
    return with_facts(guarantee={**GUARANTEE, **changes})


FORGED = {
    "a lone surrogate as a word": with_facts(words="a\n\ud800"),
    "an empty word": with_facts(words="\nb"),
    "a word twice": with_facts(words="a\na"),
    "words out of order": with_facts(words="b\na"),
    "a word of spaces": with_facts(words="a\n "),
    "an n-gram with two spaces": with_facts(words="a  b\nc"),
    "too few words": with_facts(words="a"),
    "too many words": with_facts(words="a\nb\nc"),
    "words that are a list": with_facts(words=["a", "b"]),
    "words by code unit": with_facts(words="\U00010000\n\uffff"),
    "no words": with_json("{}"),
    "a fingerprint beyond 32 bits": written(ones_student(Fingerprints([2**33], [0], 32))),
    "a fingerprint beyond its width": written(ones_student(Fingerprints([3, 8], [0], 3))),
    "more names than fingerprints": written(ones_student(Fingerprints([5], [0], 32), facts={"words": "one\ntwo"})),
    "fewer names than fingerprints": written(ones_student(Fingerprints([5, 6], [0], 32), facts={"words": "one"})),
    "a name without fingerprints": written(ones_student(Fingerprints([], [0], 32), facts={"words": "one"})),
    "a row that no word has": written(
        dataclasses.replace(ones_student(), vocabulary=Vocabulary(Words(["a", "b"]), [1, 1], 1, 5))
    ),
    "an empty label": written(ones_student(labels=["", "no"])),
    "a label twice": written(ones_student(labels=["no", "no", "yes"], facts={"version": "9"})),
    "labels that end too early": with_header(labels_size=60_000),
    "labels that are not UTF-8": fuzz.seal(ones_student().to_bytes()[8:].replace(b"yes", b"y\xff\xfe")),
    "more words than any file has": with_header(words=2**32 - 1),
    "an n-gram of six": with_header(max_ngram=6),
    "no words per text": with_header(max_length=0),
    "an unknown architecture": with_header(code=file.STRINGS | 5),
    "an unknown architecture with subwords": with_header(code=file.STRINGS | file.SUBWORDS | 7),
    "subwords and n-grams": with_header(code=file.STRINGS | file.SUBWORDS, max_ngram=2),
    "n-grams of another architecture than mlp": written(ones_student(architecture="cnn", max_ngram=2)),
    "strings with fingerprints": with_header(fingerprint_bits=8),
    "nine bits": with_header(table_bits=9),
    "temperature 0": written(ones_student(temperature=0.0)),
    "temperature subnormal": written(ones_student(temperature=1e-42)),
    "temperature huge": written(ones_student(temperature=1e30)),
    "temperature NaN": written(ones_student(temperature=float("nan"))),
    "threshold NaN": with_threshold(float("nan")),
    "threshold above 1": with_threshold(1.5),
    "threshold below 0": with_threshold(-0.5),
    "weight NaN": with_weight(float("nan")),
    "weight infinite": with_weight(float("-inf")),
    "weight so large that sums overflow": with_weight(3e38),
    "step 0": with_step(0.0),
    "step below 0": with_step(-1.0),
    "step NaN": with_step(float("nan")),
    "step infinite": with_step(float("inf")),
    "facts that are a list": with_json("[1]"),
    "facts that are nothing": with_json(""),
    "facts with a byte order mark": with_json("\ufeff" + json.dumps({"words": "a\nb"})),
    "facts with NaN": with_facts(x=float("nan")),
    "facts with a number that is not finite": with_json('{"words": "a\\nb", "x": 1e999}'),
    "facts with a number of 5,000 digits": with_json('{"words": "a\\nb", "x": ' + "9" * 5000 + "}"),
    "facts with a lone surrogate": with_facts(x="\ud800"),
    "facts with a lone surrogate as a key": with_facts(**{"\ud800": 1}),
    "facts 10 deep": with_facts(x=json.loads("[" * 10 + "]" * 10)),
    "facts 100,000 deep": with_json('{"words": "a\\nb", "x": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "facts of 20 megabytes": with_json(json.dumps({"words": "a\nb"}) + " " * 20_000_000),
    "metrics that are a number": with_facts(metrics=1),
    "metrics without figures": with_facts(metrics={"test": {}}),
    "metrics of another split": with_facts(metrics={"elsewhere": METRICS["test"]}),
    "metrics that are a method": with_facts(metrics={"constructor": METRICS["test"]}),
    "accuracy that is a string": with_facts(metrics={"test": {**METRICS["test"], "accuracy": "x"}}),
    "accuracy that is true": with_facts(metrics={"test": {**METRICS["test"], "accuracy": True}}),
    "no teachers": without_fact("teachers"),
    "no version": without_fact("version"),
    "no rows": without_fact("rows"),
    "no digests": without_fact("sha256"),
    "rows without unlabelled": with_facts(rows={"train": 1, "validation": 1, "test": 1}),
    "rows below 0": with_facts(rows={**fuzz.FACTS["rows"], "train": -1}),
    "rows and a half": with_facts(rows={**fuzz.FACTS["rows"], "train": 1.5}),
    "rows that are a list": with_facts(rows=["train", "unlabelled", "validation", "test"]),
    "rows that no memory holds": with_facts(rows={**fuzz.FACTS["rows"], "train": 1e300}),
    "rows that JavaScript cannot count": with_facts(rows={**fuzz.FACTS["rows"], "train": 2**53}),
    "rows that are -0.0": with_facts(rows={**fuzz.FACTS["rows"], "train": -0.0}),
    "rows that are -0": with_json(json.dumps({"words": "a\nb", "rows": {"train": 7}}).replace("7", "-0")),
    "an accuracy above 1": with_facts(metrics={"test": {**METRICS["test"], "accuracy": 1.01}}),
    "an interval below 0": with_facts(metrics={"test": {**METRICS["test"], "accuracy_low": -0.5}}),
    "a macro F1 of 88": with_facts(metrics={"test": {**METRICS["test"], "macro_f1": 88}}),
    "a teacher better than perfect": with_facts(teachers={"minilm": 0.9, "other": 1e300}),
    "a teacher below 0": with_facts(teachers={"minilm": -1}),
    "a split by its teacher that is a string": with_facts(labelled_by_teacher="test"),
    "splits by their teacher that are numbers": with_facts(labelled_by_teacher=[1]),
    "an untested teacher that is a string": with_facts(untested_teachers="table"),
    "untested teachers that are numbers": with_facts(untested_teachers=["table", 1]),
    "untested teachers that are an object": with_facts(untested_teachers={"table": "table"}),
    "digests that are a list": with_facts(sha256=[]),
    "a digest that is a number": with_facts(sha256={"prepared": 1}),
    "a teacher's accuracy that is null": with_facts(teachers={"minilm": None}),
    "a scope that is a number": with_facts(scope=1),
    "a scope without a threshold": with_facts(scope=without(SCOPE, "threshold")),
    "a scope without its texts": with_facts(scope=without(SCOPE, "texts")),
    "a threshold that is a string": with_facts(scope={**SCOPE, "threshold": "0"}),
    "a threshold that is true": with_facts(scope={**SCOPE, "threshold": True}),
    "false alarms above 1": with_facts(scope={**SCOPE, "false_alarms": 1.5}),
    "false alarms below 0": with_facts(scope={**SCOPE, "false_alarms_high": -0.1}),
    "a scope with a list": with_facts(scope={**SCOPE, "test": [0.1]}),
    "a scope without a weight": with_facts(scope=without(SCOPE, "weight")),
    "a scope without its rare rows": with_facts(scope=without(SCOPE, "rare")),
    "rare rows that are a number": with_facts(scope={**SCOPE, "rare": 1}),
    "a run below 0": with_facts(scope={**SCOPE, "rare": [1, -1]}),
    "a run of half a row": with_facts(scope={**SCOPE, "rare": [0.5]}),
    "more rare rows than rows": with_facts(scope={**SCOPE, "rare": [0, 1 << 20]}),
    "a version that is a number": with_facts(version=9),
    "parameters that are a string": with_facts(params="none"),
    "a guarantee that is a list": with_facts(guarantee=[GUARANTEE]),
    "a guarantee without thresholds": with_facts(guarantee={k: v for k, v in GUARANTEE.items() if k != "thresholds"}),
    "a guarantee of something else": with_guarantee(kind="constructor"),
    "a guarantee of lists": with_guarantee(kind=["accuracy"]),
    "a guarantee of everything": with_guarantee(target=1),
    "a guarantee with certainty": with_guarantee(confidence=1.0),
    "a guarantee of classes that is 1": with_guarantee(per_class=1),
    "a threshold of a guarantee too few": with_guarantee(thresholds=[0.5]),
    "a threshold of a guarantee too many": with_guarantee(thresholds=[0.5] * 3),
    "a threshold of a guarantee above 1": with_guarantee(thresholds=[0.5, 1.5]),
    "a threshold of a guarantee that is true": with_guarantee(thresholds=[0.5, True]),
    "thresholds of a guarantee that are a string": with_guarantee(thresholds="ab"),
    "thresholds of a guarantee that are an object": with_guarantee(thresholds={"0": 0.5, "1": 0.5}),
    "a guarantee on half a text": with_guarantee(rows=0.5),
    "a guarantee that answers twice": with_guarantee(answered=2),
    "a guarantee with another key": with_guarantee(x=1),
    "a guarantee with half a test": with_guarantee(test={"rows": 1}),
    "a guarantee with a test of texts": with_guarantee(test={"rows": 1, "answered": 0.5, "kept": "a"}),
    "a guarantee of several labels": written(ones_student(thresholds=[0.5, 0.5], facts={"guarantee": GUARANTEE})),
}


def nested(depth):
    """Lists in lists."""
    return json.loads("[" * depth + "]" * depth)


def limits():
    """Pairs of a file at a limit that Python and JavaScript share, and one just beyond it."""
    test, padding = METRICS["test"], random.Random(0).randbytes(1 << 20).hex()
    yield tuple(written(ones_student(hidden=file.MAX_WIDTH + more)) for more in (0, 1))
    yield tuple(with_header(max_ngram=file.MAX_NGRAM + more) for more in (0, 1))
    yield tuple(
        written(ones_student(Fingerprints(range(file.MAX_WORDS - 1 + more), [0], 32), hidden=1)) for more in (0, 1)
    )
    yield tuple(with_facts(x=nested(facts.MAX_DEPTH - 1 + more)) for more in (0, 1))
    yield tuple(with_facts(rows={**fuzz.FACTS["rows"], "train": facts.MAX_TEXTS - 1 + more}) for more in (0, 1))
    yield tuple(
        with_json(json.dumps({"words": "a\nb", "x": padding}).ljust(file.MAX_FACTS_BYTES + more)) for more in (0, 1)
    )
    small = json.dumps({"words": "a\nb"})
    size = max(n for n in range(1 << 20, (1 << 20) + 12_000, 8) if n <= inflatable(with_json(small.ljust(n))))
    yield tuple(with_json(small.ljust(size + more)) for more in (0, 64))
    for name in facts.FIGURES:
        fewer = {key: value for key, value in test.items() if key != name}
        yield with_facts(), with_facts(metrics={"test": fewer})


def inflatable(content):
    """How many bytes of facts a file of this size may hold."""
    return file.MAX_INFLATION * (len(content) - 8) + (1 << 20)
