"""How often the promise of `export.guarantee` is kept: `make benchmark-trust`.

The texts of validation and test, which no student was trained on, are taken as all texts that there are. A calibration
set is drawn from them at random, with replacement, again and again; what the thresholds chosen on it lead to is then
counted on all of them, which leaves no doubt whether a promise was kept. The confidence is 95%, so it has to be kept in
95% of the draws.

Students: `board`, which `make benchmark-board` left in its clones. Its temperature is fitted on each draw again, but
its choice is not drawn again. `chosen`: linear students on bags of words, which learn their teacher's labels in three
sizes for ten epochs; on each draw, the one of these 30 is taken that is the most accurate on the very texts that
calibrate, as validation in the pipeline chooses the epoch and the rung.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import softmax
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from runs import WORK, Row
from trust import rows as results

from potstill.core import paths
from potstill.data import transfer
from potstill.data.dataset import Dataset
from potstill.export import calibrate
from potstill.export.guarantee import guarantee
from potstill.export.params import GuaranteeParams
from potstill.runtime.model import FILE, Classifier
from potstill.scoring.held_out import teacher_logits

TASKS = ("emotion", "trec", "clinc150", "stackoverflow")
SPLITS = ("validation", "test")
TARGETS = (0.9, 0.95, 0.98)
SIZES, EPOCHS = (256, 2048, 16384), 10
TEXTS = 10_000  # of the transfer set at most, for the linear students
SEED = 0


def board(data: Dataset, folder: Path) -> np.ndarray:
    """Return the logits of the board's student before its calibration, float32 (1, texts, classes)."""
    student = Classifier.load(folder / paths.EXPORT / FILE)
    return student.decision_function(texts_of(data))[None] * np.float32(student.temperature)


def candidates(data: Dataset, folder: Path) -> np.ndarray:
    """Return the logits of the linear students after each epoch, float32 (sizes · epochs, texts, classes)."""
    learned = transfer.read(folder / paths.ENSEMBLE, data.labels, ["train"])
    texts, wanted = list(learned.texts)[:TEXTS], learned.logits.argmax(1)[:TEXTS]
    found = []
    for size in SIZES:
        bag = HashingVectorizer(n_features=size, alternate_sign=False)
        train, held_out = bag.transform(texts), bag.transform(texts_of(data))
        model = SGDClassifier(loss="log_loss", alpha=1e-5, random_state=SEED)
        for _ in range(EPOCHS):
            model.partial_fit(train, wanted, classes=np.arange(len(data.labels)))
            scores = model.decision_function(held_out)
            found.append(scores if scores.ndim == 2 else np.stack([-scores, scores], 1))
    return np.stack(found).astype(np.float32)


def measure(logits: np.ndarray, labels: np.ndarray, teacher: np.ndarray, size: int, draws: int) -> Iterator[Row]:
    """Yield for each kind of promise and target how often it is kept, and the mean share of texts that is answered.

    Args:
        logits: of all candidates for all texts, (candidates, texts, classes).
        labels: the ids of the right classes, (texts,).
        teacher: those of the teacher.
        size: the texts of a calibration set.
        draws: the number of sets.
    """
    rng = np.random.default_rng(SEED)
    is_right = logits.argmax(2) == labels
    outcomes: dict[tuple[str, float], list[tuple[bool, float]]] = {}
    for _ in range(draws):
        drawn = rng.integers(len(labels), size=size)
        best = int(is_right[:, drawn].mean(1).argmax())
        probabilities = softmax(logits[best] / calibrate.temperature(logits[best, drawn], labels[drawn]), axis=1)
        for kind, wanted in (("accuracy", labels), ("agreement", teacher)):
            for target in TARGETS:
                params = GuaranteeParams.model_validate({kind: target})
                found = guarantee((probabilities[drawn], wanted[drawn]), (probabilities, wanted), params)
                assert found.test
                kept = found.test["kept"] is None or found.test["kept"] >= target
                outcomes.setdefault((kind, target), []).append((kept, found.test["answered"]))
    for (kind, target), pairs in outcomes.items():
        kept, answered = np.mean(pairs, axis=0)
        yield {
            "target": target,
            "held": round(float(kept), 4),
            "draws": draws,
            "kind": kind,
            "texts": size,
            "answered": round(float(answered), 4),
        }


def texts_of(data: Dataset) -> list[str]:
    """Return the texts of validation and test."""
    return [text for split in SPLITS for text in data.split(split)["text"]]


def teacher_of(data: Dataset, folder: Path) -> np.ndarray:
    """Return the logits of the board's teacher for these texts, (texts, classes)."""
    where = folder / paths.METRICS / "teacher" / "minilm"
    return np.concatenate([teacher_logits([where], data, split) for split in SPLITS])


def main() -> None:
    """Measure, and write the rows."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="of these (default: all)")
    options.add_argument("--draws", type=int, default=500, help="calibration sets (default: %(default)s)")
    arguments = options.parse_args()
    rows: list[Row] = []
    for task in tqdm(arguments.tasks, unit="task"):
        folder = WORK / f"board-{task}"
        data = Dataset.load(folder / paths.PREPARED, unlabelled=False)
        labels = np.concatenate([data.targets(split) for split in SPLITS])
        teacher = teacher_of(data, folder).argmax(1)
        for name, make in (("board", board), ("chosen", candidates)):
            measured = measure(make(data, folder), labels, teacher, len(data.validation), arguments.draws)
            rows += [{"task": task, "what": f"guarantee, {name} student", **row} for row in measured]
    results.write(rows)


if __name__ == "__main__":
    main()
