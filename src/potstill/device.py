"""What the machine can do: device, precision, threads. A stage imports this before whatever else needs torch."""

import os
from contextlib import AbstractContextManager, nullcontext

# Idle OpenMP threads would spin, and starve whoever shares the processor: two experiments side by side would each
# run ten times slower, not two. It has to be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch


def device() -> torch.device:
    """The first GPU, or else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_threads(threads: int) -> None:
    """Compute with that many threads; 0 leaves torch's choice, all cores."""
    if threads:
        torch.set_num_threads(threads)


def bf16(precision: str) -> bool:
    """Whether to compute in bfloat16: `auto` says yes where the hardware multiplies it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def autocast(precision: str) -> AbstractContextManager:
    """A context in which matrix products run in bfloat16, if `precision` asks for it and it pays."""
    return torch.autocast(device().type, torch.bfloat16) if bf16(precision) else nullcontext()
