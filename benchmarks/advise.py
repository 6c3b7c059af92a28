"""The advice of `make advise` on tasks whose full runs are known. Run it with `make benchmark-advise`.

`benchmarks/README.md` compares the advice with the full runs. Measurements are kept, and the advice is derived from
them again, so that it is always that of the current rules.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tables
from emotion import ALL
from glue import TASKS
from runs import ROOT, WORK, Setting

from potstill.advise.decide import decide
from potstill.advise.report import markdown
from potstill.core import files, paths
from potstill.prepare import from_files
from potstill.prepare.assemble import assemble
from potstill.prepare.params import PrepareParams

RESULTS = ROOT / "benchmarks" / "advise"
SETTINGS: dict[str, Setting] = {"emotion": ALL, **{name: task.setting for name, task in TASKS.items()}}
NAMES = {"emotion": "Emotion", "sst2": "SST-2", "cola": "CoLA"}
ADVICE = paths.METRICS / "advise" / "advice.json"


def advise(name: str, data: Path) -> None:
    """Prepare a task's data in a folder of its own, unless that is done, and run `potstill advise` there."""
    folder = WORK / "advise" / name
    if (folder / ADVICE).is_file():
        return
    changes = {key.removeprefix("prepare."): value for key, value in SETTINGS[name].params.items() if "prepare." in key}
    defaults = PrepareParams.load(ROOT / paths.PARAMS)
    params = defaults.model_validate(defaults.model_dump() | {"source": "files", "path": str(data)} | changes)
    dataset, _ = assemble(from_files.read(params), params)
    dataset.save(folder / paths.PREPARED)
    for path in (paths.PARAMS, Path("dvc.yaml")):  # which make it a project
        files.write_text(folder / path, (ROOT / path).read_text("utf-8"))
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "potstill", "advise"], cwd=folder, check=True)
    print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)


def main() -> None:
    """Measure what is missing, and write `benchmarks/advise/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with emotion/, sst2/ and cola/")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    for name in SETTINGS:
        advise(name, args.data / name)
        measured = files.read_json(WORK / "advise" / name / ADVICE)["measured"]
        advice = decide(measured)
        results[name] = {"measured": measured, "advice": [asdict(statement) for statement in advice]}
        files.write_text(RESULTS / f"{name}.md", markdown(measured, advice))
    files.write_json(RESULTS / "results.json", results)
    tables.advice({NAMES[name]: result["advice"] for name, result in results.items()}, RESULTS)


if __name__ == "__main__":
    main()
