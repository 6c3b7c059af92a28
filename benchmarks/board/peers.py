"""Train a peer, in the peers' environment: `python peers.py KIND TRAIN VALIDATION TARGET SEED OPTION`.

KIND is `fasttext`, with files of its format and the seconds of its search for settings as OPTION, or `model2vec`, with
JSON lists of text and label and the folder of a sentence encoder as OPTION.
"""

import json
import os
import sys
from pathlib import Path


def train_fasttext(train: str, validation: str, target: str, seed: int, seconds: int) -> None:
    """Search for the settings with the best micro-F1 on validation, and save the model trained with them."""
    import fasttext

    settings = {"autotuneValidationFile": validation, "autotuneDuration": seconds, "thread": os.cpu_count()}
    fasttext.train_supervised(train, seed=seed, verbose=0, **settings).save_model(target)


def train_model2vec(train: str, validation: str, target: str, seed: int, checkpoint: str) -> None:
    """Distil a static model from the encoder, fine-tune it with a classifier until validation stops it, and save it."""
    from model2vec.distill import distill
    from model2vec.train import StaticModelForClassification

    splits = [json.loads(Path(path).read_text()) for path in (train, validation)]
    (texts, labels), (held_out, right) = ([list(column) for column in zip(*rows, strict=True)] for rows in splits)
    classifier = StaticModelForClassification.from_static_model(model=distill(checkpoint))
    # 42 is the default seed.
    classifier.fit(texts, labels, X_val=held_out, y_val=right, random_seed=42 + seed)
    classifier.to_pipeline().save_pretrained(target)


def main() -> None:
    """Train the peer that the arguments name."""
    kind, train, validation, target, seed, option = sys.argv[1:]
    if kind == "fasttext":
        train_fasttext(train, validation, target, int(seed), int(option))
    else:
        train_model2vec(train, validation, target, int(seed), option)


if __name__ == "__main__":
    main()
