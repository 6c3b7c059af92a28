"""Stage `transfer`: the transfer set, every text with the mean logits of the labelling teachers.

It is a stage of its own so that every output has one maker: a teacher is added or left out without labelling
anything twice, and `dvc exp run --pull` finds all that a student needs in one place.
"""

import numpy as np
import pandas as pd

from potstill import files, paths
from potstill.cost import measured
from potstill.errors import PotstillError, run
from potstill.params.label import LabelParams
from potstill.params.prepare import PrepareParams
from potstill.teacher import shards
from potstill.teacher.average import average


@measured(paths.METRICS / "transfer" / "cost.json")
def main() -> None:
    """Read the pool and `data/label/<teacher>` of each; write `data/transfer`."""
    teachers = LabelParams.load().teachers
    for folder in (paths.LABEL, paths.METRICS / "label"):
        files.keep_only(folder, teachers)
    pool = pd.read_parquet(paths.POOL / "pool.parquet")
    tables = [shards.read(paths.LABEL / name) for name in teachers]
    logits = average([table.to_numpy(np.float32) for table in tables], PrepareParams.load().multi_label)
    labelled = np.isfinite(logits).all(1)
    if not labelled.any():
        raise PotstillError(f"{', '.join(teachers)} has no answer for any text of the pool: let the table cover it")
    with files.whole(paths.TRANSFER) as folder:
        folder.mkdir()
        pool[labelled].to_parquet(folder / "pool.parquet", index=False)
        pd.DataFrame(logits[labelled], columns=tables[0].columns).to_parquet(folder / "logits.parquet", index=False)
    print(f"{labelled.sum():,} of {len(pool):,} texts labelled by {', '.join(teachers)}")


if __name__ == "__main__":
    run(main)
