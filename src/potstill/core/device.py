"""Device, precision and threads. A stage imports this module before anything else that imports torch."""

import ctypes
import os
from contextlib import AbstractContextManager, nullcontext, suppress

# Set before torch is loaded. Idle OpenMP threads would spin and starve other processes: two experiments in parallel
# would each run ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# glibc would return the memory of every large array to the system when it is freed, and each step of a training would
# fault all of its pages in again, a fifth of the time. -1 and -3 are M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
with suppress(AttributeError, OSError, TypeError):  # no glibc
    for option in (-1, -3):
        ctypes.CDLL(None).mallopt(option, 1 << 30)

import torch


def device() -> torch.device:
    """Return the first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def use_threads(threads: int) -> None:
    """Set the number of CPU threads; 0 keeps torch's default, all cores."""
    if threads:
        torch.set_num_threads(threads)


def bf16(precision: str) -> bool:
    """Return whether to compute in bfloat16; `auto` does where the hardware supports it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def autocast(precision: str) -> AbstractContextManager:
    """Return a context in which matrix products run in bfloat16 if `bf16(precision)`."""
    return torch.autocast(device().type, torch.bfloat16) if bf16(precision) else nullcontext()
