"""Checkpoints to go on from: one that a kill or a power cut has left half-written is not believed."""

import shutil
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
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            files.write_text(_seal(checkpoint), files.sha256(checkpoint))


def last(scratch: Path) -> str | None:
    """The last checkpoint in a folder that is as it was sealed; those that are not are removed."""
    for checkpoint in scratch.glob("checkpoint-*"):
        seal = _seal(checkpoint)
        if not seal.is_file() or seal.read_bytes() != files.sha256(checkpoint).encode():
            shutil.rmtree(checkpoint)
    return get_last_checkpoint(str(scratch)) if scratch.is_dir() else None


def _seal(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"seal-of-{checkpoint.name}")
