"""Stage `pool`: collect the texts of the transfer set."""

from potstill.start import run

from potstill import files, paths, unwatched
from potstill.cost import record_resources
from potstill.params.pool import PoolParams
from potstill.pool import lexicon
from potstill.pool.build import build
from potstill.pool.sources import SOURCES
from potstill.teacher import checkpoints


@record_resources(paths.METRICS / "pool" / "resources.json")
def main() -> None:
    """Read the prepared data; write `data/pool/pool.parquet` and the rows of each source."""
    params = PoolParams.load()
    foreign, untracked = [], {}
    if params.borrow:
        foreign = lexicon.words(checkpoints.find(params.vocab_checkpoint))
        untracked = unwatched.hash_untracked(params.vocab_checkpoint, "pool")
    with files.atomic_write(paths.POOL) as folder:
        folder.mkdir()
        rows = build(paths.PREPARED, folder / "pool.parquet", params, foreign)
    counts = {source: rows[source] for source in SOURCES}
    facts = {"rows": rows.total(), "sources": counts, **untracked}
    files.write_json(paths.METRICS / "pool" / "metrics.json", {"pool": facts})
    print(f"{rows.total():,} texts: " + ", ".join(f"{number:,} {name}" for name, number in counts.items() if number))


if __name__ == "__main__":
    run(main)
