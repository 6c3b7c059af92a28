"""From an LLM's answer to a label, or to probabilities over labels."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEAR = 0.8  # difflib's similarity from which an answer counts as a label's name
LEAST_MASS = 0.05  # total probability of all codes from which a first token counts as an answer

YES_NO = ("yes", "Yes", "YES", "no", "No", "NO")  # tokens of decisions

_THOUGHTS = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_BEFORE = r"[\W_]*(?:(?:the\s+)?(?:answer|label|category|class)\b(?:\s+is\b)?[\W_]*)?"
# A code is followed by the end, by punctuation, or on a new line; "A person" and "I think" do not begin with one.
_AFTER = r"(?![^\W_])(?![ \t]+[^\W\d_])"
# The decision on a label: after a colon or the like, and without a word behind it, which the name `no damage` has.
_DECISION = re.compile(rf"[:=–—-][\W_]*(yes|no){_AFTER}", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """An answer of an LLM.

    Attributes:
        text: the answer.
        top: for each of its tokens, the likeliest tokens in its place, each with its log-probability, the likeliest
            first; empty if the server gives none.
    """

    text: str
    top: list[list[tuple[str, float]]]


def label_of(text: str, names: Sequence[str], codes: Sequence[str]) -> int | None:
    """Return the position of the label that an answer names by its code or its name; None if it fits none.

    A name may be written in another case, with other punctuation, within a sentence that names no other label, or with
    a typing error.

    Args:
        text: the answer.
        names, codes: those of the labels, in the order of the prompt.
    """
    text = _THOUGHTS.sub("", text).strip()
    for length in sorted({len(code) for code in codes}, reverse=True):
        alternatives = "|".join(re.escape(code) for code in codes if len(code) == length)
        if found := re.match(f"(?i:{_BEFORE})({alternatives}){_AFTER}", text):
            return codes.index(found[1])
    if text in names:
        return names.index(text)
    plain, answer = [_plain(name) for name in names], _plain(text)
    if not answer:
        return None
    if answer in plain:
        return plain.index(answer)
    mentioned = [i for i, name in enumerate(plain) if name and f" {name} " in f" {answer} "]
    if mentioned:
        # `severe toxic` also mentions `toxic`.
        within = {i for i in mentioned for j in mentioned if i != j and f" {plain[i]} " in f" {plain[j]} "}
        longest = [i for i in mentioned if i not in within]
        return longest[0] if len(longest) == 1 else None
    near = difflib.get_close_matches(answer, plain, n=1, cutoff=NEAR)
    return plain.index(near[0]) if near else None


def distribution(answer: Answer, names: Sequence[str], codes: Sequence[str]) -> np.ndarray | None:
    """Return the probabilities of labels, floats (labels,), that sum to one; None if the answer fits no label.

    They are those of the codes in the place where the answer has one. An answer that names a label otherwise is
    certain of it.
    """
    label = label_of(answer.text, names, codes)
    if label is not None:
        for place in answer.top:
            if place and place[0][0].strip() == codes[label]:
                return _normalised(_mass(place, codes))
        return np.eye(len(codes))[label]
    first = _mass(answer.top[0], codes) if answer.top else np.zeros(1)
    return _normalised(first) if first.sum() >= LEAST_MASS else None


def decisions(answer: Answer, names: Sequence[str], codes: Sequence[str]) -> np.ndarray:
    """Return the probability that each label applies, floats (labels,); NaN where the answer does not decide.

    It is that of `yes` against `no` in the place where the answer has one of them after the label's code or name;
    without log-probabilities, 1 or 0.
    """
    places = [place for place in answer.top if place] or [[(answer.text, 0.0)]]
    text = "".join(place[0][0] for place in places)
    text = _THOUGHTS.sub(lambda thought: " " * len(thought[0]), text)  # so that what follows stays in its place
    ends = np.cumsum([len(place[0][0]) for place in places])
    found, begin = np.full(len(codes), np.nan), 0
    for match in _DECISION.finditer(text):
        *_, line = ["", *text[begin : match.start()].splitlines()]
        begin = match.end()
        label = label_of(line, names, codes)
        if label is not None and np.isnan(found[label]):
            place = places[np.searchsorted(ends, match.start(1), side="right")] if answer.top else [(match[1], 0.0)]
            found[label] = _probability_of_yes(place)
    return found


def _probability_of_yes(place: list[tuple[str, float]]) -> float:
    mass = dict.fromkeys(("yes", "no"), 0.0)
    for token, logprob in place:
        word = _plain(token)
        if word in mass:
            mass[word] += np.exp(min(logprob, 0.0))
    total = sum(mass.values())
    return mass["yes"] / total if total else np.nan


def _mass(place: list[tuple[str, float]], codes: Sequence[str]) -> np.ndarray:
    mass = np.zeros(len(codes))
    for token, logprob in place:
        if token.strip() in codes:
            mass[codes.index(token.strip())] += np.exp(min(logprob, 0.0))
    return mass


def _normalised(mass: np.ndarray) -> np.ndarray:
    return mass / mass.sum()


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
