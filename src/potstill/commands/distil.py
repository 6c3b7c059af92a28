"""Distil a classifier from labelled texts, in one command.

The same as `DistilledClassifier` in Python: nothing but the model file is left, unless `--cache-dir` is given.
"""

import argparse
import csv
import io
import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.commands.common import add_output, columns, integer
from potstill.core import files, params
from potstill.core.errors import PotstillError, visible
from potstill.estimator.classifier import DistilledClassifier
from potstill.estimator.settings import Settings, check_used, renamed
from potstill.evaluate.next_steps import Step
from potstill.prepare import from_files
from potstill.prepare.folds import take_fold
from potstill.prepare.params import PrepareParams
from potstill.readers.tables import RawData
from potstill.terminal import Parser, text

# The keys of `prepare` that messages name, as options.
OPTIONS = {
    "prepare.text": "--text",
    "prepare.label": "--label",
    "prepare.path": "FILE",
    "prepare.unlabelled": "--unlabelled",
    "prepare.multi_label": "--multi-label",
    "prepare.fold": "--folds",
    "prepare.folds": "--folds",
    "prepare.label_names": "--names",
    "prepare.train": "-S prepare.train",
    "test_share": "-S prepare.test_share",  # as it is called in Python
    "validation_share": "-S prepare.validation_share",
}


# Keys that -S cannot set, and what does.
INSTEAD = {
    "label.teachers": "Use --teacher",
    "prepare.path": "Give the file as the first argument",
    "prepare.source": "Give a file as the first argument",
    "teacher.checkpoints": "Use --teacher",
}


