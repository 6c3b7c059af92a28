"""Stage `pool`: collect the texts of the transfer set."""

from potstill.core.start import run

from potstill.core import files, paths, untracked
from potstill.core.resources import record_resources
from potstill.data.sources import HELD_OUT, SOURCES
from potstill.pool import vocabulary
from potstill.pool.build import build
from potstill.pool.params import PoolParams
from potstill.scoring import hub


@record_resources("pool")
def main() -> None:
    """Read the prepared data; write `data/pool/pool.parquet` and the rows of each source."""
    params = PoolParams.load()
    foreign, hashes = [], {}
    if params.borrow:
        foreign = vocabulary.words(hub.find(params.vocab_checkpoint))
        hashes = untracked.hash_untracked(params.vocab_checkpoint, "pool")
    with files.atomic_write(paths.POOL) as folder:
        folder.mkdir()
        rows = build(paths.PREPARED, folder / "pool.parquet", params, foreign)
    counts = {source: rows[source] for source in (*SOURCES, HELD_OUT)}
    facts = {"rows": rows.total(), "sources": counts, **hashes}
    files.write_json(paths.METRICS / "pool" / "metrics.json", {"pool": facts})
    print(f"{rows.total():,} texts: " + ", ".join(f"{number:,} {name}" for name, number in counts.items() if number))


if __name__ == "__main__":
    run(main)
