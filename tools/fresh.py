"""Check that dvc.lock belongs to the code and the parameters. Run it with `make fresh`.

It needs no data: DVC compares hashes, and outputs that are not there count as unchanged.
"""

import subprocess
import sys


def main() -> None:
    """Exit with 1 and the stages that would run, if there are any."""
    done = subprocess.run(["dvc", "repro", "--dry", "--allow-missing"], capture_output=True, text=True)
    stale = [line for line in done.stdout.splitlines() if line.startswith("Running stage")]
    if done.returncode or stale:
        print(*stale, done.stderr, sep="\n", file=sys.stderr)
        sys.exit("error: dvc.lock is stale: run `dvc repro`, and commit dvc.lock and metrics/")
    print("dvc.lock is fresh")


if __name__ == "__main__":
    main()
