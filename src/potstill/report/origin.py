"""Provenance of a report: commit, versions, hashes, and the resources that each stage used."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from potstill.core import files, paths
from potstill.evaluate.metrics import measures
from potstill.runtime.model import FILE

STAGES = ("prepare", "baseline", "teacher", "pool", "label", "ensemble", "student", "export", "ablate", "evaluate")
PACKAGES = ("potstill", "torch", "transformers", "scikit-learn", "numpy", "dvc")


def stage_resources(teachers: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Return the resources that each stage used when it last ran here, in the order of the pipeline.

    A stage is left out that has not run on this machine, as its results were pulled.

    Args:
        teachers: the teachers by the name of the stage that runs once per teacher.
    """
    resources = {}
    for stage in STAGES:
        for run in [f"{stage} {name}" for name in sorted(teachers[stage])] if stage in teachers else [stage]:
            path = paths.RESOURCES / f"{run.replace(' ', '/', 1)}.json"
            if path.is_file():
                resources[run] = measures.read(measures.Resources, path)
    return resources


def provenance() -> dict[str, str]:
    """Return the commit, the machine and the versions of packages."""
    versions = [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    changes = " with uncommitted changes" if git("status", "--porcelain", "-uno") else ""
    return {
        "commit": git("rev-parse", "HEAD") + changes,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": ", ".join(versions),
    }


def hashes() -> dict[str, str]:
    """Return the hashes of data and student."""
    found = {}
    for split, digest in measures.read(dict[str, str], paths.PREPARED / "dataset.json", "sha256").items():
        found[f"sha256 of {split}"] = digest
    found["sha256 of the transfer set"] = files.sha256(paths.ENSEMBLE)
    found["sha256 of the student"] = files.sha256(paths.EXPORT / FILE)
    return found


def data_source(source: str, path: str, dataset: str | None) -> str:
    """Return what the data are called, given the keys of the section `prepare`."""
    return {"demo": "the built-in demo corpus", "files": path, "hub": str(dataset)}[source]


def git(*command: str) -> str:
    """Return the output of a Git command, or an empty string without Git or a repository."""
    try:
        return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
