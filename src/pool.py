"""Stage `pool`: the transfer set, before anybody labels it."""

from potstill import files, paths
from potstill.corpus.dataset import Dataset
from potstill.cost import measured
from potstill.errors import run
from potstill.params.pool import PoolParams
from potstill.pool import lexicon
from potstill.pool.build import build
from potstill.pool.sources import SOURCES
from potstill.teacher import checkpoints

SHARD = 2048  # rows that the stage `label` answers at once: of these at most it repeats when it was killed


@measured(paths.METRICS / "pool" / "cost.json")
def main() -> None:
    """Read the prepared data; write `data/pool/pool.parquet` and how many rows each source gave."""
    params = PoolParams.load()
    foreign = lexicon.words(checkpoints.find(params.lexicon)) if params.borrow else []
    pool = build(Dataset.load(paths.PREPARED), params, foreign)
    with files.whole(paths.POOL) as folder:
        folder.mkdir()
        pool.to_parquet(folder / "pool.parquet", index=False, row_group_size=SHARD)
    counts = pool["source"].value_counts()
    rows = {source: int(counts.get(source, 0)) for source in SOURCES}
    files.write_json(paths.METRICS / "pool" / "metrics.json", {"pool": {"rows": len(pool), "sources": rows}})
    print(f"{len(pool):,} texts: " + ", ".join(f"{number:,} {source}" for source, number in rows.items() if number))


if __name__ == "__main__":
    run(main)
