"""Show how much each word of a text contributes to its prediction."""

import argparse
import sys
from dataclasses import asdict

from potstill.commands.common import add_model
from potstill.errors import PotstillError, listed, visible
from potstill.runtime import explain
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import words
from potstill.terminal import Parser, as_json, text

BAR = 8  # characters of a bar per unit of log-probability, and
LONGEST_BAR = 40.0


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
        raise PotstillError(f"--label: {args.model} has no class {args.label!r} (found: {listed(student.labels)})")
    label, probability, parts = explain.explain(student, args.text, args.label)
    read = min(len(words(args.text)), student.lookup.max_length)
    if read > len(parts):
        note = f"the first {len(parts):,} of {read:,} words are explained; all count in the prediction"
        print(note, file=sys.stderr)
    if args.json:
        rows = [asdict(part) for part in parts]
        print(as_json({"label": label, "probability": round(probability, 6), "words": rows}, indent=2))
        return
    print(visible(f"{label} {probability:.4f}"))
    shown = [visible(part.word) for part in parts]
    width = max(map(len, shown), default=0)
    for word, part in zip(shown, parts, strict=True):
        bar = ("+" if part.part > 0 else "-") * round(min(LONGEST_BAR, BAR * abs(part.part)))
        print(f"  {word:<{width}}  {part.part:+.3f} {bar}" + ("" if part.known else "(unknown)"))
