"""How many labels `to_label.csv` saves against texts drawn at random: `make benchmark-trust`.

The train texts of a task are the pool; the first ones are labelled, drawn at random. Then 50 are chosen by what a
classifier predicts, labelled as in the data, and the classifier is trained again, ten times; and the same at random.
The classifier is logistic regression on the embeddings of the teacher's checkpoint, which are not fine-tuned, as a
fine-tuned one would take days for all draws. Each draw starts with other texts. The parameters were chosen on
validation; accuracies are those on test.

Labels are counted without those that were there at the start.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parents[1]))

from runs import WORK, Row
from trust import rows as results

from potstill.core import files, paths
from potstill.data.dataset import Dataset
from potstill.report.to_label import margins, shortlist, spread
from potstill.scoring import hub

TASKS = ("emotion", "trec", "clinc150")
CHECKPOINT = "sentence-transformers/all-MiniLM-L6-v2"
POOL, HELD_OUT = 4000, 2000  # texts at most
START, STEP, STEPS = 200, 50, 10
TARGET = 0.3  # fewer labels
BOOTSTRAP = 2000
SEED = 0

Choose = Callable[[np.random.Generator, Sequence[str], np.ndarray], np.ndarray]
"""Returns which texts to label, given the texts and their predicted probabilities."""


def at_random(rng: np.random.Generator, texts: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Draw texts."""
    return rng.choice(len(texts), STEP, replace=False)


def least_certain(rng: np.random.Generator, texts: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Choose the texts with the smallest margins."""
    return np.argsort(margins(probabilities, False), kind="stable")[:STEP]


def as_in_the_report(rng: np.random.Generator, texts: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Choose the texts of `to_label.csv`."""
    found = margins(probabilities, False)
    listed = shortlist(found, STEP)
    return listed[spread([texts[i] for i in listed], found[listed], STEP)]


WAYS: dict[str, Choose] = {"random": at_random, "smallest margins": least_certain, "to_label.csv": as_in_the_report}


def embed(task: str, name: str, texts: Sequence[str]) -> np.ndarray:
    """Return the mean of the checkpoint's last hidden states of each text, of unit length; kept for the next time."""
    path = WORK / "to_label" / f"{task}-{name}-{len(texts)}.npy"
    if not path.is_file():
        folder = hub.find(CHECKPOINT)
        tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
        found = np.empty((len(texts), network.config.hidden_size), np.float32)
        by_length = np.argsort([len(text) for text in texts])
        for start in tqdm(range(0, len(texts), 64), desc=f"{task}, {name}"):
            batch = by_length[start : start + 64]
            with torch.inference_mode():
                tokens = tokenizer(
                    [texts[i] for i in batch], padding=True, truncation=True, max_length=64, return_tensors="pt"
                )
                states, mask = network(**tokens).last_hidden_state, tokens["attention_mask"][..., None]
            found[batch] = ((states * mask).sum(1) / mask.sum(1)).numpy()
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        with files.atomic_write(path) as part, part.open("wb") as stream:
            np.save(stream, found)
    return np.load(path)


def split(data: Dataset, task: str, name: str, size: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return texts of a split, their labels and their embeddings."""
    rows = data.split(name)
    rows = rows.sample(min(size, len(rows)), random_state=SEED)
    texts = rows["text"].tolist()
    return texts, rows["label"].to_numpy(), embed(task, name, texts)


def curve(
    choose: Choose, pool: tuple[list[str], np.ndarray, np.ndarray], test: tuple[Any, np.ndarray, np.ndarray], draw: int
) -> list[float]:
    """Return the test accuracy before the first step and after each."""
    (texts, labels, features), rng = pool, np.random.default_rng(draw)
    order = rng.permutation(len(texts))
    pairs = np.concatenate([order[labels[order] == label][:2] for label in np.unique(labels)])  # as `prepare` requires
    known = np.concatenate([pairs, order[~np.isin(order, pairs)]])[: max(START, len(pairs))]
    found = []
    for _ in range(STEPS + 1):
        model = LogisticRegression(C=160, max_iter=1000).fit(features[known], labels[known])
        found.append(float(model.score(test[2], test[1])))
        others = np.setdiff1d(np.arange(len(texts)), known)
        probabilities = model.predict_proba(features[others])
        known = np.concatenate([known, others[choose(rng, [texts[i] for i in others], probabilities)]])
    return found


def labels_for(accuracy: float, mean_curve: np.ndarray) -> float:
    """Return with how many labels a mean curve reaches an accuracy, between its points linearly; at most all."""
    reached = np.flatnonzero(mean_curve >= accuracy)
    if not len(reached):
        return float(STEP * STEPS)
    step = int(reached[0])
    if step == 0:
        return 0.0
    low, high = mean_curve[step - 1], mean_curve[step]
    return STEP * (step - 1 + float((accuracy - low) / (high - low)))


def saved(chosen: np.ndarray, drawn: np.ndarray) -> float:
    """Return the share of labels that is saved on the way to the last accuracy of texts drawn at random.

    Args:
        chosen, drawn: accuracies, floats (draws, STEPS + 1).
    """
    return 1 - labels_for(drawn.mean(0)[-1], chosen.mean(0)) / (STEP * STEPS)


def summarize(chosen: np.ndarray, drawn: np.ndarray) -> Row:
    """Return how often the target was reached in a single draw, and what was saved on average, with its interval."""
    rng, draws = np.random.default_rng(SEED), len(drawn)
    samples = [saved(chosen[picked], drawn[picked]) for picked in rng.integers(draws, size=(BOOTSTRAP, draws))]
    low, high = np.quantile(samples, [0.025, 0.975])
    fewer = round((1 - TARGET) * STEPS)
    return {
        "target": TARGET,
        "held": round(float((chosen[:, fewer] >= drawn[:, -1]).mean()), 4),
        "draws": draws,
        "labels": STEP * STEPS,
        "saved": round(saved(chosen, drawn), 4),
        "saved_low": round(float(low), 4),
        "saved_high": round(float(high), 4),
        "accuracy": [round(float(value), 4) for value in chosen.mean(0)],
        "accuracy_at_random": [round(float(value), 4) for value in drawn.mean(0)],
    }


def main() -> None:
    """Measure, and write the rows."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="of these (default: all)")
    options.add_argument("--draws", type=int, default=20, help="starts (default: %(default)s)")
    arguments = options.parse_args()
    rows: list[Row] = []
    for task in arguments.tasks:
        data = Dataset.load(WORK / f"board-{task}" / paths.PREPARED, unlabelled=False)
        pool, test = split(data, task, "train", POOL), split(data, task, "test", HELD_OUT)
        found = {
            name: np.array(
                [curve(choose, pool, test, draw) for draw in tqdm(range(arguments.draws), f"{task}, {name}")]
            )
            for name, choose in WAYS.items()
        }
        rows += [
            {"task": task, "what": f"labels saved, {name}", **summarize(found[name], found["random"])}
            for name in WAYS
            if name != "random"
        ]
    results.write(rows)


if __name__ == "__main__":
    main()
