"""Outputs of the stages, and the page that they give."""

from collections import defaultdict
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
from scipy.special import softmax

from potstill.core.class_weights import majority
from potstill.evaluate.compare import Model, compare
from potstill.evaluate.metrics.scores import mcnemar
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.verdict import judge
from potstill.report import downloads
from potstill.report.facts import Inputs, collect
from potstill.report.page import render
from potstill.report.params import ReportParams
from potstill.report.pictures import draw
from potstill.web.page import demo
from tests.markup import HOSTILE, INVISIBLE
from tests.students import student as student_of_words
from tests.tasks import make_transfer

LABELS = ["joy", "<b>anger</b>", "fear | awe"]


PARAMS = ReportParams(examples=3, differences=4, samples=2, errors=5, suspects=5, k_anonymity=5)
STEPS = [{"text": "Take the next larger student, `three`", "command": "dvc exp run -S student.rung=three"}]


def rung(name, status, size=None, accuracy=None, difference=None, **changes):
    """Return a candidate for the student; one without a size was not trained."""
    ends = (None, None) if difference is None else (difference - 0.005, difference + 0.005)
    return {
        "rung": name, "architecture": "bigru", "parameters": size and 2 * size, "bytes": size,
        "validation_accuracy": accuracy, "difference": difference, "status": status, "note": None,
        "difference_low": ends[0], "difference_high": ends[1],
    } | changes  # fmt: skip


LADDER = [
    rung("one", "too inaccurate", 1000, 0.85, -0.08),
    rung("two", "chosen", 5000, 0.925, -0.005),
    rung("<three>", "not needed"),
    rung("four", "unavailable", architecture="transformer", note="The teacher is a table of | probabilities."),
]


def predictions_of(labels, accuracy, seed, sure=4.0):
    """Return probabilities of a model of this accuracy, more confident where it is correct."""
    rng = np.random.default_rng(seed)
    right = rng.random(len(labels)) < accuracy
    chosen = np.where(right, labels, (labels + 1) % len(LABELS))
    logits = rng.normal(0, 0.3, (len(labels), len(LABELS)))
    logits[np.arange(len(labels)), chosen] += np.where(right, sure, sure / 2)
    return softmax(logits, axis=1)


