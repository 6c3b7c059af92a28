"""Stage `pool`: the transfer set, before anybody labels it."""

from potstill import files, paths
from potstill.corpus.dataset import Dataset
from potstill.errors import run
from potstill.params.label import LabelParams
from potstill.params.pool import PoolParams
from potstill.params.teacher import TeacherParams
from potstill.pool import lexicon
from potstill.pool.build import build
from potstill.pool.sources import SOURCES
from potstill.teacher import checkpoints, table


def main() -> None:
    """Read the prepared data; write `data/pool/pool.parquet` and how many rows each source gave."""
    params = PoolParams.load()
    pool = build(Dataset.load(paths.PREPARED), params, teacher_words() if params.borrow else [])
    with files.whole(paths.POOL) as folder:
        folder.mkdir()
        pool.to_parquet(folder / "pool.parquet", index=False)
    counts = pool["source"].value_counts()
    rows = {source: int(counts.get(source, 0)) for source in SOURCES}
    files.write_json(paths.METRICS / "pool" / "metrics.json", {"pool": {"rows": len(pool), "sources": rows}})
    print(f"{len(pool):,} texts: " + ", ".join(f"{number:,} {source}" for source, number in rows.items() if number))


def teacher_words() -> list[str]:
    """The words that the first of the labelling teachers that is a checkpoint knows."""
    presets = TeacherParams.load().presets
    labelling = [presets[name].checkpoint for name in LabelParams.load().teachers if name in presets]
    models = [checkpoint for checkpoint in labelling if not table.is_table(checkpoint)]
    return lexicon.words(checkpoints.find(models[0])) if models else []


if __name__ == "__main__":
    run(main)
