"""Stage `teacher`: fine-tune a checkpoint, or take a table of probabilities. `python src/teacher.py minilm`."""

from potstill.start import run

import shutil
import sys
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from potstill import device, files, paths, record, truncation, unwatched
from potstill.balance import macro_f1
from potstill.corpus.dataset import Dataset
from potstill.cost import measured
from potstill.errors import PotstillError, visible
from potstill.evaluate.timing import throughput
from potstill.params.teacher import TeacherParams
from potstill.runtime.decision import accuracy, likely
from potstill.teacher import checkpoints, model, table


def main() -> None:
    """Read the prepared data; write `models/teacher/<name>` and `metrics/teacher/<name>`."""
    params = TeacherParams.load()
    if len(sys.argv) != 2 or sys.argv[1] not in params.presets:
        raise PotstillError(f"usage: python src/teacher.py NAME, one of {', '.join(params.presets)}")
    name = sys.argv[1]
    with measured(paths.METRICS / "teacher" / name / "cost.json"):
        teach(name, params.of(name))


def teach(name: str, params: TeacherParams) -> None:
    """Make one teacher, and have it answer validation and test."""
    metrics = paths.METRICS / "teacher" / name
    data = Dataset.load(paths.PREPARED)
    cut: dict[str, int] = {}
    with files.whole(paths.TEACHER / name) as folder:
        folder.mkdir()
        checkpoint = params.presets[name].checkpoint
        source = unwatched.note(checkpoint, f"teacher@{name}")
        if table.is_table(checkpoint):
            if params.mlm_epochs:
                raise PotstillError(
                    f"{checkpoint} is a table, which cannot be adapted: set `mlm_epochs: 0` in teacher.presets.{name}, "
                    "or teacher.mlm_epochs=0"
                )
            answers = table.read(Path(checkpoint), data.labels, data.multi_label)
            splits = {split: data.split(split)["text"] for split in ("train", "validation", "test", "unlabelled")}
            print(visible(table.coverage(checkpoint, answers, splits)))
            answers.to_parquet(folder / "table.parquet", index=False)
            model.describe(folder, "table", data.labels, multi_label=data.multi_label)
            (metrics / "plots").mkdir(parents=True, exist_ok=True)  # no curves, but DVC expects the folder
        else:
            cut["train"] = train(folder, metrics, data, params, name)
        teacher = model.load(folder, params.batch_size, params.precision)
        texts = data.test["text"].tolist()
        test = teacher.logits(texts, cut=lambda number: cut.update(test=number))
        validation = teacher.logits(data.validation["text"].tolist(), cut=lambda number: cut.update(validation=number))
    known = data.targets("validation")
    record.write_predictions(metrics / "test.csv", test, data.targets("test"), data.labels)
    record.write_predictions(metrics / "validation.csv", validation, known, data.labels)
    covered = np.isfinite(validation).all(1)
    validation, known = validation[covered], known[covered]
    predicted = likely(validation, known)
    facts = {
        "validation_accuracy": round(accuracy(validation, known), 6) if covered.any() else None,
        "validation_macro_f1": round(macro_f1(known, predicted, len(data.labels)), 6) if covered.any() else None,
        "parameters": teacher.parameters,
        "bytes": files.size(paths.TEACHER / name),
        **source,
    }
    if cut:
        facts["truncated"] = {split: round(number / len(data.split(split)), 6) for split, number in cut.items()}
        truncation.note("teacher.max_length", facts["truncated"])
    record.write_metrics(metrics, name, facts)
    timings = {}
    if teacher.parameters:
        device.use_threads(1)
        timings = {name: throughput(teacher.logits, texts)}
    files.write_json(metrics / "timing.json", timings)


def train(folder: Path, metrics: Path, data: Dataset, params: TeacherParams, name: str) -> int:
    """Adapt if asked, and fine-tune into `folder`; a run that was killed goes on from its last finished epoch.

    Returns:
        How many train texts were cut off.
    """
    from potstill.teacher import together

    preset = params.presets[name]
    source = checkpoints.find(preset.checkpoint)
    settings = params.model_dump_json(exclude={"checkpoints", "presets"})
    # Checkpoints of another version of Transformers may not load.
    read = [files.sha256(path) for path in (Path(source), paths.PREPARED)]
    scratch = paths.SCRATCH / "teacher" / files.key(settings, preset, *read, version("transformers"))
    rate = preset.learning_rate
    cut = together.run(params.processes, params.threads, fit, folder, metrics, data, params, source, rate, scratch)
    shutil.rmtree(scratch)
    return cut


def fit(
    folder: Path, metrics: Path, data: Dataset, params: TeacherParams, source: str, learning_rate: float, scratch: Path
) -> int:
    """What `train` does in each of its processes, of which the first writes."""
    from potstill.teacher import finetune, pretrained, together

    if params.mlm_epochs:
        from potstill.teacher import adapt

        texts = [*data.train["text"], *data.unlabelled["text"]]
        source = adapt.adapt(source, texts, params, scratch, say)
    network, tokenizer = pretrained.load(source, data.labels, params.seed, data.multi_label)
    with record.curves(metrics) if together.first() else nullcontext(say) as log:
        cut = finetune.finetune(network, tokenizer, data.train, data.validation, params, learning_rate, scratch, log)
    if together.first():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        model.describe(folder, "checkpoint", data.labels, params.max_length, data.multi_label)
    return cut


def say(epoch: dict[str, float]) -> None:
    """Print what adapting says of a pass."""
    tqdm.write(f"adapted, pass {epoch['epoch']}: loss {epoch['loss']:.4g}")


if __name__ == "__main__":
    run(main)