def make(student=0.9, teacher=0.93, texts=2000, with_teacher=True):
    """Return outputs of the stages."""
    rng = np.random.default_rng(0)
    splits, rows = {}, []
    accuracies = {"tfidf": 0.7, "hard": 0.8, "student": student} | ({"minilm": teacher} if with_teacher else {})
    sizes = {"tfidf": 9000, "hard": 4000, "student": 2500, "minilm": 22_000_000}
    kinds = {"student": "student", "minilm": "teacher"}
    for split in ("validation", "test"):
        labels = rng.integers(0, 3, texts)
        models = {name: predictions_of(labels, share, i) for i, (name, share) in enumerate(accuracies.items())}
        splits[split] = Predictions(
            [f"{split} text {i} <script>alert(1)</script> | x" for i in range(texts)], labels, models
        )
    test = splits["test"]
    models = [
        Model(
            name,
            kinds.get(name, "baseline"),
            test.probabilities[name],
            test.probabilities[name],
            sizes[name],
            2 * sizes[name],
        )
        for name in accuracies
    ]
    rows, _ = compare(models, test.labels, "minilm" if with_teacher else None, None)
    row = {"texts": 100, "parameters": 2500, "validation_accuracy": 0.8} | {
        end: rows[0][end] for end in ("accuracy", "accuracy_low", "accuracy_high")
    }
    train = rng.integers(0, 3, 90)
    order = {"student": {"wos": 0.2, "survived": 0.9, "texts": 9}, "minilm": {"wos": 0.3, "survived": 0.85, "texts": 9}}
    unknown = {split: {"words": 0.1, "texts": 0.3} for split in ("train", "train_and_unlabelled")}
    probabilities = predictions_of(np.r_[train, np.zeros(10, int)], 0.98, 9)
    of = {row["name"]: row for row in rows}
    better = mcnemar(test.correct("student"), test.correct("tfidf"))
    versus_teacher, most = of["student"].get("versus_teacher"), majority(test.labels)
    verdict = judge(of["student"], of["tfidf"], versus_teacher, better, texts=texts, margin=0.01, majority=most)
    return Inputs(
        labels=LABELS,
        name="bigru-2.5K",
        student=student_of_words("mlp"),
        unlabelled=pd.Series(["the card", "<i>the</i>"]),
        teacher="minilm" if with_teacher else None,
        validation=splits["validation"],
        test=test,
        train=pd.DataFrame({"text": [f"train {i}" for i in range(90)], "label": train}),
        transfer_set=make_transfer(
            [*(f"train {i}" for i in range(90)), *(f"made {i}" for i in range(10))],
            ["train"] * 90 + ["generated"] * 10,
            np.log(probabilities),
        ),
        transfer_probabilities=probabilities,
        scores={
            "models": of,
            "task_profile": {"word_order": order if with_teacher else {}, "out_of_vocabulary": unknown},
        },
        ladder=LADDER,
        margin=0.01,
        verdict=asdict(verdict) | {"next_steps": STEPS},
        timing={name: {"texts_per_second": 1e6 / size, "milliseconds_per_text": 0.1} for name, size in sizes.items()},
        prepared={"removed": 1, "two_labels": 2},
        ablation={
            "sources": {"train": row, "unlabelled": row},
            "vocabulary": {"frequent": row},
            "architectures": {"bigru": row, "mlp": row},
            "pool": {"0.1": row},
            "hard": {"0.1": row},
            "tfidf": {"0.1": row},
        },
        truncated={"teacher": 0.25, "student": 0.0},
        windowed=0.0,
        held_out={"texts": 400, "agree": 390, "differs_in": "length, class"},
    )


def page(inputs=None, template="page.html", pictures=True, params=PARAMS, runs=True):
    """Return the page; without charts it is faster."""
    inputs = inputs or make()
    facts = collect(inputs, params)
    curve = pd.DataFrame({"epoch": [1, 2, 3], "loss": [1, 0.5, 0.3], "validation_accuracy": [0.5, 0.6, 0.7]})
    shown = {
        "date": "1 May 2026",
        "data": "<data>",
        "demo": demo(),
        "model_path": "models/export/student.pot",
        "downloads": downloads.collect(student_of_words("mlp").to_bytes(), runs, facts),
        "title": f"bigru-2.5K: {', '.join(inputs.labels[:8])}",
        "labels": inputs.labels,
        "fallback": "minilm",
        "reference": inputs.teacher or "student",
        "published": True,
        "rows": {"train": 90, "validation": 2000, "test": 2000, "unlabelled": 0},
        "transfer": 100,
        "resources": {"prepare": {"seconds": 1.5, "core_seconds": 2.0, "peak_megabytes": 300.0}},
        "provenance": {"commit": "abc"},
        "hashes": {"sha256 of train": "def"},
        "parameters": "a: <1>",
        "charts": draw(inputs, facts, {"hard": curve}, inputs.teacher or inputs.name, published=True)
        if pictures
        else defaultdict(str),
    }
    return render(template, facts | shown)


def hostile():
    """Return outputs of the stages with texts and labels that are markup or control characters."""
    inputs = make(texts=300)
    splits = {"validation": inputs.validation, "test": inputs.test}
    texts = [*HOSTILE, *(text for text in INVISIBLE if "\ud800" not in text)]
    splits = {name: replace(part, texts=[texts[i % len(texts)] for i in range(300)]) for name, part in splits.items()}
    return replace(inputs, labels=["@a closes #1", "<img src=x>|[b](https://c)", "\x1b[31m`d`"], **splits)
