"""Stage `label`: a teacher's logits for every text of the pool. `python src/label.py minilm`."""

from potstill.core.start import run

import sys

from tqdm import tqdm

from potstill.core import files, paths, schemas, truncation
from potstill.core.errors import PotstillError
from potstill.core.resources import record_resources
from potstill.label.logits import label
from potstill.label.params import LabelParams


def main() -> None:
    """Read the pool and `models/teacher/<name>`; write `data/label/<name>` and its hash under `metrics/label`."""
    params = LabelParams.load()
    if len(sys.argv) != 2 or sys.argv[1] not in params.teachers:
        raise PotstillError(f"usage: python src/label.py NAME, one of {', '.join(params.teachers)}")
    name = sys.argv[1]
    metrics, pool = paths.METRICS / "label" / name, paths.POOL / "pool.parquet"
    with record_resources(f"label/{name}"):
        rows = schemas.open_checked(pool, schemas.POOL_SCHEMA).metadata.num_rows
        scratch = paths.SCRATCH / "label"  # DVC does not track it
        with tqdm(total=rows, unit="text", desc=f"label with {name}", mininterval=1) as bar:
            labelled = label(paths.TEACHER / name, pool, paths.LABEL / name, params, scratch, bar.update)
        share = round(labelled.truncated / rows, 6)
        # The hash is in Git, so that `ensemble` can detect new logits in a clone without them.
        digest = files.sha256(paths.LABEL / name)
        facts = {"rows": rows, "left_out": labelled.left_out, "sha256": digest, "truncated": share}
        files.write_json(metrics / "metrics.json", {"label": {name: facts}})
        truncation.note("teacher.max_length", {"pool's": share})
        if labelled.left_out:
            print(f"{labelled.left_out:,} of {rows:,} texts of the pool are left out: {name} has no label for them")


if __name__ == "__main__":
    run(main)
