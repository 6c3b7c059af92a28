"""Test on all labelled texts, fold by fold, where there is no test split.

Runs the pipeline once per fold, as experiments: each labelled text is a test text once, of a teacher and a student that
did not learn from it. One verdict comes from all folds.
"""

import argparse
import io
import json
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

from potstill.commands import compare, queue
from potstill.commands.common import count, integer
from potstill.core import files, paths
from potstill.core.errors import PotstillError, visible
from potstill.core.params import section
from potstill.evaluate.folds import Fold, judge_folds
from potstill.evaluate.metrics import measures
from potstill.evaluate.next_steps import ProjectCommands, Step
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.table import markdown
from potstill.terminal import Parser

METRICS = paths.METRICS / "cross-validate"
PREPARED = paths.METRICS / "prepare" / "metrics.json"


def arguments(parser: Parser) -> None:
    """Add the options."""
    folds = "folds (default: prepare.folds)"
    parser.add_argument("--folds", type=lambda value: integer(value, 2, 100), metavar="K", help=folds)
    jobs = "experiments to run in parallel (default: %(default)s)"
    parser.add_argument("--jobs", type=count, metavar="N", default=2, help=jobs)


class _Commands(ProjectCommands):
    """What to type next after a cross-validation."""

    def use(self) -> list[Step]:
        return [Step("Train the student that ships, on all folds", "dvc repro")]

    def rows(self, split: str, number: int) -> str:
        return "potstill cross-validate"


def run(args: argparse.Namespace) -> None:
    """Queue an experiment per fold, run the queue, pool the predictions, and write `metrics/cross-validate`.

    Raises:
        PotstillError: there are no labels, a teacher was fine-tuned before, or an experiment cannot be queued or fails.
    """
    prepare, teacher = section("prepare").load(), section("teacher").load()
    if prepare.label is None:
        raise PotstillError("`prepare.label` is null: without labels, there is nothing to cross-validate.")
    from potstill.teacher.continuation import is_teacher  # imports torch, which other commands do without

    for name in section("label").load().teachers:
        if is_teacher(Path(teacher.presets[name].checkpoint)):
            raise PotstillError(
                f"`teacher.presets.{name}.checkpoint` is a fine-tuned teacher, which has perhaps learned the texts of "
                "every fold. Set it to the checkpoint that it was made of."
            )
    folds = args.folds or prepare.folds
    names = [enqueue(number, folds) for number in range(1, folds + 1)]
    print(f"Queued {', '.join(names)}", flush=True)
    queue.run(args)
    revisions = [compare.resolve(name) for name in names]
    unlabelled = measures.check(measures.Count, json.loads(at(revisions[0], PREPARED))["prepare"]["rows"]["unlabelled"])
    verdict, steps, rows = judge_folds(
        [read(name, revision) for name, revision in zip(names, revisions, strict=True)],
        section("label").load().teachers,
        section("evaluate").load().non_inferiority_margin,
        unlabelled,
        _Commands(prepare.source, prepare.unlabelled, prepare.path),
    )
    table = markdown(rows)
    shown = {"folds": folds, "experiments": names, **asdict(verdict), "next_steps": list(map(asdict, steps))}
    files.write_json(METRICS / "verdict.json", shown)
    files.write_text(METRICS / "table.md", f"{verdict}\n\n{table}")
    print("", *map(visible, str(verdict).splitlines()), "", table, sep="\n")
    print(visible(f"Next: {steps[0].text}:"), f"  {visible(steps[0].command)}", sep="\n")


def enqueue(number: int, folds: int) -> str:
    """Queue the experiment of a fold, and return its name.

    Raises:
        PotstillError: DVC refuses.
    """
    command = ["dvc", "exp", "run", "--queue", "-S", f"prepare.fold={number}", "-S", f"prepare.folds={folds}"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Queued experiment '([^']+)'", done.stdout)
    if done.returncode or not found:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise PotstillError(f"fold {number} cannot be queued: {' '.join(reason)}. Correct that, and run this again.")
    return found[1]


def read(name: str, revision: str) -> Fold:
    """Return what an experiment left of its fold.

    Raises:
        PotstillError: its predictions are neither in DVC's cache nor in a remote that can be reached.
    """
    content = compare.cached(revision, compare.PREDICTIONS)
    if content is None:
        raise PotstillError(f"{name}: no {compare.PREDICTIONS} in DVC's cache. Run `dvc exp pull` and this again.")
    test = Predictions.load(Path(f"{name}:{compare.PREDICTIONS}"), io.BytesIO(content))
    models = measures.check(measures.Scores, json.loads(at(revision, compare.SCORES))["models"])
    return Fold(test, models)


def at(revision: str, path: Path) -> str:
    """Return a file of a commit that Git holds."""
    return compare.git("show", f"{revision}:{path}")
