"""Stage `label`: one teacher's logits for every text of the pool, once. `python src/label.py minilm`."""

import hashlib
import sys

import numpy as np
import pandas as pd
from tqdm import tqdm

from potstill import device, files, paths, truncation
from potstill.cost import measured
from potstill.errors import PotstillError, run
from potstill.params.label import LabelParams
from potstill.teacher import model, shards


def main() -> None:
    """Read the pool and `models/teacher/<name>`; write `data/label/<name>` and its hash under `metrics/label`."""
    params = LabelParams.load()
    if len(sys.argv) != 2:
        raise PotstillError("usage: python src/label.py NAME, a trained teacher's")
    with measured(paths.METRICS / "label" / sys.argv[1] / "cost.json"):
        label(sys.argv[1], params)


def label(name: str, params: LabelParams) -> None:
    """Have one teacher label the pool."""
    texts = pd.read_parquet(paths.POOL / "pool.parquet")["text"].tolist()
    device.use_threads(params.threads)
    teacher = model.load(paths.TEACHER / name, params.batch_size, params.precision)
    parts = [files.sha256(paths.TEACHER / name), files.sha256(paths.POOL), params.precision]
    fingerprint = hashlib.sha256(" ".join(parts).encode()).hexdigest()
    # The shards grow in a place that DVC leaves alone, and move when the last one is there.
    scratch = paths.SCRATCH / "label" / f"{name}-{fingerprint[:16]}"
    with tqdm(total=len(texts), unit="text", desc=f"label with {name}", mininterval=1) as bar:

        def score(chunk: list[str]) -> tuple[np.ndarray, int]:
            cut: list[int] = []
            return teacher.logits(chunk, bar.update, cut.append), sum(cut)

        cut = shards.label(
            texts,
            score,
            teacher.labels,
            scratch,
            params.shard_rows,
            fingerprint,
            bar.update,
        )
    with files.whole(paths.LABEL / name) as folder:
        scratch.rename(folder)
    # In Git, so that `transfer` knows in a clone that holds no logits whether they have changed.
    truncated = round(cut / len(texts), 6)
    facts = {"rows": len(texts), "sha256": files.sha256(paths.LABEL / name), "truncated": truncated}
    files.write_json(paths.METRICS / "label" / name / "metrics.json", {"label": {name: facts}})
    truncation.note("teacher.max_length", {"pool's": truncated})


if __name__ == "__main__":
    run(main)
