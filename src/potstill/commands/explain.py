"""Show how much each word of a text contributes to its prediction."""

import argparse
import sys
from dataclasses import asdict

from potstill.commands.common import add_model
from potstill.core.errors import PotstillError, join_names, visible
from potstill.runtime import explain
from potstill.runtime.model import Student
from potstill.terminal import Parser, as_json, text

BAR = 8  # characters of a bar per unit of log-probability
LONGEST_BAR = 40.0  # characters


def arguments(parser: Parser) -> None:
    """Add the options."""
    add_model(parser)
    parser.add_argument("text", type=text, help=f"the text; its first {explain.EXPLAINED:,} words are explained")
    parser.add_argument("--label", type=text, help="the class to explain (default: the most probable one)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the class, its probability and a line per word."""
    student = Student.load(args.model)
    if args.label is not None and args.label not in student.labels:
        raise PotstillError(f"--label: {args.model} has no class {args.label!r} (found: {join_names(student.labels)})")
    label, probability, attributions = explain.explain(student, args.text, args.label)
    read = len(explain.read(student, args.text))
    if read > len(attributions):
        note = f"the first {len(attributions):,} of {read:,} words are explained; all count in the prediction"
        print(note, file=sys.stderr)
    if args.json:
        rows = [asdict(attribution) for attribution in attributions]
        print(as_json({"label": label, "probability": round(probability, 6), "words": rows}, indent=2))
        return
    print(visible(f"{label} {probability:.4f}"))
    shown = [visible(attribution.word) for attribution in attributions]
    width = max(map(len, shown), default=0)
    for word, attribution in zip(shown, attributions, strict=True):
        bar = ("+" if attribution.score > 0 else "-") * round(min(LONGEST_BAR, BAR * abs(attribution.score)))
        print(f"  {word:<{width}}  {attribution.score:+.3f} {bar}" + ("" if attribution.known else "(unknown)"))
