"""Stage `ablate`: measure what the teacher, each source of text, the vocabulary and the number of texts contribute."""

from potstill.core.start import run as run_stage

from functools import cache
from pathlib import Path

import pandas as pd
from joblib import cpu_count
from tqdm import tqdm

from potstill.ablate.ablation import Row, Trial, is_row, plan, run
from potstill.ablate.params import AblateParams
from potstill.baseline.params import BaselineParams
from potstill.core import files, paths
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.core.workers import workers
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.data.transfer import TransferSet
from potstill.evaluate.metrics import measures
from potstill.scoring.held_out import label_held_out

METRICS = paths.METRICS / "ablate"


@record_resources("ablate")
def main() -> None:
    """Read the prepared data and the transfer set; write `metrics/ablate`. Resumes a run that was killed."""
    params, baseline = AblateParams.load(), BaselineParams.load()
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    by_teacher = [split for split in ("validation", "test") if not data.is_labelled(split)]
    trials = plan(params, baseline, transfer.sources(paths.ENSEMBLE), data.is_labelled("train"))
    inputs = [files.sha256(paths.PREPARED), files.sha256(paths.ENSEMBLE), params.model_dump_json(exclude={"n_jobs"})]
    scratch = paths.SCRATCH / "ablate" / files.cache_key(*inputs, baseline.model_dump_json())
    groups: dict[str, dict[str, Row]] = {}
    jobs = min(params.n_jobs or cpu_count(), max(1, len(trials)))
    with workers(jobs, main=True) as pool:  # `result` is defined here
        distinct = {trial.key: trial for trial in trials}
        results = {key: pool.submit(result, trial, params, baseline, scratch) for key, trial in distinct.items()}
        for trial in tqdm(trials, unit="model", desc="ablate"):
            row = results[trial.key].result()
            groups.setdefault(trial.group, {})[trial.name] = row
            tqdm.write(f"{trial.group}, {trial.name}: {row['accuracy']:.2%} on test, {row['texts']:,} texts")
    files.write_json(METRICS / "metrics.json", measures.with_agreement({"ablate": groups}, by_teacher))
    for group in ("sources", "pool"):  # shown by `dvc plots`
        rows = [{"name": name, **row} for name, row in groups.get(group, {}).items()]
        table = pd.DataFrame(rows, columns=["name", "texts", "accuracy"])
        files.write_text(METRICS / f"{group}.csv", table.to_csv(index=False))


def result(trial: Trial, params: AblateParams, baseline: BaselineParams, scratch: Path) -> Row:
    """Return the result of a trial, from an earlier run if there is one."""
    path = scratch / f"{files.cache_key(trial.key)}.json"
    row = files.read_checkpoint(path, is_row)
    if row is None:
        row = run(trial, *read(), params, baseline)
        files.write_json(path, row)
    return row


@cache
def read() -> tuple[Dataset, TransferSet]:
    """Read the texts to train on, once per process."""
    data = label_held_out(Dataset.load(paths.PREPARED, unlabelled=False), _predictions())
    return data, transfer.read(paths.ENSEMBLE, data.labels)


def _predictions() -> list[Path]:
    """Return the folders of the predictions of the teachers that labelled."""
    return [paths.METRICS / "teacher" / name for name in section("label").load().teachers]


if __name__ == "__main__":
    run_stage(main)
