"""Search for the best student within a budget of parameters or bytes.

Trains students on the transfer set of the last `dvc repro`, as the stage `student` does; parameters of that section
that are not searched are taken from params.yaml. Can be stopped and started again, and on several machines at once that
share a `--storage`. The test split is not used. Writes `metrics/search`.
"""

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path

import optuna
from joblib import cpu_count

from potstill.core import files, paths
from potstill.core.errors import PotstillError
from potstill.core.workers import workers
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.data.transfer import TransferSet
from potstill.evaluate.metrics import measures
from potstill.evaluate.params import EvaluateParams
from potstill.evaluate.plots.figure import pareto_figure
from potstill.label.params import LabelParams
from potstill.search import storage
from potstill.search.results import Result, markdown, pareto_front, recommend
from potstill.search.run import search
from potstill.search.space import SearchSpace, searched
from potstill.student.distil import distil
from potstill.student.params import StudentParams
from potstill.terminal import Parser

METRICS = paths.METRICS / "search"


def arguments(parser: Parser) -> None:
    """Add the options."""
    add = parser.add_argument
    unit = "of the budget (default: %(default)s)"
    add("--budget", type=int, required=True, help="the largest size of a student")
    add("--unit", choices=("parameters", "bytes"), default="parameters", help=unit)
    add("--trials", type=int, default=40, help="students to train in all (default: %(default)s)")
    add("--jobs", type=int, default=cpu_count(), help="students trained at a time (default: all cores)")
    add(
        "--storage",
        help="where processes on several machines share the search: a file, or postgresql://user@host/database "
        "(default: a file in .potstill)",
    )


def run(args: argparse.Namespace) -> None:
    """Train students until there are `--trials` of them; write `metrics/search`."""
    if min(args.budget, args.trials, args.jobs) < 1:
        raise PotstillError("--budget, --trials, --jobs: must be positive integers")
    params = StudentParams.load()
    classes = len(_read(params)[0].labels)  # before processes start, so that an error is reported once
    space = SearchSpace(params, classes, args.budget, args.unit)
    # A storage may hold several searches. One is continued only on the same data, parameters and budget.
    validation = files.sha256(paths.PREPARED / "validation.parquet")
    key = files.cache_key(files.sha256(paths.ENSEMBLE), validation, params.model_dump_json(), args.budget, args.unit)
    scratch = paths.SCRATCH / "search"
    scratch.mkdir(parents=True, exist_ok=True)
    name = args.storage or str(scratch / f"{key}.log")
    shared = storage.from_name(name)
    if not args.storage:
        storage.discard_if_damaged(Path(name))
    others = set(optuna.get_all_study_names(shared.open())) - {key}
    print(f"{args.trials} students of at most {args.budget:,} {args.unit}; stored in {shared} as {key}")
    if others:
        searches = f"{len(others)} search{'es' * (len(others) > 1)}"
        print(f"note: {shared} also has {searches} on other data, parameters or budgets, not used here")
    work = partial(_run_worker, space, args.trials, name, key)
    with workers(args.jobs) as pool:
        futures = [pool.submit(work) for _ in range(args.jobs)]
        results = max((future.result() for future in futures), key=len)
    with storage.file_lock(scratch / "report"):  # another search in this folder may end at the same time
        _report(results, space)


def _run_worker(space: SearchSpace, trials: int, storage_name: str, study: str) -> list[Result]:
    """Take part in a search, in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train = partial(_train, *_read(space.base))
    return search(train, space, trials, storage.from_name(storage_name), study, partial(_progress, trials))


def _train(data: Dataset, transfer_set: TransferSet, params: StudentParams) -> Result:
    trained = distil(data.labels, transfer_set.texts, transfer_set.logits, data.validation, params)
    score = round(trained.best[f"validation_{params.metric}"], 6)
    return Result(searched(params), trained.student.parameters, len(trained.student.to_bytes()), score)


def _progress(trials: int, result: Result, done: int) -> None:
    size = f"{result.parameters:,} parameters, {result.bytes:,} bytes"
    print(f"{done}/{trials}: {result.score:.2%}, {size}, {result.params}", flush=True)


def _read(params: StudentParams) -> tuple[Dataset, TransferSet]:
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    return data, transfer.read(paths.ENSEMBLE, data.labels, params.sources)


def _report(results: list[Result], space: SearchSpace) -> None:
    """Write the table and the figure, and print which student to take."""
    name, unit = LabelParams.load().teachers[0], space.unit
    path = paths.METRICS / "teacher" / name / "metrics.json"
    teacher = measures.read(measures.Share | None, path, name, f"validation_{space.base.metric}")
    margin = EvaluateParams.load().non_inferiority_margin
    front = pareto_front(results, unit)
    recommended = None if teacher is None else recommend(front, teacher, margin)
    chosen = recommended or front[-1]
    metric = space.base.metric.replace("_f1", "-F1")
    text = markdown(front, chosen, metric, teacher, margin)
    files.write_text(METRICS / "table.md", text)
    facts = {"unit": unit, "budget": space.budget, "chosen": asdict(chosen), "results": [asdict(r) for r in results]}
    files.write_json(METRICS / "results.json", facts)
    pareto_figure(results, front, chosen, unit, teacher, metric, METRICS / "front.png")
    print(f"\n{text}\nFigure: {METRICS / 'front.png'}")
