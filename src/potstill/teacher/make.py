"""Make a teacher: fine-tune a checkpoint, or keep a table of probabilities; and predict the held-out splits with it."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from potstill.core import files, tracking
from potstill.core.errors import PotstillError, visible
from potstill.data.dataset import SPLITS, Dataset
from potstill.scoring import hub, model
from potstill.scoring.model import Teacher
from potstill.teacher import table
from potstill.teacher.params import TeacherParams

Log = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Progress:
    """How the progress of a training is shown; it can be pickled, for the processes of the training.

    Attributes:
        curves: gives the function to call after each epoch of fine-tuning.
        mlm: called after each epoch of masked-language-model training.
        bar: whether to show a progress bar.
    """

    curves: Callable[[], AbstractContextManager[Log]]
    mlm: Log
    bar: bool = True


def make(
    folder: Path, prepared: Path, name: str, params: TeacherParams, scratch: Path, progress: Progress
) -> int | None:
    """Write a teacher into an empty folder.

    Args:
        folder: where to write it, see `scoring.model.load`.
        prepared: the folder of the prepared data.
        name: its preset.
        params: its settings, see `TeacherParams.for_preset`.
        scratch: a folder for checkpoints, from which a later call resumes.
        progress: how it is shown.

    Returns:
        The number of train texts that were truncated; None for a table.

    Raises:
        PotstillError: the checkpoint or the table cannot be read, does not fit the data, or cannot be trained.
    """
    checkpoint = params.presets[name].checkpoint
    if not table.is_table(checkpoint):
        return _train(folder, prepared, name, params, scratch, progress)
    if params.mlm_epochs:
        raise PotstillError(
            f"{checkpoint}: a table cannot be trained. Set `mlm_epochs: 0` in teacher.presets.{name}, or "
            "teacher.mlm_epochs=0."
        )
    data = Dataset.load(prepared)
    probabilities = table.read(Path(checkpoint), data.labels, data.multi_label, params.presets[name].text)
    splits = {split: data.split(split)["text"] for split in (*SPLITS, "unlabelled")}
    print(visible(table.coverage(checkpoint, probabilities, splits)))
    save_table(folder, probabilities, data)
    return None


def print_mlm(epoch: dict[str, float]) -> None:
    """Print the loss of an epoch of masked-language-model training."""
    tqdm.write(f"masked-language model, epoch {epoch['epoch']}: loss {epoch['loss']:.4g}")


def save_table(folder: Path, probabilities: pd.DataFrame, data: Dataset) -> None:
    """Write a table of probabilities, as `table.read` returns it, into an empty folder."""
    probabilities.to_parquet(folder / "table.parquet", index=False)
    model.describe(folder, "table", data.labels, multi_label=data.multi_label)


def predict_splits(teacher: Teacher, data: Dataset, folder: Path) -> tuple[np.ndarray, dict[str, int]]:
    """Write a teacher's logits for the test and validation splits, see `tracking.write_predictions`.

    Returns:
        Its logits for validation, and the number of truncated texts by split.
    """
    truncated = {}
    logits = np.empty(0)
    for split in ("test", "validation"):
        logits, truncated[split] = teacher.score(data.split(split)["text"].tolist())
        tracking.write_predictions(folder / f"{split}.csv", logits, data.targets(split), data.labels)
    return logits, truncated


def _train(folder: Path, prepared: Path, name: str, params: TeacherParams, scratch: Path, progress: Progress) -> int:
    """Fine-tune into `folder`, after masked-language-model training if set; resume if an earlier run was killed.

    Returns:
        The number of train texts that were truncated.
    """
    # Imported late: a table needs neither torch nor transformers.
    from potstill.teacher import distributed

    preset = params.presets[name]
    source = hub.find(preset.checkpoint)
    settings = params.model_dump_json(exclude={"checkpoints", "presets"})
    hashes = [files.sha256(path) for path in (Path(source), prepared)]
    # With the version of transformers, since checkpoints of another one may not load.
    place = scratch / files.cache_key(settings, preset, *hashes, version("transformers"))
    arguments = (folder, prepared, params, source, preset.learning_rate, place, progress)
    truncated = distributed.run(params.processes, params.threads, _fit, *arguments)
    shutil.rmtree(place)
    return truncated


def _fit(
    folder: Path,
    prepared: Path,
    params: TeacherParams,
    source: str,
    learning_rate: float,
    scratch: Path,
    progress: Progress,
) -> int:
    """Train in each of the processes of `_train`; the main process writes the files."""
    from potstill.scoring import pretrained
    from potstill.teacher import distributed, finetune

    data = Dataset.load(prepared)
    if params.mlm_epochs:
        from potstill.teacher import mlm

        texts = [*data.train["text"], *data.unlabelled["text"]]
        source = mlm.train(source, texts, params, scratch, progress.mlm, progress.bar)
    network, tokenizer = pretrained.load(source, data.labels, params.seed, data.multi_label)
    with progress.curves() if distributed.is_main_process() else nullcontext(progress.mlm) as log:
        truncated = finetune.finetune(
            network, tokenizer, data.train, data.validation, params, learning_rate, scratch, log, progress.bar
        )
    if distributed.is_main_process():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        model.describe(folder, "checkpoint", data.labels, params.max_length, data.multi_label)
    return truncated
