"""Stage `pool`: the transfer set, before anybody labels it."""

from potstill.start import run

from potstill import files, paths, unwatched
from potstill.cost import measured
from potstill.params.pool import PoolParams
from potstill.pool import lexicon
from potstill.pool.build import build
from potstill.pool.sources import SOURCES
from potstill.teacher import checkpoints


@measured(paths.METRICS / "pool" / "cost.json")
def main() -> None:
    """Read the prepared data; write `data/pool/pool.parquet` and how many rows each source gave."""
    params = PoolParams.load()
    foreign, read = [], {}
    if params.borrow:
        foreign = lexicon.words(checkpoints.find(params.vocab_checkpoint))
        read = unwatched.note(params.vocab_checkpoint, "pool")
    with files.whole(paths.POOL) as folder:
        folder.mkdir()
        rows = build(paths.PREPARED, folder / "pool.parquet", params, foreign)
    counts = {source: rows[source] for source in SOURCES}
    facts = {"rows": rows.total(), "sources": counts, **read}
    files.write_json(paths.METRICS / "pool" / "metrics.json", {"pool": facts})
    print(f"{rows.total():,} texts: " + ", ".join(f"{number:,} {name}" for name, number in counts.items() if number))


if __name__ == "__main__":
    run(main)
