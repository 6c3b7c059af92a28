"""Classify the texts of a file or of standard input."""

import argparse
import sys
from functools import partial
from pathlib import Path

from potstill.bulk import fallback
from potstill.bulk.predict import Progress, Threshold, predict
from potstill.commands.common import add_model, add_output, columns, count, number
from potstill.core.errors import PotstillError, missing_package, visible
from potstill.readers.formats import FORMATS, STANDARD
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import Classifier, Student
from potstill.terminal import Parser, text


def arguments(parser: Parser) -> None:
    """Add the options."""
    parser.epilog = (
        "txt, csv and tsv contain the labels as they are in the model file, and a spreadsheet runs a cell that begins "
        "with =, +, -, @, a tab or a carriage return: check the labels of a file that you did not make with `potstill "
        "inspect`. jsonl escapes control characters."
    )
    add_model(parser)
    add = parser.add_argument
    formats = "txt, csv, tsv or jsonl, also as .gz or .zst; or parquet (default: -, standard input)"
    add("input", nargs="?", default=STANDARD, help=formats)
    add_output(parser, default=STANDARD, help="the file to write (default: -, standard output)")
    add("--input-format", choices=FORMATS, help="default: by the file's suffix; txt for standard input")
    add("--output-format", choices=FORMATS, help="default: by the file's suffix; jsonl for standard output")
    joined = "columns, or keys, of the text, separated by commas; several are joined by a space, as by `prepare.text`"
    add("--text", "--column", type=columns, metavar="NAMES", default=["text"], help=f"{joined} (default: text)")
    kept = "columns to write before the predictions, such as id,text (txt: the line is `text`)"
    add("--keep", type=columns, metavar="NAMES", default=[], help=kept)
    add(
        "--top-k",
        type=count,
        metavar="K",
        help="write the K most probable classes (default: 1; for a multi-label model, all predicted labels)",
    )
    add(
        "--threshold",
        type=partial(number, least=0, most=1, kind="a number from 0 to 1"),
        metavar="P",
        help="leave the label empty if its probability is below P (default: 0; for a multi-label model, P replaces "
        "the decision threshold of every label)",
    )
    abstain = "leave the label empty where the model's guarantee (`potstill inspect`) does not hold"
    add("--abstain", action="store_true", help=abstain)
    add(
        "--fallback",
        type=Path,
        metavar="FOLDER",
        help="classify texts below --threshold with the teacher in this folder, such as models/teacher/minilm "
        "(default: the thresholds of the model's guarantee)",
    )
    scope = "write a column `in_scope`: false for a text unlike the training data (`export.scope`)"
    add("--scope", action="store_true", help=scope)
    skip = "skip rows without a valid text, count them, and number the others"
    add("--skip-bad", action="store_true", help=skip)
    add = parser.add_argument_group("on a Ray cluster").add_argument
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: read a Parquet file, a folder or a glob pattern, local or in a store such as s3://, and write a "
        "folder of Parquet files; a second run resumes the first (default: %(default)s)",
    )
    add("--workers", type=count, metavar="N", help="parallel workers (default: as many as fit)")
    add("--address", type=text, help="address of the cluster, such as auto (default: start one on this machine)")


def run(args: argparse.Namespace) -> None:
    """Classify on this machine, or on a Ray cluster."""
    if args.engine == "ray":
        _run_ray(args)
        return
    student = Student.load(args.model)
    if args.fallback and student.thresholds is not None:
        raise PotstillError(f"--fallback requires a single-label model ({args.model} is multi-label). Leave it out.")
    if args.abstain and args.fallback:
        raise PotstillError("--abstain: with --fallback, the teacher classifies these texts. Leave one of them out.")
    threshold = _threshold(args, student)
    if args.fallback and not threshold:
        raise PotstillError("--fallback requires --threshold. Set the probability below which the teacher classifies.")
    done = predict(
        student,
        args.input,
        args.output,
        source_format=args.input_format,
        target_format=args.output_format,
        texts=args.text,
        carry=args.keep,
        top=args.top_k,
        threshold=threshold,
        skip_bad=args.skip_bad,
        fallback=fallback.load(args.fallback, student.labels) if args.fallback else None,
        scope=args.scope,
        keep=[args.model, *(args.fallback.rglob("*") if args.fallback else ())],
        overwrite=args.overwrite,
    )
    notes = f"{done.rows:,} texts classified"
    if args.fallback:
        share = done.passed_on / max(1, done.rows)
        notes += f", {done.passed_on:,} of them ({share:.1%}) by {visible(str(args.fallback))}"
    if done.skipped:
        notes += f", {done.skipped:,} bad rows skipped"
    if args.fallback or done.skipped:
        print(notes, file=sys.stderr)


def _threshold(args: argparse.Namespace, student: Classifier) -> Threshold | None:
    """Return the threshold, or those of the model's guarantee where that decides.

    Raises:
        PotstillError: texts are to be left out by a guarantee, and there is none, or also a threshold.
    """
    if args.abstain and args.threshold is not None:
        raise PotstillError("--abstain: the model's guarantee has thresholds of its own. Leave out --threshold.")
    if args.abstain:
        return Guarantee.required(student.facts, "--abstain").limits.tolist()
    promise = Guarantee.of(student.facts) if args.fallback and args.threshold is None else None
    return promise.limits.tolist() if promise else args.threshold


def _run_ray(args: argparse.Namespace) -> None:
    if STANDARD in (args.input, args.output):
        raise PotstillError("--engine ray requires Parquet files and -o with a folder (found: -, a stream). Name both.")
    if args.fallback or args.skip_bad or args.keep or args.overwrite:
        raise PotstillError(
            "--engine ray does not support --fallback, --keep, --overwrite and --skip-bad. Leave them out."
        )
    try:
        from potstill.bulk import distributed
        from potstill.engine import ray
    except ModuleNotFoundError as error:
        raise missing_package(error.name, "ray") from None
    with Progress() as progress:
        rows = distributed.predict(
            args.model,
            args.input,
            args.output,
            columns=args.text,
            top=args.top_k,
            threshold=_threshold(args, Student.load(args.model)),
            scope=args.scope,
            engine=partial(ray.each, actors=args.workers or 0, address=args.address, gpu=False),
            progress=progress.update,
        )
    print(f"{rows:,} texts classified", file=sys.stderr)
