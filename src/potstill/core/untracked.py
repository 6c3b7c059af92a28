"""Inputs that DVC does not track.

A checkpoint or a data set is an id on the hub or a local path, so `dvc.yaml` cannot list it as a dependency.
"""

import os
from pathlib import Path

from potstill.core import files


def hash_untracked(name: str, stage: str, tracked: str | None = None) -> dict[str, str]:
    """Hash an input that DVC does not track, so that results of an older one can be recognised, and print a note.

    Args:
        name: an id on the hub, or the path of a file or folder.
        stage: the name, for `dvc repro`, of the stage that reads it.
        tracked: a path that `dvc.yaml` lists for this stage.

    Returns:
        `input_sha256`, for the stage's metrics; nothing for an id, or a path inside `tracked`.
    """
    path = Path(name)
    if not path.exists() or (tracked and Path(os.path.abspath(path)).is_relative_to(os.path.abspath(tracked))):
        return {}
    print(f"note: DVC does not track {path}. After changing it, run `dvc repro -f -s {stage}` and `dvc repro`")
    return {"input_sha256": files.sha256(path)}
