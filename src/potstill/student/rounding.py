"""Training with rounded weights, so that rounding them for the file costs nothing."""

import torch
from torch import Tensor, nn

from potstill.runtime.file import TABLE

_SMALLEST, _LARGEST = 1e-4, 1e4  # steps that half precision holds


def bits_of(name: str, bits: int) -> int:
    """How many bits a weight gets: what was asked for in the table, two more elsewhere, where weights are few."""
    return bits if name == TABLE else min(8, bits + 2)


class Rounding(nn.Module):
    """Rounds every tensor of a network to whole multiples of a step that is learned with it.

    Learned step size quantisation (LSQ): Esser et al. 2020, arXiv 1902.08153. Gradients pass through the rounding
    as if it were not there. It is the logarithm of a step that is learned, so that one learning rate suits small and
    large ones; LSQ's own scaling of the gradient would make no difference to Adam.
    """

    def __init__(self, network: nn.Module, bits: int) -> None:
        """Prepare to round a network's weights, which it keeps unrounded."""
        super().__init__()
        self._weights = dict(network.named_parameters())
        self._bits = {name: bits_of(name, bits) for name in self._weights}
        self.logarithms = nn.ParameterList(torch.zeros(()) for _ in self._weights)

    @torch.no_grad()
    def start(self) -> None:
        """Take the steps that round the present weights best."""
        for logarithm, (name, weight) in zip(self.logarithms, self._weights.items(), strict=True):
            logarithm.copy_(_best_step(weight, self._bits[name]).log())

    def steps(self) -> dict[str, Tensor]:
        """What the weights are rounded to multiples of, by name."""
        named = zip(self._weights, self.logarithms, strict=True)
        return {name: logarithm.exp().clamp(_SMALLEST, _LARGEST) for name, logarithm in named}

    def forward(self) -> dict[str, Tensor]:
        """The rounded weights, by name."""
        return {name: _round(self._weights[name], step, self._bits[name]) for name, step in self.steps().items()}

    @torch.no_grad()
    def settle(self, copy: nn.Module) -> dict[str, float]:
        """Give a copy of the network rounded weights, and return the steps by name.

        Steps are cut to half precision, as they are in a student's file.
        """
        steps = {name: step.half().float() for name, step in self.steps().items()}
        for name, weight in copy.named_parameters():
            weight.copy_(_round(self._weights[name], steps[name], self._bits[name]))
        return {name: step.item() for name, step in steps.items()}


def _round(weight: Tensor, step: Tensor, bits: int) -> Tensor:
    most = 2 ** (bits - 1) - 1
    whole = (weight / step).clamp(-most, most)
    return (whole + (whole.round() - whole).detach()) * step


def _best_step(weight: Tensor, bits: int) -> Tensor:
    most = 2 ** (bits - 1) - 1
    steps = (weight.abs().max() / most * torch.linspace(0.1, 1, 50)).clamp(_SMALLEST, _LARGEST)
    errors = [(weight - _round(weight, step, bits)).square().sum() for step in steps]
    return steps[torch.stack(errors).argmin()]
