"""Stage `ablate`: what the teacher, each kind of text, the choice of words and the amount of text bring."""

from potstill.start import run as run_stage

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import cpu_count
from tqdm import tqdm

from potstill import files, paths
from potstill.ablate import Trial, is_row, plan, run
from potstill.corpus.dataset import Dataset
from potstill.cost import measured
from potstill.params.ablate import AblateParams
from potstill.params.baseline import BaselineParams
from potstill.student import transfer
from potstill.student.transfer import TransferSet
from potstill.workers import workers

METRICS = paths.METRICS / "ablate"
GROUPS = ("sources", "pool")  # that `dvc plots` shows
COLUMNS = ("name", "texts", "accuracy")


@measured(METRICS / "cost.json")
def main() -> None:
    """Read the prepared data and the transfer set; write `metrics/ablate`. A run that was killed goes on."""
    params, baseline = AblateParams.load(), BaselineParams.load()
    trials = plan(params, baseline, transfer.sources(paths.TRANSFER))
    inputs = [files.sha256(paths.PREPARED), files.sha256(paths.TRANSFER), params.model_dump_json(exclude={"n_jobs"})]
    scratch = paths.SCRATCH / "ablate" / files.key(*inputs, baseline.model_dump_json())
    found: dict[str, dict[str, Any]] = {}
    jobs = min(params.n_jobs or cpu_count(), max(1, len(trials)))
    with workers(jobs) as pool:
        works = {trial.work: trial for trial in trials}
        waiting = {work: pool.submit(result, trial, params, baseline, scratch) for work, trial in works.items()}
        for trial in tqdm(trials, unit="model", desc="ablate"):
            found.setdefault(trial.group, {})[trial.name] = row = waiting[trial.work].result()
            tqdm.write(f"{trial.group}, {trial.name}: {row['accuracy']:.2%} on test, {row['texts']:,} texts")
    files.write_json(METRICS / "metrics.json", {"ablate": found})
    for group in GROUPS:
        rows = pd.DataFrame([{"name": name, **row} for name, row in found.get(group, {}).items()], columns=COLUMNS)
        files.write_text(METRICS / f"{group}.csv", rows.to_csv(index=False))


def result(trial: Trial, params: AblateParams, baseline: BaselineParams, scratch: Path) -> dict[str, Any]:
    """One trial's result, as an earlier run left it or a new one."""
    path = scratch / f"{files.key(trial.work)}.json"
    row = files.kept(path, is_row)
    if row is None:
        row = run(trial, *read(), params, baseline)
        files.write_json(path, row)
    return row


@cache
def read() -> tuple[Dataset, TransferSet]:
    """What is learned from, once per process."""
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    return data, transfer.read(paths.TRANSFER, data.labels)


if __name__ == "__main__":
    run_stage(main)
