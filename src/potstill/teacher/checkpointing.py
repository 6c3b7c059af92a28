"""Resuming from checkpoints: their checksums reveal those that a kill or a power cut left incomplete."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from potstill.core import files


class ChecksumCallback(TrainerCallback):
    """Writes the checksum of every checkpoint when it is complete."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write it in the main process; the Trainer calls this in each."""
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # every process writes its part of the checkpoint
        if state.is_world_process_zero:
            write_checksum(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def last(scratch: Path) -> str | None:
    """Return the last checkpoint in a folder, after removing those that do not match their checksums."""
    for checkpoint in scratch.glob("checkpoint-*"):
        verified(checkpoint)
    return get_last_checkpoint(str(scratch)) if scratch.is_dir() else None


def write_checksum(checkpoint: Path) -> None:
    """Write the checksum of a complete checkpoint next to it."""
    files.write_text(_checksum(checkpoint), files.sha256(checkpoint))


def verified(checkpoint: Path) -> bool:
    """Return whether a checkpoint exists and matches its checksum; remove one that does not match."""
    if not checkpoint.exists():
        return False
    written = _checksum(checkpoint)
    if written.is_file() and written.read_bytes() == files.sha256(checkpoint).encode():
        return True
    files.discard(checkpoint)
    return False


def _checksum(checkpoint: Path) -> Path:
    # Not "checkpoint-…", which would be taken for one.
    return checkpoint.with_name(f"sha256-of-{checkpoint.name}")
