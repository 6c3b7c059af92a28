"""Recommend a student and what to improve, in minutes, before a full run.

Trains inexpensive models on a sample of the prepared data (`dvc repro prepare`) and writes `metrics/advise`. Can be
stopped and started again. The test split is not used.
"""

import argparse
import shutil
import sys
from dataclasses import asdict
from functools import partial

from potstill.advise.decide import decide
from potstill.advise.measure import measure
from potstill.advise.report import markdown
from potstill.advise.teacher import FineTunedTeacher
from potstill.baseline.params import BaselineParams
from potstill.core import files, paths
from potstill.core.errors import PotstillError, join_names
from potstill.data.dataset import Dataset
from potstill.evaluate.params import EvaluateParams
from potstill.student.params import StudentParams
from potstill.teacher import table
from potstill.teacher.params import TeacherParams
from potstill.terminal import Parser, text

METRICS = paths.METRICS / "advise"
SCRATCH = paths.SCRATCH / "advise"


def arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--rows", type=int, default=1500, help="labelled rows to use at most (default: %(default)s)")
    teacher = "one of teacher.presets (default: the first of teacher.checkpoints)"
    parser.add_argument("--teacher", type=text, help=teacher)


def run(args: argparse.Namespace) -> None:
    """Measure models on a sample of the prepared data; write `metrics/advise`."""
    params = TeacherParams.load()
    name = args.teacher or params.checkpoints[0]
    if name not in params.presets:
        found = join_names(sorted(params.presets))
        raise PotstillError(f"--teacher: params.yaml has no preset {name!r} (found: {found})")
    if table.is_table(params.presets[name].checkpoint):
        raise PotstillError(f"--teacher: {name} is a table of answers, which cannot label other texts. Name another.")
    data = Dataset.load(paths.PREPARED)
    teacher = FineTunedTeacher(params, name, data.labels, data.multi_label, SCRATCH)
    progress = partial(print, file=sys.stderr, flush=True)
    measured = measure(data, args.rows, BaselineParams.load(), StudentParams.load(), teacher, progress)
    measured |= {"teacher": name, "non_inferiority_margin": EvaluateParams.load().non_inferiority_margin}
    advice = decide(measured)
    report = markdown(measured, advice)
    with files.atomic_write(METRICS) as folder:
        folder.mkdir()
        files.write_json(folder / "advice.json", {"measured": measured, "advice": [asdict(s) for s in advice]})
        files.write_text(folder / "advice.md", report)
    shutil.rmtree(SCRATCH)
    print(f"\n{report}")
