"""`make search` on real data, and the recommended student on the test split. Run it with `make benchmark-search`.

The search is that of the README, in a clone with the transfer set of a benchmark; it uses the validation split only.
The student that it recommends is then trained with five other seeds.
"""

import shutil
import subprocess
import sys

import tables
from emotion import ALL
from runs import ROOT, Clone, Run, committed, measure, parser

from potstill.core import files, paths

RESULTS = ROOT / "benchmarks" / "search"
SEEDS = range(5)
# The inputs of the search: their places in what `Clone.prepare` fetched, and in a project.
INPUTS = {
    "prepared": paths.PREPARED,
    "ensemble": paths.ENSEMBLE,
    "metrics.json": paths.METRICS / "teacher" / "minilm" / "metrics.json",
}
BUDGET = 2953  # bytes of one QR code


def main() -> None:
    """Search, continuing an earlier search, and write `benchmarks/search/`."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=40, help="students to try (default: 40)")
    args = options.parse_args()
    clone = Clone("emotion", args.data)
    made = clone.prepare(ALL)
    for source, target in INPUTS.items():
        copy = shutil.copytree if (made / source).is_dir() else shutil.copy
        shutil.rmtree(clone.folder / target, ignore_errors=True)
        copy(made / source, clone.folder / target)
    command = [sys.executable, "-m", "potstill", "search", "--budget", str(BUDGET), "--unit", "bytes"]
    command += ["--trials", str(args.trials), "--jobs", str(args.jobs)]
    subprocess.run(command, cwd=clone.folder, check=True)
    RESULTS.mkdir(exist_ok=True)
    for path in (clone.folder / "metrics" / "search").iterdir():
        shutil.copy(path, RESULTS)
    chosen = files.read_json(RESULTS / "results.json")["chosen"]["params"]
    runs = [Run(ALL, "searched", "distilled", chosen, seed) for seed in SEEDS]
    rows = measure(clone, runs, args.jobs, compared=False)
    files.write_json(RESULTS / "test.json", committed(rows))
    tables.searched(rows, RESULTS)


if __name__ == "__main__":
    main()
