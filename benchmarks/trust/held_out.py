"""How often a promise of agreement is kept that is also calibrated on unlabelled texts: `make benchmark-trust`.

A table student (the rung `small`) learns from real texts without `HELD_OUT` of the unlabelled ones. As in
`guarantee.py`, calibration texts are drawn again and again, from validation and test with replacement, and a thousand
of the held-out ones; what the thresholds lead to is counted on all validation and test texts. It is compared with a
promise that is calibrated on validation alone, and with one that takes the held-out texts also where they differ.

The unlabelled texts of Emotion and SST-2 are of another kind than their tests. StackOverflow has none: a teacher is
fine-tuned on `LABELLED` of its train texts, and the others are unlabelled. `easier`: of the held-out texts, those on
which the student disagrees with its teacher are `RARER` times as rare, which nothing but the agreement shows.

Data: what `make benchmark-board` left in its clones.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from runs import WORK, Row
from trust import rows as results
from trust.guarantee import SEED, SPLITS, TARGETS, teacher_of, texts_of

from potstill import Teacher
from potstill.core import paths
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.export import calibrate
from potstill.export.guarantee import guarantee
from potstill.export.held_out import AGREEMENT, differences
from potstill.export.params import GuaranteeParams
from potstill.pool.build import MOST_HELD_OUT
from potstill.runtime.model import Classifier
from potstill.runtime.profile import CONFIDENCES, Answers, Texts, traits
from potstill.student.distil import distil
from potstill.student.params import StudentParams

TASKS = ("emotion", "sst2", "stackoverflow")
RUNG = "small"
HELD_OUT = 5000
LABELLED = 4000
FEW = 200  # validation texts, next to as many as there are
RARER = 1.5
WHAT = {
    "alone": "agreement, validation alone",
    "like": "agreement, held-out texts",
    "all": "agreement, unlike ones too",
}


class Part(NamedTuple):
    """Texts with the labels that the teacher predicts, ids (texts,)."""

    texts: list[str]
    teacher: np.ndarray


def of_board(data: Dataset, folder: Path) -> tuple[Part, np.ndarray, Part, Part]:
    """Return the texts to learn from with the teacher's logits, the held-out ones, and those of validation and test."""
    real = transfer.read(folder / paths.ENSEMBLE, data.labels, ["train", "unlabelled"])
    unlabelled = np.flatnonzero(real.sources == "unlabelled")
    return _parts(list(real.texts), real.logits, unlabelled, data, teacher_of(data, folder))


def of_labels(data: Dataset, folder: Path) -> tuple[Part, np.ndarray, Part, Part]:
    """Return the same of a task without unlabelled texts: those that a new teacher is not fine-tuned on."""
    train = data.train.sample(frac=1, random_state=SEED)
    labelled, names = train[:LABELLED], np.array(data.labels)
    pairs = [(rows["text"].tolist(), names[rows["label"].to_numpy()]) for rows in (labelled, data.validation)]
    teacher = Teacher("minilm", cache_dir=WORK / "held-out").fit(*pairs[0], validation=pairs[1])
    logits = teacher.decision_function(train["text"].tolist())
    return _parts(
        train["text"].tolist(), logits, np.arange(LABELLED, len(train)), data, teacher.decision_function(texts_of(data))
    )


def _parts(
    texts: list[str], logits: np.ndarray, unlabelled: np.ndarray, data: Dataset, known: np.ndarray
) -> tuple[Part, np.ndarray, Part, Part]:
    chosen = np.random.default_rng(SEED).permutation(unlabelled)[:HELD_OUT]
    learned = np.setdiff1d(np.arange(len(texts)), chosen)
    first, more = (Part([texts[i] for i in rows], logits[rows].argmax(1)) for rows in (learned, chosen))
    return first, logits[learned], more, Part(texts_of(data), known.argmax(1))


def train(data: Dataset, learned: Part, logits: np.ndarray) -> Classifier:
    """Return the student, not calibrated."""
    params = StudentParams().rungs()[RUNG]
    return distil(data.labels, learned.texts, logits, data.validation, params).student


