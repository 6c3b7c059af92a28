"""A teacher's network compiled by OpenVINO, which computes faster than torch on a CPU."""

import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from potstill.core import device
from potstill.core.errors import exhausted, first_line
from potstill.scoring.first_token import first_token_only

# Traced on the first texts and compared with torch on the others, whose batches have other shapes: what tracing has
# taken for a constant, such as the number of tokens, would differ there.
TRACED, COMPARED = ("a", "a b c"), (("a b",), ("a b c d", "a", "a b c d e f g h " * 25))
MAX_LENGTH = 200  # tokens of these texts
# The largest difference from torch in single precision, as a share of the largest absolute logit of these texts; in
# bfloat16 it may also be this many times that of torch's own bfloat16. Right ones differ by rounding, wrong ones by far
# more.
TOLERANCE, FACTOR = {"f32": 1e-3, "bf16": 0.02}, 4


class _Logits(torch.nn.Module):
    """A network that returns nothing but its logits, as tensors are all that can be traced."""

    def __init__(self, model: PreTrainedModel, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits for the inputs of these names."""
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


class CompiledNetwork:
    """A network on as many cores as torch has threads when it is compiled.

    Each batch is computed by one thread, so that the logits do not depend on the number of cores.
    """

    def __init__(self, model: PreTrainedModel, example: dict[str, torch.Tensor], precision: str) -> None:
        openvino = import_openvino()
        with torch.no_grad(), first_token_only(model), _exact_positions(model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing, whose result is compared
            graph = openvino.convert_model(_Logits(model, list(example)), example_input=tuple(example.values()))
        self._streams = torch.get_num_threads()
        options = {"INFERENCE_PRECISION_HINT": precision, "ENABLE_CPU_PINNING": False}
        options |= {"NUM_STREAMS": self._streams, "INFERENCE_NUM_THREADS": self._streams}
        self._network = openvino.compile_model(graph, "CPU", options)
        self.precision = self._network.get_property("INFERENCE_PRECISION_HINT").to_string()

    def fill(self, logits: np.ndarray, batches: Iterable[tuple[list[int], dict[str, torch.Tensor]]]) -> None:
        """Compute batches on all cores, or as many as torch may use now.

        Args:
            logits: where to write the logits, float32 of shape (rows, classes).
            batches: the rows of each batch, and its tensors.
        """
        # Without callbacks: a thread that returns from one waits for Python's lock, and whoever deletes the network
        # holds the lock and waits for the thread. Batches of similar size end in about the order that they start in.
        free = [self._network.create_infer_request() for _ in range(min(torch.get_num_threads(), self._streams))]
        running: deque[tuple[Any, list[int]]] = deque()
        for rows, batch in batches:
            if not free:
                free.append(_finish(*running.popleft(), logits))
            request = free.pop()
            request.start_async([value.numpy() for value in batch.values()])
            running.append((request, rows))
        for request, rows in running:
            _finish(request, rows, logits)


def _finish(request: Any, rows: list[int], logits: np.ndarray) -> Any:
    """Wait for a batch, write its logits, and return the request for the next."""
    request.wait()
    logits[rows] = request.get_output_tensor(0).data
    return request


def compile_network(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, precision: str
) -> CompiledNetwork | None:
    """Compile a network in memory, or return None where torch has to compute.

    That is on a GPU, without OpenVINO, with bfloat16 on a processor that only torch emulates it on, and for a network
    that OpenVINO cannot run or computes other logits for. The last prints a line.

    Args:
        model, tokenizer: the teacher.
        precision: `auto`, `bf16` or `fp32`, see `device.bf16`.
    """
    wanted = "bf16" if device.bf16(precision) else "f32"
    if device.device().type != "cpu" or import_openvino() is None:
        return None
    model.eval()
    try:
        compiled = CompiledNetwork(model, _batch(tokenizer, TRACED), wanted)
        if compiled.precision != wanted:
            return None
        _compare(model, compiled, [_batch(tokenizer, texts) for texts in COMPARED], precision)
    except Exception as error:  # of any type, from tracing, converting or computing
        if exhausted(error):
            raise
        if parent_process() is None:  # one line, and not one per process
            fault = first_line(error) if isinstance(error, ValueError) else type(error).__name__  # of C++, long
            print(f"note: OpenVINO cannot run {model.config.model_type} ({fault}); torch does, more slowly")
        return None
    return compiled


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report every import to Google; None if it is not installed."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ModuleNotFoundError:
        return None
    return openvino


def _batch(tokenizer: PreTrainedTokenizerBase, texts: tuple[str, ...]) -> dict[str, torch.Tensor]:
    encoded = tokenizer(list(texts), truncation=True, max_length=min(tokenizer.model_max_length, MAX_LENGTH))
    return dict(DataCollatorWithPadding(tokenizer)(encoded))


def _compare(
    model: PreTrainedModel, compiled: CompiledNetwork, batches: list[dict[str, torch.Tensor]], precision: str
) -> None:
    """Compare the logits of batches with those of torch.

    Raises:
        ValueError: they differ by more than rounding.
    """
    with torch.inference_mode():
        exact = np.concatenate([model(**batch).logits.numpy() for batch in batches])
        with device.autocast(precision):
            rounded = np.concatenate([model(**batch).logits.float().numpy() for batch in batches])
    found = np.empty_like(exact)
    ends = np.cumsum([len(batch["input_ids"]) for batch in batches])
    rows = [part.tolist() for part in np.split(np.arange(len(exact)), ends[:-1])]
    compiled.fill(found, zip(rows, batches, strict=True))
    largest = np.abs(exact).max()
    difference = np.abs(found - exact).max() / largest
    if not difference <= max(TOLERANCE[compiled.precision], FACTOR * np.abs(rounded - exact).max() / largest):
        raise ValueError(f"its logits differ by {difference:.2g} of the largest")


@contextmanager
def _exact_positions(model: PreTrainedModel) -> Iterator[None]:
    """Look up the buckets of MPNet's relative positions, of which OpenVINO would compute logarithms in bfloat16."""
    encoder: Any = getattr(model.base_model, "encoder", None)
    if not hasattr(encoder, "relative_position_bucket"):
        yield
        return
    largest = model.config.max_position_embeddings
    buckets = encoder.relative_position_bucket(torch.arange(-largest, largest + 1))
    encoder.relative_position_bucket = lambda positions, num_buckets: buckets[positions + largest]
    try:
        yield
    finally:
        del encoder.relative_position_bucket
