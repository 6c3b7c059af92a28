"""Quantization-aware training of a student's weights."""

import torch
from torch import Tensor, nn

from potstill.runtime.file import TABLE

_MIN_STEP, _MAX_STEP = 1e-4, 1e4  # representable in half precision


def bits_of(name: str, bits: int) -> int:
    """Return the bits per weight of a tensor: `bits` for the embedding table, up to two more for the few others."""
    return bits if name == TABLE else min(8, bits + 2)


class LearnedStepQuantizer(nn.Module):
    """Rounds each weight tensor of a network to multiples of a step size that is learned with it.

    Learned step size quantization (LSQ), Esser et al. 2020, arXiv 1902.08153, with a straight-through estimator for the
    rounding. Learns the logarithm of each step, so that one learning rate suits small and large steps. LSQ's scaling of
    the gradient is left out, since Adam is invariant to it.
    """

    def __init__(self, network: nn.Module, bits: int) -> None:
        """Refer to a network's weights, which stay unrounded."""
        super().__init__()
        self._weights = dict(network.named_parameters())
        self._bits = {name: bits_of(name, bits) for name in self._weights}
        self.log_steps = nn.ParameterList(torch.zeros(()) for _ in self._weights)

    @torch.no_grad()
    def init_steps(self) -> None:
        """Set each step to the one with the least squared rounding error of the present weights."""
        for log_step, (name, weight) in zip(self.log_steps, self._weights.items(), strict=True):
            log_step.copy_(_best_step(weight, self._bits[name]).log())

    def steps(self) -> dict[str, Tensor]:
        """Return the step size of each weight tensor, by name."""
        named = zip(self._weights, self.log_steps, strict=True)
        return {name: log_step.exp().clamp(_MIN_STEP, _MAX_STEP) for name, log_step in named}

    def forward(self) -> dict[str, Tensor]:
        """Return the rounded weights, by name."""
        return {name: _round(self._weights[name], step, self._bits[name]) for name, step in self.steps().items()}

    @torch.no_grad()
    def quantize(self, copy: nn.Module) -> dict[str, float]:
        """Write the rounded weights into a copy of the network, and return the steps by name.

        Steps are rounded to half precision, as in a model file.
        """
        steps = {name: step.half().float() for name, step in self.steps().items()}
        for name, weight in copy.named_parameters():
            weight.copy_(_round(self._weights[name], steps[name], self._bits[name]))
        return {name: step.item() for name, step in steps.items()}


def _round(weight: Tensor, step: Tensor, bits: int) -> Tensor:
    limit = 2 ** (bits - 1) - 1
    scaled = (weight / step).clamp(-limit, limit)
    return (scaled + (scaled.round() - scaled).detach()) * step


def _best_step(weight: Tensor, bits: int) -> Tensor:
    limit = 2 ** (bits - 1) - 1
    steps = (weight.abs().max() / limit * torch.linspace(0.1, 1, 50)).clamp(_MIN_STEP, _MAX_STEP)
    errors = [(weight - _round(weight, step, bits)).square().sum() for step in steps]
    return steps[torch.stack(errors).argmin()]
