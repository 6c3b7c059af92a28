"""Untrained students, and texts that tokenizers must handle."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from potstill.runtime import tokenizer
from potstill.runtime.model import Student
from potstill.runtime.networks import Shape
from potstill.runtime.tokenizer import Fingerprints, Vocabulary, Words
from tests.forged import GUARANTEE

ENTRIES = [
    "\0",
    "!",
    "?",
    "a",
    "ab",
    "café",
    "extraordinarily long word",
    "not good",
    "ss",
    "sixteen_letters_",
    "the",
    "σασ",
    "ça",
    "में",
    "日",
    "น้",
    "☕",
    "😀",
]


# Pieces that split words outside ENTRIES, and some that never do: too long, nothing after the signs, not at a start.
PIECES = [
    "##",
    "###",
    "##-",
    "##a",
    "##abx",
    "##b",
    "##é",
    "##s",
    "##ss",
    "##x",
    "##" + "x" * 32,
    "##" + "é" * 33,
    "##_",
    "##\u0301",
    "##日",
    "##\u200d",
    "caf",
    "e",
    "é",
    "sixteen",
    "th",
    "un",
    "x" * 33,
    "अ",
]


# How a vocabulary keeps its entries, and what they are: arguments of `student`.
KINDS = {
    "strings": {},
    "fingerprints": {"strings": False},
    "subwords": {"subwords": True},
    "subword fingerprints": {"strings": False, "subwords": True},
}


# Scripts with and without spaces, combining marks, joiners, and the parts of emoji.
SCRIPTS = (
    "今天很好、手机。々〇㐀\U00020000コーヒー゛が\u3099ｶﾞㄅアンำน้ำ฿วันดี๑ລາວ່ါမြန်មាខ្រ។हिन्दी में্কமிழ்مَرْحَبًا می\u200cش\u200dරී"
    "Привет, мир! שָׁלוֹם 한국어ㅋㅋe\u0301\u0489❤️👍🏽👩‍👩‍👧1️⃣#️⃣🇩🇪🏴\U000e0067\U000e007f〰️㊗️\ufe0e\u20e3"
)


ODD = [
    "",
    "  \t\n\x0b\x1c\x85\xa0\u2028\u3000",
    "The THE a_b ab-a!?",
    "ΣΑΣ σας İ ß ẞ ﬁ ǅ",
    "not good, NOT  GOOD",
    "日本 日本語 ☕️😀👩‍👩‍👧 á",
    SCRIPTS,
    " ".join(SCRIPTS),
    "".join(f"a{character}日{character}!{character}" for character in SCRIPTS),
    "\x00\x01 a\x00b \ud800 \udfff lone ?",
    "x" * 1_000_000,
    "the ab " * 150_000,
    "sixteen_letters_ sixteen_letters_s sixteen_letters",
    "é" * 300_000,
    "## ##a a##b #a thea thesis them aabb abs abx \xe9\xe9s e\u0301\u0301 cafe\u0301s caf\xe9s_ ab\u200db \u65e5\u0301",
    " ".join(["x" * 32, "x" * 33, "x" * 34, "x" * 101, "e" + "x" * 64, "é" * 99 + "x", "é" * 100, "é" * 101]),
]


TEXTS = st.lists(
    st.text(
        st.one_of(
            st.sampled_from([*"".join(ENTRIES), *SCRIPTS, " ", "Σ", "İ", "A", "\n", "1", "_"]),
            st.characters(codec=None),
        )
    )
    | st.lists(st.sampled_from([*ENTRIES, "unknown", "."])).map(" ".join),
    max_size=90,
)


def student(
    architecture,
    strings=True,
    max_ngram=2,
    rows=None,
    classes=3,
    hidden=5,
    temperature=0.7,
    subwords=False,
    salts=(3, 9),
):
    rng = np.random.default_rng(0)
    entries = [*ENTRIES, *PIECES] if subwords else ENTRIES
    known = Words(sorted(entries))
    if not strings:
        prints = {tokenizer.fingerprint(tokenizer.checksum(entry), salts, 9) for entry in entries}
        known = Fingerprints(sorted(prints), list(salts), 9)
    vocabulary = Vocabulary(known, rows, max_ngram if architecture == "mlp" and not subwords else 1, 40, subwords)
    shape = Shape(architecture, 4, hidden)
    sizes = shape.weights(vocabulary.size, classes)
    weights = {name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    return Student([f"c{i}" for i in range(classes)], vocabulary, shape, weights, (32, 32), {}, temperature)


def portable(made):
    """The same student without the kernel."""
    same = dataclasses.replace(made)
    same.__dict__["_kernel"] = None
    return same


def promising(made, texts, **changes):
    """The same student with a guarantee, by default one that covers about half of these texts."""
    limit = float(np.median(made.predict_proba(texts).max(1)))
    fact = {**GUARANTEE, "thresholds": [limit] * len(made.labels), **changes}
    return dataclasses.replace(made, facts={"guarantee": fact})


def multi_label_student(architecture="bigru", strings=True, thresholds=(0.25, 0.5, 0.75), **changes):
    """A student of random weights whose texts have any number of three labels."""
    return dataclasses.replace(student(architecture, strings, **changes), thresholds=list(thresholds))
