"""Logistic regression on TF-IDF: the baseline that a student has to beat."""

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

from potstill.core import files
from potstill.runtime import tokenizer

CONSTANT = 10.0  # log-odds of a label that every train text has, to which no regression can be fitted


def words(text: str) -> list[str]:
    """Split a text into words of at least two letters, as scikit-learn does by default.

    Unlike there, single letters of scripts without spaces, and emoji, are words too.
    """
    return [word for word in tokenizer.words(text) if len(word) > 1 or unicodedata.category(word) in ("Lo", "So")]


class Tfidf:
    """scikit-learn's `TfidfVectorizer` and `LogisticRegression`, saved without pickle.

    For multi-label classification, one logistic regression per label.
    """

    def __init__(self, vectorizer: TfidfVectorizer, classifier: LogisticRegression, multi_label: bool) -> None:
        """Wrap a fitted vectorizer and a fitted classifier, with a row of coefficients per label if `multi_label`."""
        self.vectorizer = vectorizer
        self.classifier = classifier
        self.multi_label = multi_label

    @classmethod
    def fit(cls, train: pd.DataFrame, C: float, class_weight: str | None) -> Self:
        """Fit to labelled texts.

        Args:
            train: a table with `text` and `label`.
            C: inverse regularisation strength.
            class_weight: `balanced`, or None.
        """
        vectorizer = TfidfVectorizer(tokenizer=words, token_pattern=None)
        features = vectorizer.fit_transform(train["text"])
        # With the default of 100 iterations the result is the same, and a warning is raised.
        regression = LogisticRegression(C=C, class_weight=class_weight, max_iter=1000)
        if train["label"].dtype != object:
            return cls(vectorizer, regression.fit(features, train["label"]), multi_label=False)
        targets = MultiLabelBinarizer().fit_transform(train["label"])
        coefficients = np.zeros((targets.shape[1], features.shape[1]))
        intercepts = np.full(targets.shape[1], CONSTANT)
        for label, target in enumerate(targets.T):
            if not target.all():
                regression.fit(features, target)
                coefficients[label], intercepts[label] = regression.coef_[0], regression.intercept_[0]
        return cls(vectorizer, _fitted(coefficients, intercepts, np.arange(len(intercepts))), multi_label=True)

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        """Return probabilities (texts, classes)."""
        features = self.vectorizer.transform(texts)
        if self.multi_label:
            return expit(self.classifier.decision_function(features))
        return self.classifier.predict_proba(features)

    @property
    def parameters(self) -> int:
        """The number of parameters: a weight per word and class, a bias per class, and a frequency per word."""
        return self.classifier.coef_.size + self.classifier.intercept_.size + self.vectorizer.idf_.size

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `vocabulary.json` into a new folder."""
        with files.atomic_write(folder) as part:
            part.mkdir(parents=True)
            weights = {
                "idf": self.vectorizer.idf_,
                "coefficients": self.classifier.coef_,
                "intercepts": self.classifier.intercept_,
                "classes": self.classifier.classes_,
                **({"multi_label": np.ones(1, bool)} if self.multi_label else {}),
            }
            weights = {name: np.ascontiguousarray(value) for name, value in weights.items()}
            save_file(weights, part / "model.safetensors")
            words = self.vectorizer.get_feature_names_out().tolist()
            (part / "vocabulary.json").write_text(json.dumps(words, ensure_ascii=False, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that `save` wrote.

        Raises:
            PotstillError: a file is missing or damaged.
        """
        vocabulary, path = files.read_names(folder / "vocabulary.json"), folder / "model.safetensors"
        vectorizer = TfidfVectorizer(tokenizer=words, token_pattern=None, vocabulary=vocabulary)
        with files.reading(path):
            weights = load_file(path)
            vectorizer.idf_ = weights["idf"]
            classifier = _fitted(weights["coefficients"], weights["intercepts"], weights["classes"])
        return cls(vectorizer, classifier, "multi_label" in weights)


def _fitted(coefficients: Any, intercepts: Any, classes: Any) -> LogisticRegression:
    classifier = LogisticRegression()
    classifier.coef_, classifier.intercept_, classifier.classes_ = coefficients, intercepts, classes
    return classifier
