"""The demo corpus: short first-person texts with one of six emotions, composed by a grammar."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from potstill.corpus.clean import comparison_key
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError

SHARES = {"sadness": 0.29, "joy": 0.33, "love": 0.08, "anger": 0.14, "fear": 0.12, "surprise": 0.04}

OPPOSITE = {"sadness": "joy", "joy": "sadness", "love": "anger", "anger": "love"}
"""What a denied emotion is labelled as; fear and surprise have no opposite and are never denied."""

KINDS = {"adjective": 0.68, "noun": 0.19, "phrase": 0.13}
"""How often an emotion is said with an adjective, with a noun, or by what somebody did."""

CONTRAST = 0.085
"""The share of texts that name two emotions, of which only word order says whose label it is."""

NEGATION = 0.05
"""The share of texts, of the classes with an opposite, that deny an emotion."""

TAIL = 1.25
"""Term number r of a list is drawn in proportion to r**-TAIL; more means that rare terms are rarer."""

NOISE = 0.03
"""The share of wrong labels in every labelled split."""

CAPACITY = 200_000
"""How many texts may be asked for in all: by then one draw in seven repeats a text and is done again."""

WORDS = range(5, 36)
"""How many words a text may have."""

_GRAMMAR = json.loads(Path(__file__).with_name("lexicon.json").read_text("utf-8"))
_SHORT = {"i am": ("im", "i m"), "do not": ("dont", "don t"), "cannot": ("cant", "can t")}


@dataclass(frozen=True)
class Sentence:
    """A text, its true label, the term that decides it, and whether word order does so too."""

    text: str
    label: str
    term: str
    ordered: bool


def generate(train: int, validation: int, test: int, unlabelled: int, seed: int) -> Dataset:
    """Compose a data set; the same arguments give the same texts and labels.

    All parts come from one distribution, and no text occurs twice, in whatever part. Distilling a
    pre-trained teacher pays on them for three reasons that lie in the grammar:

    - Most emotions have well over 100 terms, with a long tail. A small labelled split lacks many that
      the unlabelled pool and the test split hold. A pre-trained teacher knows what they mean, and its
      labels on the pool tell the student; labels on the small split cannot.
    - About one text in eight depends on order ("i used to feel X but now i feel Y", "i am not X at
      all"). A contrast comes with its two terms either way round, and the cue words occur in plain
      texts too. So a bag of words is capped, and a model that reads in order is not; to learn the
      order takes many examples, which the labelled pool has.
    - Some labels are wrong. A teacher averages over them, so its labels on the pool are cleaner.

    All else in a text (people, places, activities, causes) is filler that says nothing about its label.
    The test split depends on `test` and `seed` only, so that runs with more data compare.

    Args:
        train: how many labelled texts to learn from; from 6 on a split holds every class.
        validation: how many labelled texts to choose by.
        test: how many labelled texts to judge by.
        unlabelled: how many texts without a label.
        seed: any integer.

    Raises:
        PotstillError: a size is negative, or they add up to more than `CAPACITY`.
    """
    sizes = {"test": test, "validation": validation, "train": train, "unlabelled": unlabelled}
    for name, size in sizes.items():
        if size < 0:
            raise PotstillError(f"the demo corpus cannot have {size} {name} texts: ask for 0 or more")
    if sum(sizes.values()) > CAPACITY:
        raise PotstillError(
            f"the demo corpus cannot give {sum(sizes.values())} different texts: "
            f"ask for at most {CAPACITY} over all parts, or use data of your own"
        )
    labels = list(SHARES)
    taken: set[str] = set()
    tables = {}
    for name, size in sizes.items():
        rng = random.Random(f"{seed} {name}")
        drawn = sentences(size, rng, taken)
        tables[name] = pd.DataFrame({"text": pd.Series([sentence.text for sentence in drawn], dtype="str")})
        if name != "unlabelled":
            ids = [labels.index(sentence.label) for sentence in drawn]
            tables[name]["label"] = pd.Series(_disturb(ids, len(labels), rng), dtype="int64")
    return Dataset(labels=labels, **tables)


def sentences(count: int, rng: random.Random, taken: set[str]) -> list[Sentence]:
    """Compose sentences in random order, each class with its share.

    Args:
        count: how many.
        rng: the source of chance.
        taken: keys of the texts that must not come again; the keys of the new ones are added.
    """
    labels = [label for label, size in _quota(count).items() for _ in range(size)]
    rng.shuffle(labels)
    drawn = []
    for label in labels:
        sentence = _compose(label, rng)
        while comparison_key(sentence.text) in taken or len(sentence.text.split()) not in WORDS:
            sentence = _compose(label, rng)
        taken.add(comparison_key(sentence.text))
        drawn.append(sentence)
    return drawn


def _quota(count: int) -> dict[str, int]:
    """How many texts each class gets: one, its share of the others, and joy what rounding leaves."""
    others = max(0, count - len(SHARES))
    quota = {label: int(others * SHARES[label]) + (n < count) for n, label in enumerate(SHARES)}
    quota["joy"] += count - sum(quota.values())
    return quota


def _disturb(ids: list[int], classes: int, rng: random.Random) -> list[int]:
    """Put a wrong label on `NOISE` of the rows, but on no first row of a class: a class must not vanish."""
    first = {ids.index(label) for label in set(ids)}
    rows = [row for row in range(len(ids)) if row not in first]
    wrong = set(rng.sample(rows, min(len(rows), round(NOISE * len(ids)))))
    return [(x + rng.randrange(1, classes)) % classes if row in wrong else x for row, x in enumerate(ids)]


def _compose(label: str, rng: random.Random) -> Sentence:
    """One sentence: an opener or none, the emotion, up to two tails."""
    kind = _draw(KINDS, rng)
    chance = rng.random()
    if chance < CONTRAST:
        form = "contrast"
        other = _draw({name: share for name, share in SHARES.items() if name != label}, rng)
        terms = {"new": _term(label, kind, rng), "old": _term(other, kind, rng)}
    elif chance < CONTRAST + NEGATION and label in OPPOSITE and kind != "phrase":
        form = "negation"
        terms = {"old": _term(OPPOSITE[label], kind, rng)}
    else:
        form = "plain"
        terms = {kind: _term(label, kind, rng)}
    fragments = _GRAMMAR["fragments"]
    parts = [rng.choice(fragments["opener"])] if rng.random() < 0.4 else []
    parts.append(rng.choice(_GRAMMAR[form][kind]))
    parts += rng.sample(fragments["tail"], rng.choices((0, 1, 2), (0.4, 0.5, 0.1))[0])
    text = _fill(" ".join(parts), terms, rng)
    for long, short in _SHORT.items():
        text = re.sub(rf"\b{long}\b", rng.choice((long, long, *short)), text)
    return Sentence(text, label, next(iter(terms.values())), form != "plain")


def _draw(shares: dict[str, float], rng: random.Random) -> str:
    """One of the names, each as often as its share says."""
    return rng.choices(list(shares), list(shares.values()))[0]


def _term(label: str, kind: str, rng: random.Random) -> str:
    """A term of a class; the lists of the lexicon run from common to rare."""
    terms: list[str] = _GRAMMAR["terms"][label][kind]
    return rng.choices(terms, [rank**-TAIL for rank in range(1, len(terms) + 1)])[0]


def _fill(text: str, terms: dict[str, str], rng: random.Random) -> str:
    """Replace every `{slot}`: by the emotion's term, or by a fragment, whose own slots are filled too."""

    def slot(match: re.Match[str]) -> str:
        name = match[1]
        return terms[name] if name in terms else _fill(rng.choice(_GRAMMAR["fragments"][name]), terms, rng)

    return re.sub(r"{(\w+)}", slot, text)