def easier(student: Classifier, more: Part) -> Part:
    """Return as many held-out texts, on which the student agrees with its teacher more often."""
    agrees = student.decision_function(more.texts).argmax(1) == more.teacher
    weights = np.where(agrees, RARER, 1)
    rows = np.random.default_rng(SEED).choice(len(agrees), len(agrees), p=weights / weights.sum())
    return Part([more.texts[i] for i in rows], more.teacher[rows])


def measure(student: Classifier, tested: Part, more: Part, labels: np.ndarray, size: int, draws: int) -> Iterator[Row]:
    """Yield for each way to calibrate and target how often the promise is kept, and the mean share that is answered.

    Args:
        student: the student before its calibration.
        tested: the texts of validation and test.
        more: the held-out texts.
        labels: the ids of the right classes of `tested`.
        size: the validation texts of a calibration.
        draws: the number of calibrations.
    """
    rng = np.random.default_rng(SEED)
    parts = (tested, more)
    logits = [student.decision_function(part.texts) for part in parts]
    names = traits(student)
    bins = [Texts(student, part.texts, Answers(scores.argmax(1), scores.max(1))).bins
            for part, scores in zip(parts, logits, strict=True)]  # fmt: skip
    outcomes: dict[tuple[str, float], list[tuple[bool, float]]] = {}
    used = 0
    for _ in tqdm(range(draws), leave=False):
        drawn = [rng.integers(len(labels), size=size), rng.permutation(len(more.texts))[:MOST_HELD_OUT]]
        heat = calibrate.temperature(logits[0][drawn[0]], labels[drawn[0]])
        soft = [softmax(scores / heat, axis=1).astype(np.float32) for scores in logits]
        counts = []
        for part, found, probabilities, rows in zip(parts, bins, soft, drawn, strict=True):
            found = found | {"confidence": np.searchsorted(CONFIDENCES, probabilities.max(1), "right")}
            counts.append({name: np.bincount(found[name][rows], minlength=len(names[name])) for name in names})
            same = probabilities[rows].argmax(1) == part.teacher[rows]
            counts[-1][AGREEMENT] = np.bincount(same, minlength=2)
        is_like = not differences(*counts, names)
        used += is_like
        alone = soft[0][drawn[0]], tested.teacher[drawn[0]]
        both = tuple(map(np.concatenate, zip(alone, (soft[1][drawn[1]], more.teacher[drawn[1]]), strict=True)))
        for how, calibration in (("alone", alone), ("like", both if is_like else alone), ("all", both)):
            for target in TARGETS:
                params = GuaranteeParams(agreement=target)
                made = guarantee(calibration, (soft[0], tested.teacher), params)
                assert made.test
                kept = made.test["kept"] is None or made.test["kept"] >= target
                outcomes.setdefault((how, target), []).append((kept, made.test["answered"]))
    for (how, target), pairs in outcomes.items():
        kept, answered = np.mean(pairs, axis=0)
        yield {
            "what": WHAT[how],
            "target": target,
            "held": round(float(kept), 4),
            "draws": draws,
            "kind": "agreement",
            "texts": size,
            "answered": round(float(answered), 4),
            "used": round(used / draws, 4),
        }


def main() -> None:
    """Measure, and write the rows."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="of these (default: all)")
    options.add_argument("--draws", type=int, default=300, help="calibrations (default: %(default)s)")
    arguments = options.parse_args()
    rows: list[Row] = []
    for task in arguments.tasks:
        folder = WORK / f"board-{task}"
        data = Dataset.load(folder / paths.PREPARED, unlabelled=False)
        labels = np.concatenate([data.targets(split) for split in SPLITS])
        learned, logits, more, tested = (of_labels if task == "stackoverflow" else of_board)(data, folder)
        student = train(data, learned, logits)
        for size in (FEW, len(data.validation)):
            for kind, part in (("", more), (", easier", easier(student, more))):
                found = measure(student, tested, part, labels, size, arguments.draws)
                found = [row for row in found if not kind or row["what"] != WHAT["alone"]]
                rows += [{"task": task, **row, "what": row["what"] + kind} for row in found]
    results.write(rows)


if __name__ == "__main__":
    main()
