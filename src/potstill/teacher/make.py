"""Make a teacher, from a checkpoint, a table of probabilities or an LLM, and predict the held-out splits with it."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from potstill.core import files, tracking
from potstill.core.errors import PotstillError, join_names, visible
from potstill.core.labels import is_answered
from potstill.data.dataset import SPLITS, Dataset
from potstill.scoring import hub, model
from potstill.scoring.llm.teacher import LlmTeacher
from potstill.scoring.model import Teacher
from potstill.teacher import table
from potstill.teacher.params import TeacherParams

if TYPE_CHECKING:  # a table needs neither torch nor transformers
    from potstill.teacher.finetune import FineTuned

Log = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Progress:
    """How the progress of a training is shown; it can be pickled, for the processes of the training.

    Attributes:
        curves: gives the function to call after each epoch of fine-tuning.
        mlm: called after each epoch of masked-language-model training.
        bar: whether to show a progress bar.
        tell: called with a line for each round of self-training.
    """

    curves: Callable[[], AbstractContextManager[Log]]
    mlm: Log
    bar: bool = True
    tell: Callable[[str], object] = tqdm.write


def make(
    folder: Path, prepared: Path, name: str, params: TeacherParams, scratch: Path, progress: Progress
) -> "FineTuned | None":
    """Write a teacher into an empty folder.

    Args:
        folder: where to write it, see `scoring.model.load`.
        prepared: the folder of the prepared data.
        name: its preset.
        params: its settings, see `TeacherParams.for_preset`.
        scratch: a folder for checkpoints, from which a later call resumes.
        progress: how it is shown.

    Returns:
        How long texts were read; None for a table or an LLM.

    Raises:
        PotstillError: the checkpoint or the table cannot be read, does not fit the data, or cannot be trained.
    """
    preset = params.presets[name]
    checkpoint = preset.checkpoint or name  # an LLM has none
    is_table = preset.llm is None and table.is_table(checkpoint)
    if params.mlm_epochs and (preset.llm or is_table):
        raise PotstillError(
            f"{checkpoint}: {'a table' if is_table else 'an LLM'} cannot be trained. Set `mlm_epochs: 0` in "
            f"teacher.presets.{name}, or teacher.mlm_epochs=0."
        )
    if preset.sha256:
        _check_hash(checkpoint, preset.sha256, name)
    if preset.llm:
        LlmTeacher.make(name, preset.llm, Dataset.load(prepared)).save(folder)
        return None
    if not is_table:
        return _train(folder, prepared, checkpoint, preset.learning_rate, params, scratch, progress)
    data = Dataset.load(prepared)
    probabilities = table.read(Path(checkpoint), data.labels, data.multi_label, preset.text)
    splits = {split: data.split(split)["text"] for split in (*SPLITS, "unlabelled")}
    print(visible(table.coverage(checkpoint, probabilities, splits)))
    save_table(folder, probabilities, data)
    return None


def _check_hash(checkpoint: str, sha256: str, name: str) -> None:
    """Check that a preset's folder or file has the contents that it was written for."""
    path = Path(checkpoint)
    if not path.exists() or files.sha256(path) != sha256:
        found = "other contents" if path.exists() else "no such folder or file here"
        raise PotstillError(
            f"{checkpoint}: not what the `sha256` in teacher.presets.{name} says (found: {found}). Fetch it by "
            "`dvc checkout` or `dvc pull`, or correct the preset."
        )


def print_mlm(epoch: dict[str, float]) -> None:
    """Print the loss of an epoch of masked-language-model training."""
    tqdm.write(f"masked-language model, epoch {epoch['epoch']}: loss {epoch['loss']:.4g}")


def save_table(folder: Path, probabilities: pd.DataFrame, data: Dataset) -> None:
    """Write a table of probabilities, as `table.read` returns it, into an empty folder."""
    probabilities.to_parquet(folder / "table.parquet", index=False)
    model.describe(folder, "table", data.labels, multi_label=data.multi_label)


