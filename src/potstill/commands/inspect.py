"""Describe a model: its classes, size, origin and scores."""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from potstill.commands.common import add_model, load
from potstill.core.errors import MAX_NAMES, join_names, visible
from potstill.runtime import explain, fast, scope
from potstill.runtime.facts import RARE
from potstill.runtime.file import FLOAT
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import Classifier, Student
from potstill.runtime.tokenizer import CONTINUATION
from potstill.terminal import Parser, as_json, finite

INFORMATIVE_WORDS = 8  # shown per class
OPTIONAL = ("thresholds", "informative", "pieces")  # values of a description that not every student has


def arguments(parser: Parser) -> None:
    """Add the options."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the description."""
    student, content = load(args.model)
    description = describe(student, len(content))
    if args.json:
        print(as_json(description, indent=2))
        return
    for line in lines(args.model, student, description):
        print(visible(line))


def describe(student: Classifier, size: int) -> dict[str, Any]:
    """Return a description of a student for programs: computed values, then its file's facts, which replace none.

    Args:
        student: the student.
        size: bytes of its file.
    """
    thresholds = [round(threshold, 6) for threshold in student.thresholds or ()]
    computed = {
        "architecture": student.architecture,
        "labels": student.labels,
        "parameters": student.parameters,
        **student.details,
        "bytes": size,
        "max_length": student.max_length,
        "temperature": round(student.temperature, 6),
        **({"thresholds": dict(zip(student.labels, thresholds, strict=True))} if thresholds else {}),
    }
    informative = {}
    if isinstance(student, Student):
        computed |= {"pieces": _pieces(student)} if student.vocabulary.subwords else {}
        found = explain.informative_words(student, INFORMATIVE_WORDS)
        informative = {label: dict(words) for label, words in found.items()}
    facts = {key: value for key, value in student.facts.items() if key not in {*computed, *OPTIONAL}}
    if scope.FACT in facts:  # without thousands of numbers
        facts[scope.FACT] = {name: value for name, value in facts[scope.FACT].items() if name != RARE}
    return finite({**computed, **facts, "informative": informative})


def lines(path: Path, student: Classifier, description: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a description for people."""
    table, rest = description["bits"]
    bits = f"{table} bits in the embedding table, {rest} elsewhere"
    if table == rest:
        bits = "32-bit floats" if table == FLOAT else f"{table} bits"
    yield f"{path}: " + "{architecture}, {parameters:,} parameters, {bytes:,} bytes".format_map(description)
    if student.thresholds is None:
        names = [repr(name) if "," in name else name for name in student.labels]
        yield f"classes     {join_names(names)}"
    else:
        named = [f"{name} ({threshold:.3f})" for name, threshold in description["thresholds"].items()]
        yield f"labels      {join_names(named)}; multi-label, with these decision thresholds"
    weights = f"{bits}; calibrated with temperature {description['temperature']:g}"
    if not isinstance(student, Student):
        yield "vocabulary  {tokens:,} tokens of its teacher".format_map(description)
        yield "max length  {max_length} tokens".format_map(description)
        yield "layers      {layers}, of width {hidden}".format_map(description)
        yield f"weights     {weights}"
        yield "runs in     onnxruntime"
        yield from origin(student.facts, multi_label=student.thresholds is not None)
        return
    kernel = "compiled" if fast.kernel else "numpy (slower; reinstall with a C compiler for the compiled one)"
    yield f"vocabulary  {_entries(description)}, stored as {description['matches']}"
    yield "max length  {max_length} words".format_map(description)
    yield f"weights     {weights}"
    yield f"kernel      {kernel}"
    yield from origin(student.facts, multi_label=student.thresholds is not None)
    if not description["informative"]:
        yield "The file does not contain its vocabulary as words."
        return
    yield "most informative words of each class, and how much they raise the log-probability:"
    for label, words in islice(description["informative"].items(), MAX_NAMES):
        yield f"  {label}: " + ", ".join(f"{word} {gain:+.1f}" for word, gain in words.items())
    if len(student.labels) > MAX_NAMES:
        yield f"  … and {len(student.labels) - MAX_NAMES:,} more classes: --json lists all"


def _pieces(student: Student) -> int | None:
    """Return how many entries are pieces that continue a word; None if the file does not name its entries."""
    return None if student.words is None else sum(entry.startswith(CONTINUATION) for entry in student.words)


def _entries(description: dict[str, Any]) -> str:
    """Count the entries of the vocabulary."""
    words, pieces = description["words"], description.get("pieces", 0)
    if pieces is None:
        return f"{words:,} words and pieces of words"
    return f"{words - pieces:,} words" + (f" and {pieces:,} pieces that continue words" if pieces else "")


def origin(facts: dict[str, Any], *, multi_label: bool) -> Iterator[str]:
    """Yield the lines on a model's origin and scores.

    Args:
        facts: those of a model file, which `runtime.facts.check` has checked: some may be missing.
        multi_label: whether the task is multi-label.
    """
    correct = "correct in all labels" if multi_label else "correct"
    by_teacher = facts.get("labelled_by_teacher", [])
    rows = facts.get("rows", {})
    if "version" in facts:
        yield f"made by     potstill {facts['version']}"
    if {"train", "unlabelled"} <= rows.keys():
        if "labelled_by_teacher" in facts:
            yield f"from        {rows['train'] + rows['unlabelled']:,} unlabelled texts"
        else:
            yield f"from        {rows['train']:,} labelled and {rows['unlabelled']:,} unlabelled texts"
    for name, accuracy in facts.get("teachers", {}).items():
        yield f"teacher     {name}, {accuracy:.2%} on test"
    for name in facts.get("untested_teachers", []):
        note = ", without predictions for some of the test texts"
        note = note if "test" in facts.get("metrics", {}) and not by_teacher else ""
        yield f"teacher     {name}{note}"
    for split, scores in facts.get("metrics", {}).items():
        interval = "95% CI {accuracy_low:.2%} to {accuracy_high:.2%}".format_map(scores)
        others = "macro F1 {macro_f1:.4f}, calibration error {calibration_error:.4f}".format_map(scores)
        measured = "with the label that its teacher predicts" if split in by_teacher else correct
        yield f"{split:<12}{scores['accuracy']:.2%} of {rows[split]:,} {measured} ({interval}), {others}"
    if promise := Guarantee.of(facts):
        yield f"guarantee   {promise}"
        if checked := promise.checked():
            yield f"            {checked}"
    if "scope" in facts:
        yield f"no class    {scope.sentence(facts['scope'])}"
    for name, digest in facts.get("sha256", {}).items():
        yield f"sha256      {digest}  {name}"