def arguments(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    formats = "csv, tsv, jsonl, also as .gz or .zst; parquet; or txt with lines of text;label"
    add(
        "file",
        help=f"labelled texts: {formats}. Or a folder with files named train and, if there are any, validation, test",
    )
    joined = "columns of the text, separated by commas; several are joined by a space"
    add("--text", type=columns, metavar="NAMES", default=["text"], help=f"{joined} (default: text)")
    add("--label", type=text, metavar="COLUMN", help="column of the labels (default: label)")
    names = (
        "labels to choose among, separated by commas, if nobody has labelled the texts; then txt has a text per line"
    )
    add("--names", type=columns, metavar="NAMES", help=names)
    add("--multi-label", action="store_true", help="a text may have several labels, joined by | (joy|love), or none")
    more = "files of more texts, for the teacher to label: txt with one text per line, or tables with the same column"
    add("--unlabelled", nargs="+", type=Path, metavar="FILE", default=[], help=more)
    add_output(parser, type=Path, required=True, help="the model file to write, such as student.pot")
    teacher = "preset, folder, id on the Hugging Face hub, or table of probabilities (default: %(default)s)"
    add("--teacher", type=text, metavar="NAME", default="minilm", help=teacher)
    add("--rung", type=text, default="auto", help="rung of the ladder; auto: the smallest that keeps the accuracy")
    folds = "cross-validate in K folds for the verdict, and train on all texts; for few labelled texts and no test file"
    add("--folds", type=lambda value: integer(value, 2, 100), metavar="K", help=folds)
    add("--seed", type=lambda value: integer(value, 0, 2**32 - 1), metavar="N", default=0, help="default: %(default)s")
    cache = "folder for the results of all steps, from which an interrupted run resumes (default: a temporary one)"
    add("--cache-dir", type=Path, metavar="FOLDER", help=cache)
    other = "another parameter of params.yaml, such as student.tolerance=0.01; may be repeated"
    add("-S", "--set-param", action="append", type=text, metavar="KEY=VALUE", default=[], help=other)


def run(args: argparse.Namespace) -> None:
    """Train, write the model file, and print the verdict.

    Raises:
        PotstillError: the output exists or cannot be written, or the data or a parameter are wrong.
    """
    # So that the temporary folder, which holds texts, is removed if a scheduler ends the process.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        _run(args)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace) -> None:
    _check_output(args.output, args.overwrite)
    files.check_is_no_source(args.output, args.file, args.teacher, *args.unlabelled)
    if args.names and args.label:
        raise PotstillError("--names: for texts that nobody has labelled, and --label names their labels. Give one.")
    args.label = args.label or PrepareParams().label
    given = _sections(args.set_param)
    with renamed(OPTIONS):
        check_used(given, INSTEAD)
        raw = _read(args, given)
        classifier = DistilledClassifier(
            args.teacher,
            rung=args.rung,
            test_share=None if args.folds else PrepareParams().test_share,
            random_state=args.seed,
            params=given,
            cache_dir=args.cache_dir,
        )
        if args.folds:
            take_fold(raw, 1, args.folds, args.seed)  # which fails before anything takes long
        again = f", for each of {args.folds} folds and once for all texts" if args.folds else ""
        print(f"{classifier.estimate(raw)}{again}.", flush=True)
        if args.folds:
            evaluation = classifier.cross_validate_tables(raw, args.folds, _Commands(args))
            print("all texts", flush=True)
        classifier.fit_tables(raw)
    classifier.student_.save(args.output)
    if not args.folds:
        evaluation = classifier.evaluate(commands=_Commands(args))
    print(f"\n{visible(str(args.output))}: {args.output.stat().st_size:,} bytes\n")
    print("\n".join(map(visible, str(evaluation.verdict).splitlines())))
    step = evaluation.next_steps[0]
    print("", visible(f"Next: {step.text}:"), f"  {visible(step.command)}", sep="\n")


def _check_output(path: Path, overwrite: bool) -> None:
    """Check, before hours of training, that a file can be written."""
    if path.is_dir():
        raise PotstillError(f"{path}: it is a folder. Name a file, such as student.pot.")
    if path.exists() and not overwrite:
        raise PotstillError(f"{path}: it exists already. Name another file, or add --overwrite.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise PotstillError(f"{path}: {parent} is not a writable folder. Name another file.")


def _sections(settings: list[str]) -> dict[str, dict[str, Any]]:
    """Return the values of -S by section and key; each is parsed as YAML."""
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        section, dot, name = key.partition(".")
        if not (equals and dot):
            raise PotstillError(f"-S {setting}: not of the form section.key=value. Write it as student.tolerance=0.01.")
        sections.setdefault(section, {})[name] = params.parse(f"value: {value}", f"-S {key}")["value"]
    return sections


def _read(args: argparse.Namespace, given: Mapping[str, Mapping[str, Any]]) -> RawData:
    """Read the tables, and the label files of a folder, as the stage `prepare` does."""
    asked = {"source": "files", "path": args.file, "text": args.text, "label": None if args.names else args.label}
    asked |= {"label_names": args.names} if args.names else {}
    prepare = Settings.of(given, prepare=asked | {"multi_label": args.multi_label}).prepare
    raw = from_files.read(prepare)
    more = [from_files.read_unlabelled(path, prepare) for path in args.unlabelled]
    names = prepare.label_names if prepare.label is None else None
    return RawData(raw.splits, [*raw.unlabelled, *more], names, from_files.read_labels(prepare))


def _joined(names: list[str]) -> str:
    """Return names as `columns` reads them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


@dataclass(frozen=True)
class _Commands:
    """What to type next on the command line."""

    args: argparse.Namespace

    def _again(self, **changes: Any) -> str:
        """Return the command with other options."""
        args = argparse.Namespace(**vars(self.args) | changes)
        words = ["potstill", "distil", args.file, "--text", _joined(args.text)]
        words += ["--names", _joined(args.names)] if args.names else ["--label", args.label]
        words += ["--multi-label"] * args.multi_label
        for key in ("teacher", "rung", "folds", "cache_dir"):
            value = getattr(args, key)
            words += [f"--{key.replace('_', '-')}", str(value)] if value not in (None, "minilm", "auto") else []
        words += ["--unlabelled", *map(str, args.unlabelled)] if args.unlabelled else []
        words += ["--seed", str(args.seed)] if args.seed else []
        words += [word for setting in args.set_param for word in ("-S", setting)]
        return shlex.join([*words, "-o", str(args.output), "--overwrite"])

    def use(self) -> list[Step]:
        return [Step("Classify texts with it", shlex.join(["potstill", "predict", str(self.args.output), "texts.txt"]))]

    def teacher(self, name: str) -> str:
        return self._again(teacher=name)

    def rung(self, name: str) -> str:
        return self._again(rung=name)

    def unlabelled(self, number: int) -> str:
        return self._again(unlabelled=[*self.args.unlabelled, "more.txt"])

    def rows(self, split: str, number: int) -> str:
        return self._again()

    def cross_validate(self) -> str:
        return self._again(folds="5")

    def labels(self) -> str:
        set_param = [*self.args.set_param, "prepare.test=labelled.csv", "prepare.test_label=label"]
        if (path := Path(self.args.file)).is_dir():
            return self._again(set_param=set_param)
        return self._again(file="folder", set_param=[f"prepare.train={path.name}", *set_param])

    def train(self) -> str:
        kept = [setting for setting in self.args.set_param if not setting.startswith("prepare.test_label=")]
        path = Path(self.args.file)
        file, texts = (self.args.file, "train.csv") if path.is_dir() else ("folder", path.name)
        added = ["prepare.train=labelled.csv", f"prepare.unlabelled=[{json.dumps(texts)}]"]
        return self._again(names=None, file=file, set_param=[*kept, *added])

    def to_label(self) -> str | None:
        return None

    def table(self) -> str:
        return self._again()
