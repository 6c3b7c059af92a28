"""`make search` on real data: what it finds, and what that is worth on the test split. `make benchmark-search`.

The search is that of the README, in a clone that holds the transfer set of a benchmark; it looks at the validation
split alone. The student that it recommends is then trained with five seeds, which the search did not have to please.
"""

import shutil
import subprocess
import sys

import tables
from emotion import ALL
from potstill import files
from runs import ROOT, Clone, Run, committed, measure, parser

RESULTS = ROOT / "benchmarks" / "search"
SEEDS = range(5)
# What the search reads, as `Clone.prepare` fetched it, and where it looks for that.
PLACES = {
    "prepared": "data/prepared",
    "transfer": "data/transfer",
    "metrics.json": "metrics/teacher/minilm/metrics.json",
}
BUDGET, UNIT = 2953, "bytes"  # one QR code


def main() -> None:
    """Search, unless that is done, and write `benchmarks/search/`."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=40, help="students to try (default: 40)")
    arguments = options.parse_args()
    clone = Clone("emotion", arguments.data)
    made = clone.prepare(ALL)
    for source, target in PLACES.items():
        copy = shutil.copytree if (made / source).is_dir() else shutil.copy
        shutil.rmtree(clone.folder / target, ignore_errors=True)
        copy(made / source, clone.folder / target)
    command = [sys.executable, "-m", "potstill", "search", "--budget", str(BUDGET), "--unit", UNIT]
    command += ["--trials", str(arguments.trials), "--jobs", str(arguments.jobs)]
    subprocess.run(command, cwd=clone.folder, check=True)
    RESULTS.mkdir(exist_ok=True)
    for path in (clone.folder / "metrics" / "search").iterdir():
        shutil.copy(path, RESULTS)
    chosen = files.read_json(RESULTS / "results.json")["chosen"]["params"]
    runs = [Run(ALL, "searched", "distilled", chosen, seed) for seed in SEEDS]
    rows = measure(clone, runs, arguments.jobs, compared=False)
    files.write_json(RESULTS / "test.json", committed(rows))
    tables.searched(rows, RESULTS)


if __name__ == "__main__":
    main()
