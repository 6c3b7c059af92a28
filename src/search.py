"""Search for the best student within a budget: `make search BUDGET=3000`, or with `UNIT=bytes`.

Trains students on the transfer set of the last `dvc repro`, as the stage `student` does; keys of that section that are
not searched are taken from params.yaml. Can be stopped and started again, and on several machines at once where
`--storage` names what they share. The test split is not looked at.
"""

from potstill.start import run

from functools import partial
from pathlib import Path

import optuna
from joblib import cpu_count

from potstill import files, measures, paths
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError
from potstill.evaluate.figure import front_figure
from potstill.params.evaluate import EvaluateParams
from potstill.params.label import LabelParams
from potstill.params.student import StudentParams
from potstill.search import Result, front, markdown, recommend, search, settings
from potstill.storage import at, locked, mend
from potstill.student import transfer
from potstill.student.distil import distil
from potstill.student.transfer import Transfer
from potstill.terminal import Parser
from potstill.workers import workers

METRICS = paths.METRICS / "search"


def main() -> None:
    """Read the prepared data and the transfer set; write `metrics/search`."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=int, required=True, help="the most that a student may have")
    parser.add_argument("--unit", choices=("parameters", "bytes"), default="parameters", help="of the budget")
    parser.add_argument("--trials", type=int, default=40, help="students to train in all (%(default)s)")
    parser.add_argument("--jobs", type=int, default=cpu_count(), help="at a time (%(default)s)")
    parser.add_argument("--storage", help="a file, or postgresql://user@host/database, where others search too")
    arguments = parser.parse_args()
    if min(arguments.budget, arguments.trials, arguments.jobs) < 1:
        raise PotstillError("--budget, --trials and --jobs are at least 1")

    params = StudentParams.load()
    read(params)  # what is missing is said before processes start
    # A storage may have several searches; these belong together if they train on, and are judged by, the same.
    validation = files.sha256(paths.PREPARED / "validation.parquet")
    key = files.cache_key(
        files.sha256(paths.TRANSFER), validation, params.model_dump_json(), arguments.budget, arguments.unit
    )
    scratch = paths.SCRATCH / "search"
    scratch.mkdir(parents=True, exist_ok=True)
    where = arguments.storage or str(scratch / f"{key}.log")
    storage = at(where)
    if not arguments.storage:
        mend(Path(where))
    others = set(optuna.get_all_study_names(storage.open())) - {key}
    print(f"{arguments.trials} students of at most {arguments.budget:,} {arguments.unit}; kept in {storage} as {key}")
    if others:
        print(f"note: {len(others)} more there, of other data, settings or budgets, and left alone")
    work = partial(worker, params, arguments.budget, arguments.unit, arguments.trials, where, key)
    with workers(arguments.jobs) as pool:
        results = max(pool.map(work, range(arguments.jobs)), key=len)
    with locked(scratch / "report"):  # another that ends now, in this very folder, writes the same
        report(results, arguments.unit, arguments.budget, params.metric)


def worker(
    params: StudentParams, budget: int, unit: str, trials: int, where: str, name: str, number: int
) -> list[Result]:
    """Try students until there are enough, beside other processes that do the same."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data, learned = read(params)

    def train(tried: StudentParams) -> Result:
        trained = distil(data.labels, learned.texts, learned.logits, data.validation, tried)
        score = round(trained.best[f"validation_{tried.metric}"], 6)
        return Result(settings(tried), trained.student.parameters, len(trained.student.to_bytes()), score)

    def progress(result: Result, done: int) -> None:
        size = f"{result.parameters:,} parameters, {result.bytes:,} bytes"
        print(f"{done}/{trials}: {result.score:.2%}, {size}, {result.params}", flush=True)

    return search(train, params, len(data.labels), budget, unit, trials, at(where), name, progress)


def read(params: StudentParams) -> tuple[Dataset, Transfer]:
    """What is learned from."""
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    return data, transfer.read(paths.TRANSFER, data.labels, params.sources)


def report(results: list[Result], unit: str, budget: int, metric: str) -> None:
    """Write the table and the picture, and say which student to take."""
    name = LabelParams.load().teachers[0]
    path = paths.METRICS / "teacher" / name / "metrics.json"
    teacher = measures.read(measures.Share | None, path, name, f"validation_{metric}")
    max_loss = EvaluateParams.load().max_loss
    best = recommend(results, unit, teacher, max_loss) if teacher else None
    best_of_size = front(results, unit)
    chosen = best or best_of_size[-1]
    lines = [markdown(best_of_size, chosen)]
    if best:
        lines.append(f"The smallest that loses at most {max_loss:.1%} against the teacher's {teacher:.2%}:")
    elif teacher:
        lines.append(f"None loses at most {max_loss:.1%} against the teacher's {teacher:.2%}; the best:")
    else:
        lines.append("The best:")
    changes = " ".join(f"-S student.{key}={'null' if value is None else value}" for key, value in chosen.params.items())
    lines.append(f"\n    dvc exp run {changes}\n")
    named = metric.replace("_f1", "-F1")
    lines.append(f"Each was trained once and picked by its validation {named}, which therefore flatters it.\n")
    text = "\n".join(lines)
    files.write_text(METRICS / "table.md", text)
    facts = {"unit": unit, "budget": budget, "chosen": chosen.__dict__, "results": [r.__dict__ for r in results]}
    files.write_json(METRICS / "results.json", facts)
    front_figure(results, best_of_size, chosen, unit, teacher, named, METRICS / "front.png")
    print(f"\n{text}\n{METRICS / 'front.png'} shows them all")


if __name__ == "__main__":
    run(main)
