"""Inputs that DVC does not watch.

A checkpoint or a data set is named by an id on the hub, or by a path on this machine. `dvc.yaml` cannot list what may
not be a path.
"""

import os
from pathlib import Path

from potstill import files


def hash_untracked(named: str, stage: str, watched: str | None = None) -> dict[str, str]:
    """Print that DVC does not watch an input, and hash it, so that a result of an older one can be recognised.

    Args:
        named: what the parameters name, an id or the path of a file or a folder.
        stage: what reads it, as `dvc repro` calls it.
        watched: a path that `dvc.yaml` lists for this stage.

    Returns:
        `input_sha256`, for the stage's metrics; nothing of an id, and of what is inside `watched`.
    """
    path = Path(named)
    if not path.exists() or (watched and Path(os.path.abspath(path)).is_relative_to(os.path.abspath(watched))):
        return {}
    print(f"note: DVC does not watch {path}: after changing it, run `dvc repro -f -s {stage}` and `dvc repro`")
    return {"input_sha256": files.sha256(path)}
