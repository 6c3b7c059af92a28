"""How often stages would have run again under two layouts of the code: `python benchmarks/reruns.py OLD NEW`.

Replays the last commits before OLD: a stage runs again if a commit changes a file within its `deps`, as OLD's
`dvc.yaml` lists them and, with each file where NEW has it, as NEW's does. Data are not counted: a stage whose inputs
keep their bytes does not run.
"""

import argparse
import subprocess
from collections import Counter
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]


def git(*command: str) -> str:
    """Return the output of a Git command."""
    return subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def dependencies(revision: str) -> dict[str, list[str]]:
    """Return the code that each stage depends on, in the order of `dvc.yaml`."""
    stages = YAML(typ="safe").load(git("show", f"{revision}:dvc.yaml"))["stages"]
    return {
        name: [path for path in stage.get("do", stage)["deps"] if path.startswith("src/")]
        for name, stage in stages.items()
    }


def moves(old: str, new: str) -> dict[str, str]:
    """Return where each file of OLD is in NEW; files that were removed are left out."""
    paths = {path: path for path in git("ls-tree", "-r", "--name-only", new, "--", "src").split()}
    for line in git("diff", "-M10%", "-l0", "--diff-filter=R", "--name-status", old, new, "--", "src").splitlines():
        _, before, after = line.split("\t")
        paths[before] = after
    return paths


def main() -> None:
    """Print a table: for each stage the commits that make it run, under both layouts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", help="a revision")
    parser.add_argument("new", help="a revision")
    parser.add_argument("--commits", type=int, default=100, help="to replay, merges left out (%(default)s)")
    arguments = parser.parse_args()
    old, new, moved = (
        dependencies(arguments.old),
        dependencies(arguments.new),
        moves(arguments.old, arguments.new),
    )
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for commit in git("log", f"-{arguments.commits}", "--no-merges", "--format=%H", arguments.old).split():
        changed = git("show", "--name-only", "--format=", commit, "--", "src").split()
        before.update(stage for stage, paths in old.items() if touched(changed, paths))
        changed = [moved[path] for path in changed if path in moved]
        after.update(stage for stage, paths in new.items() if touched(changed, paths))
    print("| stage | before | after | change |\n| --- | --: | --: | --: |")
    for first, second in zip(old, new, strict=True):
        print(f"| {second} | {before[first]} | {after[second]} | {after[second] / before[first] - 1:+.0%} |")
    print(f"| all | {before.total()} | {after.total()} | {after.total() / before.total() - 1:+.0%} |")


def touched(changed: list[str], dependencies: list[str]) -> bool:
    """Return whether a changed file is one of the dependencies, or in one of them."""
    return any(Path(path).is_relative_to(dependency) for path in changed for dependency in dependencies)


if __name__ == "__main__":
    main()
