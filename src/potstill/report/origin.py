"""Where a report comes from: what it cost, and what it was made with."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from potstill import files, measures, paths
from potstill.runtime.model import FILE

STAGES = (
    "prepare",
    "baseline",
    "teacher",
    "pool",
    "label",
    "transfer",
    "student",
    "export",
    "ablate",
    "evaluate",
)
PACKAGES = ("potstill", "torch", "transformers", "scikit-learn", "numpy", "dvc")


def costs(teachers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """What each stage cost when it last ran, in the order of the pipeline.

    Args:
        teachers: the names of those for each of which `teacher` and `label` run once.
    """
    found = {}
    for stage in STAGES:
        for run in ([stage, name] for name in sorted(teachers[stage])) if stage in teachers else [[stage]]:
            path = paths.METRICS.joinpath(*run, "resources.json")
            found[" ".join(run)] = measures.read(measures.Resources, path, "resources")
    return found


def origin() -> dict[str, str]:
    """What made this: commit, machine, versions, and the hashes of what went in."""
    facts = {
        "commit": git("rev-parse", "HEAD") + (" and changes" if git("status", "--porcelain", "-uno") else ""),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": ", ".join(
            [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
    }
    for split, digest in measures.read(dict[str, str], paths.PREPARED / "dataset.json", "sha256").items():
        facts[f"sha256 of {split}"] = digest
    facts["sha256 of the transfer set"] = files.sha256(paths.TRANSFER)
    facts["sha256 of the student"] = files.sha256(paths.EXPORT / FILE)
    return facts


def git(*command: str) -> str:
    """What Git says; nothing where there is none."""
    try:
        return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
