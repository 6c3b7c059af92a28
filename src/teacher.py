"""Stage `teacher`: fine-tune a checkpoint, read a table of probabilities, or ask an LLM. `src/teacher.py minilm`."""

from potstill.core.start import run

import sys
from functools import partial

import numpy as np

from potstill.core import files, paths, tracking, truncation, untracked
from potstill.core.class_weights import macro_f1
from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered, is_correct, predict_labels_default
from potstill.core.resources import record_resources
from potstill.data.dataset import Dataset
from potstill.scoring import model
from potstill.teacher.make import Progress, make, predict_splits, print_mlm
from potstill.teacher.params import TeacherParams


def main() -> None:
    """Read the prepared data; write `models/teacher/<name>` and `metrics/teacher/<name>`."""
    params = TeacherParams.load()
    if len(sys.argv) != 2 or sys.argv[1] not in params.presets:
        raise PotstillError(f"usage: python src/teacher.py NAME, one of {', '.join(params.presets)}")
    name = sys.argv[1]
    with record_resources(f"teacher/{name}"):
        teach(name, params.for_preset(name))


def teach(name: str, params: TeacherParams) -> None:
    """Make a teacher, and write its logits for validation and test."""
    metrics = paths.METRICS / "teacher" / name
    data = Dataset.load(paths.PREPARED)
    progress = Progress(partial(tracking.curves, metrics), print_mlm)
    with files.atomic_write(paths.TEACHER / name) as folder:
        folder.mkdir()
        preset = params.presets[name]
        read = preset.llm.prompt if preset.llm else preset.checkpoint
        # A preset that says the hash of what it reads is a parameter that DVC tracks.
        source = untracked.hash_untracked(read, f"teacher@{name}") if read and not preset.sha256 else {}
        tuned = make(folder, paths.PREPARED, name, params, paths.SCRATCH / "teacher", progress)
        (metrics / "plots").mkdir(parents=True, exist_ok=True)  # only training has curves, but DVC expects the folder
        teacher = model.load(folder, params.batch_size, params.precision)
        validation, truncated, left_out = predict_splits(teacher, data, metrics)
    facts = {
        **score(validation, data, every=preset.llm is not None),
        "parameters": teacher.parameters,
        "bytes": None if preset.llm else files.size(paths.TEACHER / name),
        **source,
        **({"left_out": left_out} if preset.llm else {}),
    }
    if tuned:  # a table or an LLM neither truncates texts nor runs here
        truncated["train"] = tuned.truncated
        facts["truncated"] = {split: round(number / len(data.split(split)), 6) for split, number in truncated.items()}
        if tuned.windowed:
            facts["windowed"] = round(tuned.windowed, 6)
            truncation.note_windows(tuned.max_windows, tuned.windowed)
        truncation.note("teacher.max_length", facts["truncated"])
    tracking.write_metrics(metrics, name, facts)


def score(logits: np.ndarray, data: Dataset, every: bool) -> dict[str, float | None]:
    """Return the scores of a teacher on validation, None if these are unknown.

    Args:
        logits: floats (texts, classes), NaN for a text without a prediction.
        data: the data set.
        every: whether such a text counts as wrong, as where an LLM has not answered; otherwise it is left out.
    """
    targets, answered = data.targets("validation"), is_answered(logits)
    counted = answered | every
    if not (answered.any() and data.is_labelled("validation")):
        return {"validation_accuracy": None, "validation_macro_f1": None}
    predicted = predict_labels_default(logits, targets)
    correct = (is_correct(predicted, targets) & answered)[counted]
    return {
        "validation_accuracy": round(float(correct.mean()), 6),
        "validation_macro_f1": round(macro_f1(targets[counted], predicted[counted], len(data.labels)), 6),
    }


if __name__ == "__main__":
    run(main)
