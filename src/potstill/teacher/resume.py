"""Checkpoints to go on from: one that a kill or a power cut has left half-written is not believed."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from potstill import files


class Seal(TrainerCallback):
    """Writes down the hash of every checkpoint, once all of it is there."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer, in each of its processes."""
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each process writes a file of its own
        if state.is_world_process_zero:
            seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def last(scratch: Path) -> str | None:
    """The last checkpoint in a folder that is as it was sealed; those that are not are removed."""
    for checkpoint in scratch.glob("checkpoint-*"):
        sealed(checkpoint)
    return get_last_checkpoint(str(scratch)) if scratch.is_dir() else None


def seal(checkpoint: Path) -> None:
    """Write down the hash of a folder, all of which is there."""
    files.write_text(_seal(checkpoint), files.sha256(checkpoint))


def sealed(checkpoint: Path) -> bool:
    """Whether a folder is there and as it was sealed; one that is not is removed."""
    if not checkpoint.exists():
        return False
    written = _seal(checkpoint)
    if written.is_file() and written.read_bytes() == files.sha256(checkpoint).encode():
        return True
    files.discard(checkpoint)
    return False


def _seal(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"seal-of-{checkpoint.name}")
