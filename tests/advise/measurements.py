"""Made-up measurements."""

SURE, NONE, WORSE = (0.1, 0.08, 0.12), (0.0, -0.01, 0.01), (-0.1, -0.12, -0.08)


def model(name, training, texts, accuracy):
    scored = {"accuracy": accuracy, "accuracy_low": accuracy - 0.02, "accuracy_high": accuracy + 0.02, "matthews": 0.5}
    return {"name": name, "training": training, "texts": texts, "parameters": 4000, **scored}


def numbers(paired=None, wos=0.1, train_as_unlabelled=False, accuracies=(0.75, 0.8, 0.84)):
    """A made-up measurement. `paired` sets differences: (difference, low, high)."""
    names = {
        "teacher, TF-IDF": SURE,
        "teacher, on half": SURE,
        "bigru, bag": SURE,
        "large bigru, bigru": NONE,
    }
    for student in ("bag", "bigru", "large bigru"):
        names |= {f"{student}, teacher": WORSE, f"{student}, TF-IDF": SURE}
        names |= {f"{student}, on a quarter": SURE, f"{student}, on labels": SURE}
    names |= paired or {}
    sizes = (1500, 3000, 6000)
    models = [
        model("teacher", "hard", 750, 0.8),
        model("teacher", "hard", 1500, 0.9),
        model("TF-IDF", "hard", 1500, 0.6),
    ]
    for name in ("bag", "bigru"):
        models += [model(name, "distilled", *point) for point in zip(sizes, accuracies, strict=True)]
    models.append(model("large bigru", "distilled", 6000, accuracies[-1]))
    rows = {"train": 8000, "unlabelled": 0 if train_as_unlabelled else 20_000, "sample": 1500, "selection": 500}
    return {
        "rows": rows | {"validation": 1000, "transfer": 6000},
        "classes": 2,
        "majority": 0.5,
        "train_as_unlabelled": train_as_unlabelled,
        "models": models,
        "word_order": {"wos": wos, "survived": 1 - wos / 2, "texts": 1000},
        "out_of_vocabulary": {part: {"words": 0.1, "texts": 0.5} for part in ("sample", "all")},
        "paired": {
            name: dict(zip(("difference", "difference_low", "difference_high"), test, strict=True))
            for name, test in names.items()
        },
        "teacher": "minilm",
        "non_inferiority_margin": 0.01,
    }
