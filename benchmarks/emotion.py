"""The article's experiment on the Emotion tweets, and extensions of it: `make benchmark-emotion`.

The settings were chosen on the validation split, see `benchmarks/README.md`. `--part` runs some of the parts; the
committed results are those of all.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tables
from runs import ROOT, Clone, Run, Setting, committed, measure, parser, result
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from potstill.core import files
from potstill.data.dataset import SPLITS
from potstill.data.sources import SOURCES
from potstill.prepare import from_files
from potstill.prepare.params import PrepareParams

RESULTS = ROOT / "benchmarks" / "emotion"
SEEDS = range(5)
LABELS = ["sadness", "joy", "love", "anger", "fear", "surprise"]
VARIANTS = {"pool.replace": 1.0, "pool.drop": 0.3, "pool.splice": 0.3}
REAL_TEXT = dict.fromkeys((*VARIANTS, "pool.generated"), 0)


def setting(name: str, **params: Any) -> Setting:
    """Return the setting of the Emotion tweets with the in-domain unlabelled ones."""
    base = {"prepare.unlabelled": ["unlabeled/carer_balanced.txt"], "prepare.label_names": LABELS}
    return Setting(name, base | {key.replace("__", "."): value for key, value in params.items()})


def few(number: int, draw: int, epochs: int) -> Setting:
    """Return a setting of few labels, sampled with a seed; a further quarter of them are the validation labels."""
    drawn = {"prepare__max_labelled": number, "prepare__max_validation": number // 4, "prepare__seed": draw}
    return setting(f"{number:,} labels, draw {draw}", **drawn, teacher__epochs=epochs, **REAL_TEXT)


ALL = setting("all labels", **VARIANTS, teacher__epochs=4, teacher__seed=1, pool__generated=1.0)
DRAWS = range(3)
FEW = [few(number, draw, epochs) for number, epochs in ((1000, 12), (200, 40)) for draw in DRAWS]
# Further points of the curve over the number of labels, one sample each.
CURVE = [few(100, 0, 60), few(4000, 0, 4), setting("16,000 labels", teacher__epochs=4, teacher__seed=1, **REAL_TEXT)]

MLP = {"architecture": "mlp", "vocab_size": 5000, "hidden": 16, "weight_bits": 8, "fingerprint_bits": 8}
GRU = {"informative_share": 0.9, "weight_bits": 8, "fingerprint_bits": 8}
WIDE = {**GRU, "learning_rate": 0.005}
SHARED = {**GRU, "learning_rate": 0.02}

# The networks, trained on hard and on soft labels.
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp-80k": {**MLP, "informative_share": 0.6, "max_ngram": 2},
    "mlp-80k-words": {**MLP, "informative_share": 0.0, "max_ngram": 1},  # as in Wasserblat 2021
    "bigru-80k": {"vocab_size": 3700, "embedding_dim": 16, "hidden": 48, **WIDE},
    "bigru-10k": {"vocab_size": 1500, "embedding_dim": 5, "hidden": 16, **WIDE},
    "bigru-3k": {"vocab_size": 755, "embedding_dim": 3, "hidden": 8, **GRU},
    "bigru-1k": {"vocab_size": 1100, "embedding_rows": 331, "embedding_dim": 2, "hidden": 6, **SHARED},
    "bigru-500": {"vocab_size": 900, "embedding_rows": 127, "embedding_dim": 2, "hidden": 4, **SHARED},
    "bigru-qr": {"vocab_size": 940, "embedding_dim": 4, "hidden": 10, **GRU, "weight_bits": 3, "fingerprint_bits": 4},
}
# Further points of the curve over the number of parameters.
SIZES: dict[str, dict[str, Any]] = {
    "bigru-30k": {"vocab_size": 2100, "embedding_dim": 10, "hidden": 32, **WIDE},
    "bigru-250": {"vocab_size": 700, "embedding_rows": 40, "embedding_dim": 2, "hidden": 3, **SHARED},
}
DROPOUT = {"bigru-80k": 0.3, "bigru-30k": 0.2, "bigru-10k": 0.1}


def soft(network: str) -> dict[str, Any]:
    """Return the parameters of a network trained on soft labels."""
    params = {"architecture": "bigru", **(NETWORKS | SIZES)[network]}
    if params["architecture"] == "mlp":
        # A bag of words learns best from natural text, with its rare words.
        sources = {"sources": ["train", "unlabelled", "replace", "splice"]}
        return params | {"epochs": 6, "batch_size": 64, "learning_rate": 0.005, "weight_decay": 0.05} | sources
    training = {"epochs": 10, "batch_size": 256, "learning_rate": 0.01, "sources": list(SOURCES)}
    return training | params | {"dropout": DROPOUT.get(network, 0.0)}


def hard(network: str) -> dict[str, Any]:
    """Return the parameters of the same network trained on hard labels."""
    params = {"architecture": "bigru", **(NETWORKS | SIZES)[network]}
    mlp = params["architecture"] == "mlp"
    training = {"epochs": 20, "batch_size": 64, "learning_rate": 0.005, "dropout": 0.0 if mlp else 0.3}
    # Bigrams are rare and hard labels few: word dropout was best on validation.
    return params | training | {"weight_decay": 0.0, "word_dropout": 0.2 if network == "mlp-80k" else 0.0}


def table_runs() -> list[Run]:
    """All labels: every network, distilled and trained on hard labels."""
    runs = [Run(ALL, name, "distilled", soft(name), seed) for name in NETWORKS for seed in SEEDS]
    return runs + [Run(ALL, name, "hard", hard(name), seed) for name in NETWORKS for seed in SEEDS]


def qr_runs() -> list[Run]:
    """The student that fits one QR code."""
    return [Run(ALL, "bigru-qr", "distilled", soft("bigru-qr"), 0)]


FEW_HARD = {"epochs": 60, "batch_size": 32, "learning_rate": 0.02}
FEW_NETWORKS = ("bigru-80k", "bigru-3k")


def few_runs() -> list[Run]:
    """Few labels; for the first seed also with the full validation split."""
    runs = []
    for setting in FEW:
        for name in FEW_NETWORKS:
            runs += [Run(setting, name, "distilled", soft(name), seed) for seed in SEEDS]
            runs.append(Run(setting, name, "distilled", soft(name), 0, ALL))
            runs += [Run(setting, name, "hard", hard(name) | FEW_HARD, seed) for seed in SEEDS[:3]]
    return runs


def labels_runs() -> list[Run]:
    """From 100 to 16,000 labels, without generated text."""
    runs = []
    for setting in (*CURVE, *FEW):
        for name in FEW_NETWORKS:
            on_labels = hard(name) | (FEW_HARD if setting in (CURVE[0], *FEW) else {})
            trainings = (("distilled", soft(name)), ("hard", on_labels))
            runs += [Run(setting, name, training, params, seed) for training, params in trainings for seed in SEEDS[:3]]
    return runs


POOL = (1000, 2000, 4000, 8000, 16_000, 34_000)  # texts; a few less than all train and unlabelled ones
STEPS = 1400  # as many as ten epochs on all of them


def pool_runs() -> list[Run]:
    """1,000 labels, one sample, and transfer sets of different sizes; the same number of steps for each."""
    runs = []
    for texts in POOL:
        for name in FEW_NETWORKS:
            params = soft(name)
            params["epochs"] = min(100, round(STEPS * params["batch_size"] / texts))
            runs += [Run(FEW[0], name, "distilled", params, seed, texts=texts) for seed in SEEDS[:3]]
    return runs


def parameters_runs() -> list[Run]:
    """Recurrent students from 250 to 80,000 parameters, all labels."""
    names = [name for name in (*NETWORKS, *SIZES) if name.startswith("bigru")]
    return [
        Run(ALL, name, training, params(name), seed)
        for name in names
        for training, params in (("distilled", soft), ("hard", hard))
        for seed in SEEDS[:3]
    ]


# The sources of the transfer set, added one by one, and epochs that make the same number of steps.
ADDED = {
    "soft labels on train": (["train"], 78),
    "+ variants": (["train", "replace", "drop", "splice"], 17),
    "+ generated": (["train", "replace", "drop", "splice", "generated"], 12),
    "+ unlabelled": (list(SOURCES), 10),
}
ABLATED = "bigru-3k"


def ablation_runs() -> list[Run]:
    """One network on hard labels, then on soft labels of more and more sources; frequent and informative words."""
    runs = []
    for words, influence in (("frequent words", 0.0), ("chosen words", 0.9)):
        changes = {"informative_share": influence}
        runs += [Run(ALL, f"hard labels, {words}", "hard", hard(ABLATED) | changes, seed) for seed in SEEDS[:3]]
        for name, (sources, epochs) in ADDED.items():
            params = soft(ABLATED) | changes | {"sources": sources, "epochs": epochs}
            runs += [Run(ALL, f"{name}, {words}", "distilled", params, seed) for seed in SEEDS[:3]]
    return runs


def article(data: Path) -> dict[str, Any]:
    """Return the row of the baseline of Wasserblat 2021: scikit-learn's defaults on the unprepared files.

    16 train texts also occur in validation or test, most with another label. `prepare` removes them, which by itself
    raises the accuracy by a third of a point.
    """
    raw = from_files.read(PrepareParams.load(ROOT / "params.yaml").model_copy(update={"path": str(data)}))
    train, validation, test = (raw.splits[split].rows for split in SPLITS)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(train["text"], train["label"])
    classes, words = model[-1].coef_.shape
    return result(
        Run(ALL, "TF-IDF + logistic regression, files as they are"),
        classes * words + classes + words,
        rows=(len(train), len(validation), len(test)),
        validation=model.score(validation["text"], validation["label"]),
        tested={"accuracy": round(float(model.score(test["text"], test["label"])), 6), "matthews": None},
        command="make benchmark-emotion DATA=$DATA",
    )


# By part: the runs, whether to add the rows of TF-IDF and the teacher, and the function that writes the results.
PARTS = {
    "table": (table_runs, True, tables.emotion),
    "qr": (qr_runs, False, tables.qr),
    "few": (few_runs, True, tables.few),
    "ablation": (ablation_runs, False, tables.ablation),
    "labels": (labels_runs, True, tables.labels),
    "pool": (pool_runs, True, tables.pool),
    "parameters": (parameters_runs, True, tables.parameters),
}


def main() -> None:
    """Run what is missing and write `benchmarks/emotion/` and the tables in docs/results.md."""
    options = parser(__doc__)
    options.add_argument("--part", choices=PARTS, action="append", help="do these alone (default: all)")
    arguments = options.parse_args()
    if not (arguments.data / "train.txt").is_file():
        raise SystemExit(f"error: {arguments.data}: no train.txt in it. Set DATA to the folder that has it.")
    clone = Clone("emotion", arguments.data)
    for part in arguments.part or PARTS:
        print(part, file=sys.stderr)
        runs, compared, write = PARTS[part]
        rows = measure(clone, runs(), arguments.jobs, compared)
        if part == "table":
            rows = [article(arguments.data), *rows]
        files.write_json(RESULTS / f"{'results' if part == 'table' else part}.json", committed(rows))
        write(rows, RESULTS)
    versions = {name: version(name) for name in ("torch", "transformers", "scikit-learn", "numpy", "dvc")}
    files.write_json(RESULTS / "versions.json", versions | {"python": sys.version.split()[0]})


if __name__ == "__main__":
    main()
