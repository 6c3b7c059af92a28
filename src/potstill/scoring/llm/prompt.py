"""What an LLM is asked: a template, the labels in an order, and examples."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from potstill.core.errors import PotstillError, first_line
from potstill.core.files import missing_file
from potstill.data.clean import comparison_key


@dataclass(frozen=True)
class Example:
    """A text, and the ids of its labels: one, or in a multi-label task any number."""

    text: str
    labels: Sequence[int]


class Prompt:
    """A template of Jinja that asks for the label of a text, or in a multi-label task for its labels.

    It has the variables `text`; `labels`, each with `code`, `name` and `description` (which may be empty); and
    `examples`, each with `text`, and the `code` and `name` of its label. In a multi-label task, each example has
    `labels` instead: all labels, with also whether each `applies`.

    Attributes:
        labels: the names of the labels.
        multi_label: whether the task is multi-label.
    """

    def __init__(
        self, source: str, place: Path, labels: Sequence[str], descriptions: Mapping[str, str], multi_label: bool
    ) -> None:
        """Compile a template.

        Args:
            source: the template.
            place: its file, for messages.
            labels: the names of the labels.
            descriptions: of some of them.
            multi_label: whether the task is multi-label.

        Raises:
            PotstillError: it is not a template, or leaves out the text or the labels.
        """
        self.labels, self.multi_label = labels, multi_label
        self._place, self._descriptions = place, descriptions
        environment = SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
        try:
            self._template: Template = environment.from_string(source)
        except TemplateError as error:
            raise self._invalid(error) from None
        marker = "\x00text\x00"
        shown, codes = self.render(marker, range(len(labels)), [])
        for missing, variable in ((marker, "text"), (codes[0], "labels[…].code"), (labels[0], "labels[…].name")):
            if missing not in shown:
                raise PotstillError(f"{place}: it does not use the variable `{variable}`. Add it.")

    def render(self, text: str, order: Sequence[int], examples: Sequence[Example]) -> tuple[str, list[str]]:
        """Return the prompt for a text, and the codes of its labels.

        Args:
            text: the text.
            order: the ids of the labels, in the order in which they are listed.
            examples: those whose label is not listed are left out, except in a multi-label task.
        """
        names = [self.labels[label] for label in order]
        codes = codes_for(names)
        listed = [
            {"code": code, "name": name, "description": self._descriptions.get(name, "")}
            for code, name in zip(codes, names, strict=True)
        ]
        shown: list[dict[str, Any]] = []
        for example in examples:
            applies = [label in example.labels for label in order]
            if self.multi_label:
                its = [{**label, "applies": one} for label, one in zip(listed, applies, strict=True)]
                shown.append({"text": example.text, "labels": its})
            elif any(applies):
                shown.append({**listed[applies.index(True)], "text": example.text})
        try:
            return self._template.render(text=text, labels=listed, examples=shown).strip(), codes
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise self._invalid(error) from None

    def _invalid(self, error: Exception) -> PotstillError:
        line = getattr(error, "lineno", None)
        where = f"{self._place}, line {line}" if line else self._place
        return PotstillError(f"{where}: it is not a valid prompt ({first_line(error)}). Correct it.")


def read(path: Path) -> str:
    """Read a template.

    Raises:
        PotstillError: the file is missing or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise missing_file(path, "Set the preset's `llm.prompt` to an existing file, or to null.") from None
    except UnicodeDecodeError:
        raise PotstillError(f"{path} is not UTF-8. Save it as UTF-8.") from None


def codes_for(names: Sequence[str]) -> list[str]:
    """Return a code of one token for each label: A, B, …; or its name, if all are single characters, such as stars."""
    if all(len(name) == 1 for name in names):
        return list(names)
    letters = string.ascii_uppercase
    return [letters[i] if i < 26 else letters[i // 26 - 1] + letters[i % 26] for i in range(len(names))]


def orders(labels: int, number: int) -> list[list[int]]:
    """Return orders in which to list labels, so that each is early in some and late in others.

    They come in pairs, of which the second is the reverse of the first; the first of each pair is rotated further.
    """
    found = []
    for i in range(number):
        start = (i // 2) * labels // -(-number // 2)
        order = [*range(start, labels), *range(start)]
        found.append(order[::-1] if i % 2 else order)
    return found


class Examples:
    """Labelled texts, of which the most similar to a text are shown with it (Liu et al. 2022)."""

    def __init__(self, texts: Sequence[str], labels: Sequence[Sequence[int]]) -> None:
        """Keep the first of the texts that differ in case and white space only."""
        first = {comparison_key(text): i for i, text in reversed(list(enumerate(texts)))}
        kept = sorted(first.values())
        self.texts, self.labels = [texts[i] for i in kept], [list(labels[i]) for i in kept]

    @cached_property
    def _index(self) -> tuple[TfidfVectorizer, NearestNeighbors, list[str]]:
        vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
        neighbours = NearestNeighbors(metric="cosine", algorithm="brute", n_jobs=1)
        return vectorizer, neighbours.fit(vectorizer.fit_transform(self.texts)), list(map(comparison_key, self.texts))

    def nearest(self, texts: Sequence[str], number: int) -> list[list[Example]]:
        """Return for each text the most similar others, the most similar last: next to the question.

        Args:
            texts: the texts. One that is among the labelled ones is not its own example, which would tell its label.
            number: of examples for each.
        """
        if not number or not self.texts or not texts:
            return [[] for _ in texts]
        vectorizer, neighbours, keys = self._index
        found = neighbours.kneighbors(
            vectorizer.transform(texts), min(number + 1, len(self.texts)), return_distance=False
        )
        shown = []
        for text, row in zip(texts, np.asarray(found).tolist(), strict=True):
            key = comparison_key(text)
            others = [i for i in row if keys[i] != key][:number]
            shown.append([Example(self.texts[i], self.labels[i]) for i in reversed(others)])
        return shown
