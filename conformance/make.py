"""Write the conformance files: small students with fixed weights, and what each of them answers to some texts.

    PYTHONPATH=src python conformance/make.py

Between them, the students of pot1 have every architecture with every kind of vocabulary, and every flag of the format
(docs/format.md). The probabilities in expected.json are those of reference.py, which shares no code with potstill, and
for pot2 those of onnxruntime. Files that are committed are never changed; a change of the format gets files of its own.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill.runtime import tokenizer
from potstill.runtime.facts import FIGURES, RARE
from potstill.runtime.model import Classifier, Student
from potstill.runtime.networks import ARCHITECTURES, Shape
from potstill.runtime.scope import FACT
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from potstill.runtime.transformer.model import Transformer
from potstill.runtime.transformer.shape import Shape as TransformerShape
from potstill.runtime.transformer.tokenizer import Tokenizer
from potstill.runtime.transformer.weights import Weights

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from reference import Model  # noqa: E402

TEXTS = [
    "", " \t\n\x1c\x85\u3000", "good", "not good", "NOT  Good, not good at all!", "un-known words_1 only",
    "goodness goods", "ΣΑΣ σας İstanbul ß ẞ Straße", "café cafe\u0301 e\u0301\u0301",
    "今天很好。コーヒー วันดี น้ำ", "می\u200cش 👩\u200d👧 ❤️ 👍🏽",
    "nul\0 and \ud800 a lone surrogate", "x" * 33 + " " + "x" * 101, "good " * 20 + "not",
    "## ##ness #good", "हिन्दी में Привет 한국어 1️⃣ ½ Ⅷ",
]  # fmt: skip
ENTRIES = [
    "!", ",", "all", "at all", "café", "good", "good not", "not", "not good", "not good at", "only", "today", "words_1",
    "σασ", "не", "में", "今", "天", "👩",
]  # fmt: skip
PIECES = ["##goods", "##k", "##ness", "##now", "##s", "##x", "go", "istan", "nul", "un", "x" * 32]
BITS = [(32, 32), (2, 4), (3, 5), (8, 8), (6, 7), (4, 32)]  # of the embedding table, and of the other weights
KINDS = ("strings", "fingerprints", "subwords", "subword-fingerprints")
FACTS = {
    "version": "0.1.0",
    "params": {"seed": 0},
    "rows": {"train": 10, "unlabelled": 20, "test": 5},
    "sha256": {"prepared": "0" * 64},
    "metrics": {"test": dict.fromkeys(FIGURES, 0.5)},
    "teachers": {"minilm": 0.75},
}


def students() -> dict[str, Classifier]:
    """Return the students by the name of their file."""
    made: dict[str, Classifier] = {}
    for kind in KINDS:
        for architecture in ARCHITECTURES:
            made[f"{architecture}-{kind}"] = _student(architecture, kind, len(made))
    made["mlp-empty"] = _student("mlp", "empty", len(made))
    for name in ("wordpiece", "bpe", "unigram"):
        made[f"transformer-{name}"] = _transformer(name, len(made))
    made["transformer-relative"] = _transformer("wordpiece", len(made), relative=True)
    made["bigru-scope"] = _scoped(_student("bigru", "strings", len(made)), -0.6)
    made["mlp-scope"] = _scoped(_student("mlp", "fingerprints", len(made)), 2.4)  # multi-label
    made["transformer-scope"] = _scoped(_transformer("wordpiece", len(made)), -0.8)
    made["transformer-smoothed"] = _transformer("bpe", len(made), smoothed=True)
    return made


def _student(architecture: str, kind: str, seed: int) -> Student:
    random = np.random.RandomState(seed)  # whose numbers are the same in every version of NumPy
    subwords = kind.startswith("subword")
    names = sorted([*ENTRIES, *PIECES] if subwords else ENTRIES) if kind != "empty" else []
    entries: Words | Fingerprints = Words(names)
    if kind.endswith("fingerprints"):
        salts = [[200], [3, 9], [0, 1, 2, 255]][seed % 3]
        bits = (32, 9, 12)[seed % 3]
        prints = {tokenizer.fingerprint(tokenizer.checksum(name), salts, bits) for name in names}
        entries = Fingerprints(sorted(prints), salts, bits)
    rows = None
    if seed % 2:  # so that the last row occurs
        rows = (1 + random.permutation(len(entries)) % (len(entries) // 2)).tolist()
    vocabulary = Vocabulary(entries, rows, 3 if architecture == "mlp" and not subwords else 1, 30, subwords)
    shape = Shape(architecture, 3, 5 if architecture == "bigru" else 4)
    labels = ["a", "ça va", "日本"] if seed % 4 else ["yes", "no"]
    bits_ = BITS[seed % len(BITS)]
    weights, steps = {}, {}
    for name, size in shape.weights(vocabulary.size, len(labels)).items():
        width = bits_[name != "embedding.weight"]
        weights[name] = random.standard_normal(size).astype(np.float32)
        if width != 32:
            steps[name] = float(np.float16(4 / 2**width))
            most = 2 ** (width - 1)
            integers = np.clip(np.rint(weights[name] / steps[name]), -most, most - 1)
            weights[name] = integers.astype(np.float32) * np.float32(steps[name])
    return Student(
        labels,
        vocabulary,
        shape,
        weights,
        bits_,
        steps,
        temperature=(1.0, 0.75, 2.0)[seed % 3],
        thresholds=[0.25, 0.5, 0.75][: len(labels)] if seed % 5 == 2 else None,
        facts=FACTS if seed % 2 else {},
    )


def _transformer(name: str, seed: int, relative: bool = False, smoothed: bool = False) -> Transformer:
    random = np.random.RandomState(seed)
    tokens, parts = {
        "wordpiece": (
            ["[UNK]", "[CLS]", "[SEP]", "!", ",", "good", "not", "##ness", "##s", "un", "##known", "cafe", "今", "天"],
            {"normalizer": _BERT, "pre_tokenizer": {"type": "BertPreTokenizer"}},
        ),
        "bpe": (
            ["[UNK]", "[CLS]", "[SEP]", "Ġ", "g", "o", "d", "n", "t", "oo", "goo", "good", "Ġgood", "ot", "not", "Ã"],
            {
                "normalizer": {"type": "NFC"},
                "pre_tokenizer": {
                    "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True,
                },
            },
        ),
        "unigram": (
            ["[UNK]", "[CLS]", "[SEP]", "▁", "▁good", "▁not", "g", "o", "d", "ness", "s", "é", "今"],
            {
                "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
                "pre_tokenizer": {
                    "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True,
                },
            },
        ),
    }[name]  # fmt: skip
    ids = {token: id_ for id_, token in enumerate(tokens)}
    model = {
        "wordpiece": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": ids,
        },
        "bpe": {
            "type": "BPE", "dropout": None, "unk_token": "[UNK]", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": ids,
            "merges": [["o", "o"], ["g", "oo"], ["goo", "d"], ["Ġ", "good"], ["o", "t"], ["n", "ot"]],
        },
        "unigram": {
            "type": "Unigram", "unk_id": 0, "byte_fallback": False,
            "vocab": [[token, -1.0 - 0.25 * id_] for token, id_ in ids.items()],
        },
    }[name]  # fmt: skip
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False) | {"special": True}
    added = [{"id": id_, "content": tokens[id_], **flags} for id_ in (1, 2)]
    embedding, activation, pooler = {
        "wordpiece": (8, "gelu", "tanh"), "bpe": (6, "relu", "relu"), "unigram": (8, "gelu_tanh", "gelu"),
    }[name]  # fmt: skip
    shape = TransformerShape(len(tokens), 12, embedding, 8, 16, 2, 2, activation, pooler, 1e-5, relative, smoothed)
    labels = ["a", "ça va", "日本"]
    weights = {
        part: random.standard_normal(size).astype(np.float32) / np.float32(size[-1] ** 0.5 if len(size) == 2 else 4)
        for part, size in shape.weights(len(labels)).items()
    }
    weights |= {part: 1 + 4 * abs(array) for part, array in weights.items() if part.endswith(".smoothing")}
    return Transformer(
        labels,
        Tokenizer({**parts, "model": model, "added_tokens": added}, 1, 2, shape.positions),
        shape,
        Weights.round(weights, dict.fromkeys(shape.inputs(), (-4.0, 4.0))),
        temperature=1.0 if name == "bpe" else 0.5,
        thresholds=[0.25, 0.5, 0.75] if name == "unigram" else None,
        facts=FACTS if name == "wordpiece" else {},
    )


def _scoped(student: Any, threshold: float) -> Any:
    scope = {"threshold": threshold, "false_alarms": 0.01, "false_alarms_high": 0.02, "texts": 500}
    return replace(student, facts=FACTS | {FACT: scope | {"weight": 2.5, RARE: [1, 3, 2, 1, 1]}})


_BERT = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": True,
    "lowercase": True,
}


def expected(student: Classifier) -> dict[str, object]:
    """Return what a file has to answer to `TEXTS`."""
    knows_scope = FACT in student.facts
    if isinstance(student, Student):
        model = Model(student.to_bytes())
        probabilities = [model.probabilities(text) for text in TEXTS]
        in_scope = [model.in_scope(text) for text in TEXTS] if knows_scope else None
    else:
        probabilities = student.predict_proba(TEXTS).tolist()
        in_scope = student.in_scope(TEXTS).tolist() if knows_scope else None
    return {
        "labels": student.labels,
        "thresholds": student.thresholds,
        "probabilities": [[round(value, 7) for value in row] for row in probabilities],
    } | ({"in_scope": in_scope} if knows_scope else {})


def main() -> None:
    """Write the files that are missing, and what they all answer."""
    answers = {}
    for name, student in students().items():
        path = FOLDER / f"{name}.pot"
        if not path.exists():
            student.save(path)
        answers[path.name] = expected(Classifier.load(path))
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
    text = f'{{"texts": {json.dumps(TEXTS)},\n "files": {{\n{lines}\n}}}}\n'
    (FOLDER / "expected.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
