"""Stage `prepare`: read and clean the demo corpus, the user's files or a hub data set.

Reads `prepare` in params.yaml; writes data/prepared/ and metrics/prepare/metrics.json.
"""

from potstill.core.start import run

from dataclasses import replace

from potstill.core import files, paths, untracked
from potstill.core.errors import join_names, visible
from potstill.core.resources import record_resources
from potstill.data.dataset import SPLITS
from potstill.prepare import demo, from_files, from_hub, label_files
from potstill.prepare.assemble import assemble
from potstill.prepare.folds import take_fold
from potstill.prepare.params import PrepareParams
from potstill.readers.tables import RawData


def read(params: PrepareParams) -> RawData:
    """Read the source that `prepare.source` names, and the label files of `prepare.path`."""
    sources = {"demo": demo.read, "files": from_files.read, "hub": from_hub.read}
    return replace(sources[params.source](params), given=from_files.read_labels(params))


@record_resources("prepare")
def main() -> None:
    """Write the prepared data, and the counts of rows and labels."""
    params = PrepareParams.load()
    raw = read(params)
    if params.fold:
        raw = take_fold(raw, params.fold, params.folds, params.seed)
    dataset, facts = assemble(raw, params)
    dataset.save(paths.PREPARED)
    if params.source == "hub" and params.hub.dataset:
        facts |= untracked.hash_untracked(params.hub.dataset, "prepare", params.path)
    files.write_json(paths.METRICS / "prepare" / "metrics.json", {"prepare": facts})

    rows, removed = facts["rows"], facts["removed"]
    print(f"{paths.PREPARED}: " + ", ".join(f"{rows[name]} {name}" for name in (*SPLITS, "unlabelled")))
    if given := facts.get("given"):
        print(label_files.describe(given))
    if dataset.is_labelled("train"):
        found = [f"{n} {name}" for name, n in facts["labels"]["train"].items()]
        print(visible(f"labels in train: {join_names(found)}"))
    else:
        print(visible(f"no labels: the teacher chooses among {join_names(dataset.labels)}"))
    print(
        f"removed from train: {removed['train']['rows']} copies of validation or test texts; "
        f"train texts with two labels: {facts['two_labels']}"
    )


if __name__ == "__main__":
    run(main)
