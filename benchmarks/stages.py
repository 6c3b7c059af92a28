"""Running stages one after another for tasks of several sizes, and recording their time and memory.

This imports nothing large: the memory of a process counts as that of the processes it starts, until they have imported
their own. Each step is a process of its own in the benchmark's work folder.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

Row = dict[str, Any]


def main(
    name: str,
    unit: str,
    sizes: Sequence[int],
    stages: dict[str, tuple[str, ...]],
    steps: dict[str, Callable[[int], None]],
    summarize: Callable[[Path], Row] | None = None,
) -> None:
    """Measure the stages for all sizes; write `benchmarks/<name>/` with the table that `tables.<name>` makes.

    Args:
        name: the benchmark's, that of its script.
        unit: what is counted, a key of the rows.
        sizes: the default of `--sizes`.
        stages: the arguments of each stage's script.
        steps: the functions that prepare the work folder (`prepare`), or replace a stage, by name; each takes a size,
            and runs in the work folder.
        summarize: returns the results of all stages from the work folder, as a row of the stage `all`.
    """
    parser = argparse.ArgumentParser(description=f"Time and memory of stages by number of {unit}.")
    parser.add_argument("--sizes", type=int, nargs="*", default=sizes, help=f"numbers of {unit} (default: %(default)s)")
    parser.add_argument("--step", choices=steps, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        steps[arguments.step](*arguments.sizes)
        return
    work, results = ROOT / "benchmarks" / ".work" / name, ROOT / "benchmarks" / name
    common = {"command": f"make benchmark-{name}", "machine": f"{platform.machine()}, {platform.system()}"}
    rows: list[Row] = []
    for size in arguments.sizes:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for stage in ("prepare_data", *stages):
            script = [ROOT / "src" / f"{stage}.py", *stages.get(stage, ())]
            if stage in steps:
                script = [ROOT / "benchmarks" / f"{name}.py", "--step", stage, "--sizes", str(size)]
            subprocess.run([sys.executable, *script], cwd=work, check=True)
            if stage in stages:
                rows.append({"stage": stage, unit: size, **_resources(work / ".potstill/resources", stage), **common})
                print({key: value for key, value in rows[-1].items() if key not in common}, flush=True)
        if summarize:
            rows.append({"stage": "all", unit: size, **summarize(work), **common})
    import tables

    from potstill.core import files

    files.write_json(results / "results.json", rows)
    getattr(tables, name)(rows, results)


def _resources(folder: Path, stage: str) -> Row:
    """Return the time and memory that a stage has recorded."""
    (path,) = [*folder.glob(f"{stage}.json"), *folder.glob(f"{stage}/*.json")]
    resources = json.loads(path.read_text())
    return {key: resources[key] for key in ("seconds", "core_seconds", "peak_megabytes")}
