"""Stage `teacher`: fine-tune a checkpoint, read a table of probabilities, or ask an LLM. `src/teacher.py minilm`."""

from potstill.core.start import run

import shutil
import sys
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from potstill.core import device, files, paths, tracking, truncation, untracked
from potstill.core.class_weights import macro_f1
from potstill.core.errors import PotstillError, visible
from potstill.core.labels import accuracy, predict_labels_default
from potstill.core.resources import record_resources
from potstill.core.timing import throughput
from potstill.data.dataset import SPLITS, Dataset
from potstill.scoring import hub, model
from potstill.scoring.llm.teacher import LlmTeacher
from potstill.teacher import table
from potstill.teacher.params import TeacherParams


def main() -> None:
    """Read the prepared data; write `models/teacher/<name>` and `metrics/teacher/<name>`."""
    params = TeacherParams.load()
    if len(sys.argv) != 2 or sys.argv[1] not in params.presets:
        raise PotstillError(f"usage: python src/teacher.py NAME, one of {', '.join(params.presets)}")
    name = sys.argv[1]
    with record_resources(paths.METRICS / "teacher" / name / "resources.json"):
        teach(name, params.for_preset(name))


def teach(name: str, params: TeacherParams) -> None:
    """Make a teacher, and write its logits for validation and test."""
    metrics = paths.METRICS / "teacher" / name
    data = Dataset.load(paths.PREPARED)
    truncated: dict[str, int] = {}
    with files.atomic_write(paths.TEACHER / name) as folder:
        folder.mkdir()
        checkpoint, llm = params.presets[name].checkpoint, params.presets[name].llm
        source = untracked.hash_untracked(checkpoint, f"teacher@{name}") if checkpoint else {}
        if params.mlm_epochs and (llm or table.is_table(checkpoint)):
            raise PotstillError(
                f"{checkpoint or name}: {'an LLM' if llm else 'a table'} cannot be trained. Set `mlm_epochs: 0` in "
                f"teacher.presets.{name}, or teacher.mlm_epochs=0."
            )
        if llm:
            LlmTeacher.make(name, llm, data).save(folder)
        elif table.is_table(checkpoint):
            probabilities = table.read(Path(checkpoint), data.labels, data.multi_label)
            splits = {split: data.split(split)["text"] for split in (*SPLITS, "unlabelled")}
            print(visible(table.coverage(checkpoint, probabilities, splits)))
            probabilities.to_parquet(folder / "table.parquet", index=False)
            model.describe(folder, "table", data.labels, multi_label=data.multi_label)
        else:
            truncated["train"] = train(folder, metrics, data, params, name)
        teacher = model.load(folder, params.batch_size, params.precision)
        texts = data.test["text"].tolist()
        test, truncated["test"] = teacher.score(texts)
        validation, truncated["validation"] = teacher.score(data.validation["text"].tolist())
    (metrics / "plots").mkdir(parents=True, exist_ok=True)  # only training has curves, but DVC expects the folder
    if llm:
        source = untracked.hash_untracked(llm.prompt, f"teacher@{name}") if llm.prompt else {}
        source["left_out"] = {"test": missing(test), "validation": missing(validation)}
        # Where no answer fits a label, all are equally likely: that is as much as this teacher knows.
        test, validation = np.nan_to_num(test), np.nan_to_num(validation)
    targets = data.targets("validation")
    tracking.write_predictions(metrics / "test.csv", test, data.targets("test"), data.labels)
    tracking.write_predictions(metrics / "validation.csv", validation, targets, data.labels)
    covered = np.isfinite(validation).all(1)
    validation, targets = validation[covered], targets[covered]
    predicted = predict_labels_default(validation, targets)
    facts = {
        "validation_accuracy": round(accuracy(validation, targets), 6) if covered.any() else None,
        "validation_macro_f1": round(macro_f1(targets, predicted, len(data.labels)), 6) if covered.any() else None,
        "parameters": teacher.parameters,
        "bytes": None if llm else files.size(paths.TEACHER / name),
        **source,
    }
    timings = {}
    if teacher.parameters:  # a table or an LLM neither truncates texts nor runs here
        facts["truncated"] = {split: round(number / len(data.split(split)), 6) for split, number in truncated.items()}
        truncation.note("teacher.max_length", facts["truncated"])
        device.use_threads(1)
        timings = {name: throughput(teacher.logits, texts)}
    tracking.write_metrics(metrics, name, facts)
    files.write_json(metrics / "timing.json", timings)


def missing(logits: np.ndarray) -> int:
    """Return the number of texts without logits."""
    return int(np.isnan(logits).any(1).sum())


def train(folder: Path, metrics: Path, data: Dataset, params: TeacherParams, name: str) -> int:
    """Fine-tune into `folder`, after masked-language-model training if set; resume if an earlier run was killed.

    Returns:
        The number of train texts that were truncated.
    """
    from potstill.teacher import distributed

    preset = params.presets[name]
    source = hub.find(preset.checkpoint)
    settings = params.model_dump_json(exclude={"checkpoints", "presets"})
    hashes = [files.sha256(path) for path in (Path(source), paths.PREPARED)]
    # With the version of transformers, since checkpoints of another one may not load.
    scratch = paths.SCRATCH / "teacher" / files.cache_key(settings, preset, *hashes, version("transformers"))
    arguments = (folder, metrics, data, params, source, preset.learning_rate, scratch)
    truncated = distributed.run(params.processes, params.threads, fit, *arguments)
    shutil.rmtree(scratch)
    return truncated


def fit(
    folder: Path, metrics: Path, data: Dataset, params: TeacherParams, source: str, learning_rate: float, scratch: Path
) -> int:
    """Train in each of the processes of `train`; the main process writes the files."""
    from potstill.scoring import pretrained
    from potstill.teacher import distributed, finetune

    if params.mlm_epochs:
        from potstill.teacher import mlm

        texts = [*data.train["text"], *data.unlabelled["text"]]
        source = mlm.train(source, texts, params, scratch, log_mlm)
    network, tokenizer = pretrained.load(source, data.labels, params.seed, data.multi_label)
    with tracking.curves(metrics) if distributed.is_main_process() else nullcontext(log_mlm) as log:
        truncated = finetune.finetune(
            network, tokenizer, data.train, data.validation, params, learning_rate, scratch, log
        )
    if distributed.is_main_process():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        model.describe(folder, "checkpoint", data.labels, params.max_length, data.multi_label)
    return truncated


def log_mlm(epoch: dict[str, float]) -> None:
    """Print the loss of an epoch of masked-language-model training."""
    tqdm.write(f"masked-language model, epoch {epoch['epoch']}: loss {epoch['loss']:.4g}")


if __name__ == "__main__":
    run(main)
