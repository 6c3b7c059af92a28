"""The quantization of a small Transformer's activations to 8 bits: their smoothing factors and ranges.

A few channels have much larger values than the others; a quantization step that covers them is too coarse for the rest.
Their values are divided by smoothing factors, by which the weights that read them are multiplied (SmoothQuant, Xiao et
al. 2022, arXiv 2211.10438). As in AWQ (Lin et al. 2023, arXiv 2306.00978), the factors are those with the least error
of the products.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from potstill.runtime.transformer.file import MIN_SPREAD
from potstill.runtime.transformer.shape import readers
from potstill.runtime.transformer.weights import Matrix, steps_of
from potstill.student.encoder import Encoder

_ROWS = 16  # tokens per batch, to measure errors on
# What the largest value of a channel may be, as a share of the largest of all channels.
_LIMITS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125)


@dataclass
class _Values:
    """Values of an input of the layers' products.

    Attributes:
        low, high: the least and the largest of each channel, 0 if that is beyond, float32 (channels,).
        rows: those of some tokens, each (tokens, channels).
    """

    low: np.ndarray
    high: np.ndarray
    rows: list[np.ndarray] = field(default_factory=list)


def calibrate(
    network: Encoder, batches: Iterable[tuple[Tensor, Tensor]], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, tuple[float, float]]]:
    """Return the smoothing factors and ranges of the values that are quantized, see `Shape.inputs`.

    Args:
        network: the network.
        batches: pairs of `ids` and `mask`.
        seed: of the tokens to measure errors on.

    Returns:
        The factors of each input's channels, float32 (channels,), half-precision numbers that are 1 or more; and the
        least and the largest of its values after division by them, 0 if that is beyond.
    """
    factors: dict[str, np.ndarray] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for name, values in _measure(network, batches, np.random.default_rng(seed)).items():
        layers: list[Tensor] = [network.get_submodule(layer).get_parameter("weight") for layer in readers(name)]
        factors[name], ranges[name] = _smooth(values, torch.cat(layers).detach().float().cpu().numpy())
    return factors, ranges


@torch.inference_mode()
def _measure(
    network: Encoder, batches: Iterable[tuple[Tensor, Tensor]], random: np.random.Generator
) -> Mapping[str, _Values]:
    found: dict[str, _Values] = {}

    def measure(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            vectors = inputs[0]
            # The last layer has the first token alone. Padding is left out.
            vectors = vectors[mask.to(vectors.device)] if vectors.shape[1] == mask.shape[1] else vectors.flatten(0, 1)
            values = vectors.float().cpu().numpy()
            start = np.zeros(values.shape[1], np.float32)
            seen = found.setdefault(name, _Values(low=start, high=start))
            seen.low, seen.high = np.minimum(seen.low, values.min(0)), np.maximum(seen.high, values.max(0))
            seen.rows.append(values[random.permutation(len(values))[:_ROWS]])

        return hook

    hooks = [
        network.get_submodule(readers(name)[-1]).register_forward_pre_hook(measure(name))
        for name in network.shape.inputs()
    ]
    network.eval()
    for ids, mask in batches:
        network(ids, mask)
    for hook in hooks:
        hook.remove()
    return found


def _smooth(values: _Values, weights: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the factors of channels, and the range after division, with the least error of the products.

    Args:
        values: those of an input.
        weights: of all that reads them, (outputs, channels).
    """
    rows = np.concatenate(values.rows)
    exact = _product(rows, weights)
    peaks = np.maximum(-values.low, values.high)
    candidates = []
    for limit in _LIMITS:
        factors = np.maximum(1, peaks / (limit * peaks.max() or 1)).astype(np.float16).astype(np.float32)
        low, high = float((values.low / factors).min()), float((values.high / factors).max())
        high = max(high, low + MIN_SPREAD)
        quantized = _product(_quantize(rows / factors, low, high), Matrix.round(weights * factors).floats())
        candidates.append((float(np.square(quantized - exact).mean()), factors, (low, high)))
    _, factors, ends = min(candidates, key=lambda candidate: candidate[0])
    return factors, ends


def _quantize(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Round values as `runtime.transformer.graph` does."""
    step, zero = steps_of(low, high)
    return (np.clip(np.rint(values / step) + zero, 0, 255) - zero) * step


def _product(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply with the threads of torch, which `student.threads` sets."""
    return (torch.from_numpy(values) @ torch.from_numpy(weights).T).numpy()
