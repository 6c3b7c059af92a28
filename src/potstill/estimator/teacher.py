"""A teacher as an estimator of scikit-learn, to be used by several classifiers."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from potstill.core import files
from potstill.core.errors import PotstillError, missing_package
from potstill.core.labels import predict_labels, probabilities
from potstill.data.dataset import Dataset
from potstill.estimator.cache import Cache, isolated
from potstill.estimator.inputs import Classes, raw_data
from potstill.estimator.progress import Progress
from potstill.estimator.settings import Settings, seed_of, teacher_settings
from potstill.prepare.assemble import assemble
from potstill.prepare.folds import take_fold
from potstill.readers.tables import RawData
from potstill.runtime.model import as_texts
from potstill.teacher.params import TeacherParams

if TYPE_CHECKING:
    from potstill.estimator.steps import Labeller


def steps() -> Any:
    """Import the steps of a fit, which takes seconds, when they are called for.

    Raises:
        MissingPackageError: a package of the extra `train` is not installed.
    """
    try:
        from potstill.estimator import steps
    except ModuleNotFoundError as error:
        raise missing_package(error.name, "train") from None
    return steps


class Teacher(ClassifierMixin, BaseEstimator):
    """A Transformer that is fine-tuned on labelled texts, as the stage `teacher` does.

    `DistilledClassifier(teacher="minilm")` fine-tunes one by itself. Fit a `Teacher` to use it for several students, or
    to predict with it. A fitted teacher is never fitted again by a classifier, nor cloned: its file is shared. A
    classifier that is cross-validated with a fitted teacher has seen, through it, the texts of all folds.

    Args:
        checkpoint: a preset (`minilm`, `roberta` and others, see `teacher.presets` in `params.yaml`), a folder, an id
            on the Hugging Face hub, or a table of probabilities (.csv, .parquet).
        learning_rate: peak learning rate; None for that of the preset, or 5e-5.
        epochs: fine-tuning epochs; None for as many as the data need.
        class_weight: `balanced`, or None.
        validation_share: share of the texts that is held out for validation. Give `DistilledClassifier` the same
            texts, shares and random state, so that both hold out the same texts.
        test_share: share of the texts that is held out for a test, as in `DistilledClassifier`.
        random_state: seed of the splits, the batches and the classification head. None draws one.
        params: values of other keys of the section `teacher` of `params.yaml`.
        cache_dir: folder for the weights and for checkpoints, from which an interrupted fit resumes; None for a
            temporary folder, which is removed with this object.
        verbose: whether to print a line and show a progress bar.

    Attributes:
        classes_: the classes, in the order of the columns of `predict_proba`.
    """

    def __init__(
        self,
        checkpoint: str = "minilm",
        *,
        learning_rate: float | None = None,
        epochs: int | None = None,
        class_weight: str | None = None,
        validation_share: float = 0.1,
        test_share: float | None = None,
        random_state: Any = 0,
        params: Mapping[str, Any] | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        verbose: bool = True,
    ) -> None:
        self.checkpoint = checkpoint
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.class_weight = class_weight
        self.validation_share = validation_share
        self.test_share = test_share
        self.random_state = random_state
        self.params = params
        self.cache_dir = cache_dir
        self.verbose = verbose

    def fit(self, X: Any, y: Any, *, unlabelled: Any = None, validation: Any = None, test: Any = None) -> Self:
        """Fine-tune on labelled texts.

        Args:
            X: the texts.
            y: their labels, see `DistilledClassifier.fit`.
            unlabelled: texts for masked-language-model training, if `params` sets `mlm_epochs`.
            validation: a pair of texts and labels to hold out, instead of a share of `X`.
            test: such a pair, which is not trained on.

        Raises:
            PotstillError: a parameter or the data are wrong.
        """
        classes = Classes.of(y)
        shares = {"validation_share": self.validation_share, "seed": seed_of(self.random_state)}
        raw = raw_data(classes, X, y, unlabelled, validation, test)
        data, _ = prepared_data(raw, Settings.of(None, prepare=shares | shares_of(self.test_share)), self.test_share)
        cache = Cache(self.cache_dir)
        with isolated():
            folder = steps().prepare(cache, data)
        self._fit(cache, folder, Progress(self.verbose, 1))
        return self.named(classes)

    def named(self, classes: Classes) -> Self:
        """Set the classes as the user writes them."""
        self.classes_, self._classes = classes.values, classes
        return self

    def _fit(self, cache: Cache, prepared: Path, progress: Progress) -> "Labeller":
        """Fine-tune on prepared data."""
        name, params = self._settings_of(seed_of(self.random_state))
        with progress.step("teacher") as said, isolated():
            labeller = steps().fine_tune(cache, prepared, name, params, progress)
            said.append(f"{name}, {files.size(labeller.folder):,} bytes")
        self._cache, self._name, self._folder = cache, name, labeller.folder
        self._settings = params.batch_size, params.precision
        return labeller

    def _settings_of(self, seed: int) -> tuple[str, TeacherParams]:
        """Return the name and the settings."""
        changes = {"class_weight": self.class_weight, "epochs": self.epochs, "seed": seed}
        return teacher_settings(self.checkpoint, self.learning_rate, self.params, changes)

    def _labeller(self) -> "Labeller":
        """Return the fitted teacher for the steps of a classifier."""
        check_is_fitted(self, "_folder")
        if not self._folder.is_dir():
            raise PotstillError(
                f"{self._folder}: the teacher's weights are gone, with the process that fitted it. Fit it again, or "
                "save it (`Teacher.save`) and load it (`Teacher.load`)."
            )
        return steps().labeller(self._name, self._folder, *self._settings)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits, float32 (texts, classes)."""
        texts = as_texts(X)
        with isolated():
            return self._labeller().load().logits(texts)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities, floats (texts, classes), in the order of `classes_`."""
        return probabilities(self.decision_function(X), self._classes.multi_label)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of each text; or an indicator matrix, of the labels with a probability of 0.5 or more."""
        chosen = predict_labels(self.decision_function(X), 0.0 if self._classes.multi_label else None)
        return self._classes.decode(chosen)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the weights, the tokenizer and `teacher.json` into a new folder.

        Raises:
            PotstillError: the folder exists.
        """
        source, target = self._labeller().folder, Path(folder)
        if target.exists():
            raise PotstillError(f"{target}: it exists already. Choose another folder, or remove it.")
        with files.atomic_write(target) as part:
            shutil.copytree(source, part)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Teacher":
        """Return a fitted teacher from a folder that `save` or the stage `teacher` wrote (`models/teacher/minilm`).

        Raises:
            PotstillError: the folder is missing or damaged.
        """
        place = Path(folder).resolve()
        facts = files.read_json(place / "teacher.json")
        labels = files.read_names(place / "teacher.json", "labels")
        made = cls(str(folder))
        made._name, made._folder, made._settings = place.name, place, (32, "auto")
        return made.named(Classes(np.array(labels), labels, bool(facts.get("multi_label"))))

    def __sklearn_clone__(self) -> "Teacher":
        """Return this teacher itself once it is fitted, as `FrozenEstimator` does: fine-tuning takes long."""
        return self if hasattr(self, "_folder") else type(self)(**self.get_params())

    def __getstate__(self) -> dict[str, Any]:
        """Leave the temporary folder to this process; the path stays."""
        return {key: value for key, value in super().__getstate__().items() if key != "_cache"}

    def __sklearn_tags__(self) -> Any:
        return text_tags(super().__sklearn_tags__())


def text_tags(tags: Any) -> Any:
    """Return the tags of an estimator whose input is texts, and whose labels may be an indicator matrix."""
    tags.input_tags.two_d_array, tags.input_tags.string = False, True
    tags.classifier_tags.multi_label = True
    return tags


def shares_of(test_share: float | None) -> dict[str, float]:
    """Return the key of `prepare` that a share of test texts sets, if there is one."""
    return {} if test_share is None else {"test_share": test_share}


def prepared_data(raw: RawData, settings: Settings, test_share: float | None) -> tuple[Dataset, dict[str, Any]]:
    """Return the data as the stage `prepare` makes them, and their counts; without `test_share`, draw no test split.

    Raises:
        PotstillError: the data are wrong, see `take_fold` and `assemble`, or no text has a label that the source names.
    """
    params = settings.prepare
    raw = take_fold(raw, params.fold, params.folds, params.seed) if params.fold else raw
    data, facts = assemble(raw, params, ["validation"] if test_share is None else ["test", "validation"])
    if raw.labels is not None and data.labels != raw.labels:
        missing = next(name for name in raw.labels if name not in data.labels)
        raise PotstillError(f"y: no text has the label {missing!r}. Remove its column, or add texts.")
    return data, facts
