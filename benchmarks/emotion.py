"""The article's experiment on the Emotion tweets, and how far it goes. Run it with `make benchmark-emotion`.

`benchmarks/README.md` says how the settings were chosen: on the validation split; the test split is only reported.
Parts can be asked for by name, see `--part`; the committed results are those of all.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import tables
from potstill import files
from potstill.corpus import from_files
from potstill.corpus.dataset import SPLITS
from potstill.params.prepare import PrepareParams
from runs import ROOT, Clone, Run, Setting, committed, measure, parser, result

RESULTS = ROOT / "benchmarks" / "emotion"
SEEDS = range(5)
LABELS = ["sadness", "joy", "love", "anger", "fear", "surprise"]
VARIANTS = {"pool.replace": 1.0, "pool.drop": 0.3, "pool.splice": 0.3}
REAL_TEXT = dict.fromkeys((*VARIANTS, "pool.generated"), 0)


def setting(name: str, **params: Any) -> Setting:
    """The Emotion tweets with the in-domain unlabelled ones."""
    base = {"prepare.unlabelled": ["unlabeled/carer_balanced.txt"], "prepare.label_names": LABELS}
    return Setting(name, base | {key.replace("__", "."): value for key, value in params.items()})


def few(number: int, draw: int, epochs: int) -> Setting:
    """A few labels, drawn with a seed. A quarter as many validation labels, added to them, chooses epochs."""
    drawn = {"prepare__labelled": number, "prepare__validated": number // 4, "prepare__seed": draw}
    return setting(f"{number:,} labels, draw {draw}", **drawn, teacher__epochs=epochs, **REAL_TEXT)


ALL = setting("all labels", **VARIANTS, teacher__epochs=4, teacher__seed=1, pool__generated=1.0)
DRAWS = range(3)
FEW = [few(number, draw, epochs) for number, epochs in ((1000, 12), (200, 40)) for draw in DRAWS]
# Further points, of one draw each, for the curve over the number of labels.
CURVE = [few(100, 0, 60), few(4000, 0, 4), setting("16,000 labels", teacher__epochs=4, teacher__seed=1, **REAL_TEXT)]

MLP = {"architecture": "mlp", "vocab_size": 5000, "hidden": 16, "weight_bits": 8, "fingerprint_bits": 8}
WIDE = {"weight_bits": 8, "fingerprint_bits": 8, "learning_rate": 0.005}
SHARED = {"informative_share": 0.9, "weight_bits": 8, "fingerprint_bits": 8, "learning_rate": 0.02}

# The network, which hard and soft labels share.
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp-80k": {**MLP, "informative_share": 0.6, "max_ngram": 2},
    "mlp-80k-words": {**MLP, "informative_share": 0.0, "max_ngram": 1},  # the article's own
    "bigru-80k": {"vocab_size": 3700, "embedding_dim": 16, "hidden": 48, "informative_share": 0.9, **WIDE},
    "bigru-10k": {"vocab_size": 1500, "embedding_dim": 5, "hidden": 16, "informative_share": 0.9, **WIDE},
    "bigru-3k": {
        "vocab_size": 755,
        "embedding_dim": 3,
        "hidden": 8,
        "informative_share": 0.9,
        "weight_bits": 8,
        "fingerprint_bits": 8,
    },
    "bigru-1k": {"vocab_size": 1100, "embedding_rows": 331, "embedding_dim": 2, "hidden": 6, **SHARED},
    "bigru-500": {"vocab_size": 900, "embedding_rows": 127, "embedding_dim": 2, "hidden": 4, **SHARED},
    "bigru-qr": {
        "vocab_size": 940,
        "embedding_dim": 4,
        "hidden": 10,
        "informative_share": 0.9,
        "weight_bits": 3,
        "fingerprint_bits": 4,
    },
}
# Between and below these, for the curve over the number of parameters.
SIZES: dict[str, dict[str, Any]] = {
    "bigru-30k": {"vocab_size": 2100, "embedding_dim": 10, "hidden": 32, "informative_share": 0.9, **WIDE},
    "bigru-250": {"vocab_size": 700, "embedding_rows": 40, "embedding_dim": 2, "hidden": 3, **SHARED},
}
DROPOUT = {"bigru-80k": 0.3, "bigru-30k": 0.2, "bigru-10k": 0.1}


def soft(network: str) -> dict[str, Any]:
    """A network and its training on soft labels."""
    params = {"architecture": "bigru", **(NETWORKS | SIZES)[network]}
    if params["architecture"] == "mlp":
        # A bag of words learns best from text that somebody might have written, and from rare words in it.
        sources = {"sources": ["train", "unlabelled", "replace", "splice"]}
        return params | {"epochs": 6, "batch_size": 64, "learning_rate": 0.005, "weight_decay": 0.05} | sources
    training = {"epochs": 10, "batch_size": 256, "learning_rate": 0.01}
    return training | params | {"dropout": DROPOUT.get(network, 0.0)}


def hard(network: str) -> dict[str, Any]:
    """The same network and its training on hard labels."""
    params = {"architecture": "bigru", **(NETWORKS | SIZES)[network]}
    mlp = params["architecture"] == "mlp"
    training = {"epochs": 20, "batch_size": 64, "learning_rate": 0.005, "dropout": 0.0 if mlp else 0.3}
    # Pairs are rare and hard labels few: words made unknown at random were best on validation.
    return params | training | {"weight_decay": 0.0, "word_dropout": 0.2 if network == "mlp-80k" else 0.0}


def table_runs() -> list[Run]:
    """All labels: every network distilled and on hard labels."""
    runs = [Run(ALL, name, "distilled", soft(name), seed) for name in NETWORKS for seed in SEEDS]
    return runs + [Run(ALL, name, "hard", hard(name), seed) for name in NETWORKS for seed in SEEDS]


def qr_runs() -> list[Run]:
    """The student of the first seed that fits one QR code."""
    return [Run(ALL, "bigru-qr", "distilled", soft("bigru-qr"), 0)]


FEW_HARD = {"epochs": 60, "batch_size": 32, "learning_rate": 0.02}
FEW_NETWORKS = ("bigru-80k", "bigru-3k")


def few_runs() -> list[Run]:
    """Few labels; for the first seed also what the full validation split would have chosen."""
    runs = []
    for setting in FEW:
        for name in FEW_NETWORKS:
            runs += [Run(setting, name, "distilled", soft(name), seed) for seed in SEEDS]
            runs.append(Run(setting, name, "distilled", soft(name), 0, ALL))
            runs += [Run(setting, name, "hard", hard(name) | FEW_HARD, seed) for seed in SEEDS[:3]]
    return runs


def labels_runs() -> list[Run]:
    """From 100 to 16,000 labels, on real text alone."""
    runs = []
    for setting in (*CURVE, *FEW):
        for name in FEW_NETWORKS:
            on_labels = hard(name) | (FEW_HARD if setting in (CURVE[0], *FEW) else {})
            runs += [Run(setting, name, "distilled", soft(name), seed) for seed in SEEDS[:3]]
            runs += [Run(setting, name, "hard", on_labels, seed) for seed in SEEDS[:3]]
    return runs


POOL = (1000, 2000, 4000, 8000, 16_000, 34_000)  # texts; the train texts and the unlabelled ones are a few more
STEPS = 1400  # as many as ten epochs on all of them


def pool_runs() -> list[Run]:
    """1,000 labels, one draw, and more and more real text for the teacher to label; as many steps for each."""
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


# What the transfer set holds, one source of text after the other; as many steps for each.
SOURCES = {
    "soft labels on train": (["train"], 78),
    "+ variants": (["train", "replace", "drop", "splice"], 17),
    "+ generated": (["train", "replace", "drop", "splice", "generated"], 12),
    "+ unlabelled": (None, 10),
}
ABLATED = "bigru-3k"


def ablation_runs() -> list[Run]:
    """One network: hard labels, then soft ones on more and more text; frequent words, and chosen ones."""
    runs = []
    for words, influence in (("frequent words", 0.0), ("chosen words", 0.9)):
        changes = {"informative_share": influence}
        runs += [Run(ALL, f"hard labels, {words}", "hard", hard(ABLATED) | changes, seed) for seed in SEEDS[:3]]
        for name, (sources, epochs) in SOURCES.items():
            params = soft(ABLATED) | changes | {"sources": sources, "epochs": epochs}
            runs += [Run(ALL, f"{name}, {words}", "distilled", params, seed) for seed in SEEDS[:3]]
    return runs


def article(data: Path) -> dict[str, Any]:
    """The article's step 1: scikit-learn's defaults on the files as they are.

    16 train texts also occur in validation or test, most with another label. `prepare` removes them, as one should;
    that alone lifts the accuracy by a third of a point.
    """
    raw = from_files.read(PrepareParams.load(ROOT / "params.yaml").model_copy(update={"path": str(data)}))
    train, validation, test = (raw.splits[split].rows for split in SPLITS)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(train["text"], train["label"])
    coefficients = model[-1].coef_
    return result(
        ALL,
        "TF-IDF + logistic regression, files as they are",
        coefficients.size + len(coefficients) + coefficients.shape[1],
        rows=(len(train), len(validation), len(test)),
        validation=model.score(validation["text"], validation["label"]),
        tested={"accuracy": round(float(model.score(test["text"], test["label"])), 6), "matthews": None},
        command="make benchmark-emotion DATA=$DATA",
    )


# What is run, whether TF-IDF and the teacher stand beside it, and what is written of it.
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
    """Run what is missing and write `benchmarks/emotion/` and the README's tables."""
    options = parser(__doc__)
    options.add_argument("--part", choices=PARTS, action="append", help="do these alone (default: all)")
    arguments = options.parse_args()
    if not (arguments.data / "train.txt").is_file():
        raise SystemExit(f"error: {arguments.data} holds no train.txt: give the folder, DATA=…")
    clone = Clone("emotion", arguments.data)
    for part in arguments.part or PARTS:
        print(part, file=sys.stderr)
        runs, compared, write = PARTS[part]
        rows = measure(clone, runs(), arguments.jobs, compared)
        if part == "table":
            rows = [article(arguments.data), *rows]
        files.write_json(RESULTS / f"{'results' if part == 'table' else part}.json", committed(rows))
        write(rows, RESULTS)
    packages = ("torch", "transformers", "scikit-learn", "numpy", "dvc")
    versions = {package: version(package) for package in packages}
    files.write_json(RESULTS / "versions.json", versions | {"python": sys.version.split()[0]})


if __name__ == "__main__":
    main()