class Predicted(NamedTuple):
    """What a teacher predicted for the held-out splits.

    Attributes:
        validation: its logits for validation, (texts, classes); NaN for texts that it has not answered.
        truncated: the number of truncated texts by split.
        left_out: the number of texts by split for which an LLM gave no answer that fits a label.
    """

    validation: np.ndarray
    truncated: dict[str, int]
    left_out: dict[str, int]


def predict_splits(teacher: Teacher, data: Dataset, folder: Path) -> Predicted:
    """Write a teacher's logits for the test and validation splits, see `tracking.write_predictions`."""
    truncated, left_out = {}, {}
    logits = np.empty(0)
    for split in ("test", "validation"):
        logits, truncated[split] = teacher.score(data.split(split)["text"].tolist())
        if isinstance(teacher, LlmTeacher):
            left_out[split] = int((~is_answered(logits)).sum())
        tracking.write_predictions(folder / f"{split}.csv", logits, data.targets(split), data.labels)
    return Predicted(logits, truncated, left_out)


def _train(
    folder: Path,
    prepared: Path,
    checkpoint: str,
    learning_rate: float,
    params: TeacherParams,
    scratch: Path,
    progress: Progress,
) -> "FineTuned":
    """Fine-tune into `folder`, after masked-language-model training if set; resume if an earlier run was killed.

    Texts that nobody has labelled are labelled first, see `zero_shot`.
    """
    # Imported late: a table needs neither torch nor transformers.
    from potstill.teacher import distributed

    source = hub.find(checkpoint)
    settings = params.model_dump_json(exclude={"checkpoints", "presets"})
    hashes = [files.sha256(path) for path in (Path(source), prepared)]
    # With the version of transformers, since checkpoints of another one may not load.
    place = scratch / files.cache_key(settings, learning_rate, *hashes, version("transformers"))
    arguments = (folder, prepared, params, source, learning_rate, place, progress)
    found = distributed.run(params.processes, params.threads, _fit, *arguments)
    shutil.rmtree(place)
    return found


def _fit(
    folder: Path,
    prepared: Path,
    params: TeacherParams,
    source: str,
    learning_rate: float,
    scratch: Path,
    progress: Progress,
) -> "FineTuned":
    """Train in each of the processes of `_train`; the main process writes the files."""
    from potstill.scoring import pretrained
    from potstill.teacher import continuation, distributed, finetune

    data = Dataset.load(prepared)
    if not data.is_labelled("train"):
        from potstill.teacher import zero_shot

        zero_shot.check(source)
    if params.mlm_epochs:
        from potstill.teacher import mlm

        texts = [*data.train["text"], *data.unlabelled["text"]]
        source = mlm.train(source, texts, params, scratch, progress.mlm, progress.bar)
    if not data.is_labelled("train"):
        source, data = zero_shot.train(source, data, params, learning_rate, scratch, progress.tell, progress.bar)
        params = params.model_copy(update={"class_weight": None})  # a label may have no text
    network, tokenizer = pretrained.load(source, data.labels, params.seed, data.multi_label)
    repeats = None
    if continuation.is_teacher(Path(source)):
        new = continuation.keep_head(network, Path(source), data.labels, params.seed)
        repeats = continuation.repeats(data, new)
        # The factor is for a new head; this one would forget what it begins with.
        params = params.model_copy(update={"head_lr_factor": 1.0})
        if distributed.is_main_process():
            print(visible(f"{source}: training continues; new classes: {join_names(new) if new else 'none'}"))
    with progress.curves() if distributed.is_main_process() else nullcontext(progress.mlm) as log:
        found = finetune.finetune(
            network, tokenizer, data.train, data.validation, params, learning_rate, scratch, log, progress.bar, repeats
        )
    if distributed.is_main_process():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        model.describe(folder, "checkpoint", data.labels, params.max_length, data.multi_label, found.max_windows)
    return found
