"""TF-IDF and logistic regression: what a student has to beat to be worth its trouble."""

import json
import unicodedata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MultiLabelBinarizer

from potstill import files
from potstill.runtime import tokenizer

EVERY_TEXT = 10.0  # log-odds of a label that every train text has: there is nothing to fit


def words(text: str) -> list[str]:
    """The words that scikit-learn's default finds, those of two letters or more; and single letters of scripts without
    spaces, and emoji, which it lacks.
    """
    return [word for word in tokenizer.words(text) if len(word) > 1 or unicodedata.category(word) in ("Lo", "So")]


class Tfidf:
    """scikit-learn's `TfidfVectorizer` and `LogisticRegression(C)`, saved without pickle.

    Where a text may have several labels, each has a logistic regression of its own.
    """

    def __init__(self, vectorizer: TfidfVectorizer, classifier: LogisticRegression, multi_label: bool) -> None:
        """Wrap a fitted vectorizer and a fitted classifier, of which `multi_label` takes each row by itself."""
        self.vectorizer = vectorizer
        self.classifier = classifier
        self.multi_label = multi_label

    @classmethod
    def fit(cls, train: pd.DataFrame, C: float, class_weight: str | None) -> Self:
        """Fit on a table with `text` and `label`.

        `C` is the inverse of the regularisation's strength; with the class weight `balanced` all classes count alike.
        """
        vectorizer = TfidfVectorizer(tokenizer=words, token_pattern=None)
        features = vectorizer.fit_transform(train["text"])

        def regression(labels: Any) -> LogisticRegression:
            # More iterations than the default 100 change nothing but the warning that they did not suffice.
            return LogisticRegression(C=C, class_weight=class_weight, max_iter=1000).fit(features, labels)

        if train["label"].dtype != object:
            return cls(vectorizer, regression(train["label"]), multi_label=False)
        targets = MultiLabelBinarizer().fit_transform(train["label"])
        together = LogisticRegression()
        together.classes_ = np.arange(targets.shape[1])
        together.coef_ = np.zeros((targets.shape[1], features.shape[1]))
        together.intercept_ = np.full(targets.shape[1], EVERY_TEXT)
        for label, right in enumerate(targets.T):
            if not right.all():
                fitted = regression(right)
                together.coef_[label], together.intercept_[label] = fitted.coef_[0], fitted.intercept_[0]
        return cls(vectorizer, together, multi_label=True)

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        """Probabilities of shape (texts, classes)."""
        features = self.vectorizer.transform(texts)
        if self.multi_label:
            return expit(self.classifier.decision_function(features))
        return self.classifier.predict_proba(features)

    @property
    def parameters(self) -> int:
        """How many fitted numbers: a weight per word and class, a bias per class, and a frequency per word."""
        return self.classifier.coef_.size + self.classifier.intercept_.size + self.vectorizer.idf_.size

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `vocabulary.json` into a new folder."""
        with files.whole(folder) as part:
            part.mkdir(parents=True)
            weights = {
                "idf": self.vectorizer.idf_,
                "coefficients": self.classifier.coef_,
                "intercepts": self.classifier.intercept_,
                "classes": self.classifier.classes_,
                **({"multi_label": np.ones(1, bool)} if self.multi_label else {}),
            }
            save_file(
                {name: np.ascontiguousarray(value) for name, value in weights.items()},
                part / "model.safetensors",
            )
            words = self.vectorizer.get_feature_names_out().tolist()
            (part / "vocabulary.json").write_text(json.dumps(words, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            PotstillError: a file is missing or damaged.
        """
        vocabulary, path = files.read_names(folder / "vocabulary.json"), folder / "model.safetensors"
        vectorizer = TfidfVectorizer(tokenizer=words, token_pattern=None, vocabulary=vocabulary)
        classifier = LogisticRegression()
        with files.reading(path):
            weights = load_file(path)
            vectorizer.idf_ = weights["idf"]
            classifier.coef_, classifier.intercept_ = weights["coefficients"], weights["intercepts"]
            classifier.classes_ = weights["classes"]
        return cls(vectorizer, classifier, "multi_label" in weights)
