"""`DistilledClassifier`: the whole pipeline as an estimator of scikit-learn."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from potstill.core.errors import PotstillError, join_names
from potstill.core.labels import predict_labels
from potstill.data.dataset import Dataset
from potstill.estimator.cache import Cache, isolated
from potstill.estimator.inputs import Classes, raw_data
from potstill.estimator.progress import Progress
from potstill.estimator.settings import Settings, check_used, renamed, seed_of
from potstill.estimator.teacher import Teacher, prepared_data, shares_of, steps, text_tags
from potstill.evaluate.next_steps import Commands, Step
from potstill.evaluate.table import markdown
from potstill.evaluate.verdict import Verdict
from potstill.export.params import GuaranteeParams
from potstill.prepare import label_files
from potstill.prepare.folds import take_fold
from potstill.readers.tables import RawData
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import as_texts

STEPS = 6
# What messages call the parameters.
_PROMISE = [f"guarantee.{key}" for key in GuaranteeParams.model_fields]
KEYS = {f"export.{key}": key for key in [*_PROMISE, "guarantee"]} | {
    f"prepare.{key}": key for key in ("validation_share", "test_share", "folds")
}
# Keys that `params` cannot set, and what does.
INSTEAD = dict.fromkeys(("label.teachers", "teacher.checkpoints"), "Set `teacher`") | dict.fromkeys(
    ("prepare.path", "prepare.source"), "Give the texts to `fit`"
)
REAL_ONLY = dict.fromkeys(("replace", "borrow", "drop", "splice", "generated"), 0)


@dataclass(frozen=True)
class Evaluation:
    """How a classifier compares with its teacher and with simpler models.

    Attributes:
        verdict: whether the student should ship, with the reasons; print it.
        next_steps: what to do next, the best first.
        scores: a dictionary of scores per model: `tfidf`, `hard` (the network on hard labels), `student`, and the
            teacher. Of a fit without labels there are only the last two; without test labels, their `accuracy` is their
            agreement with the teacher.
    """

    verdict: Verdict
    next_steps: Sequence[Step]
    scores: Sequence[Mapping[str, Any]]

    def __str__(self) -> str:
        step = f"\nNext: {self.next_steps[0].text}:\n    {self.next_steps[0].command}\n"
        return f"{self.verdict}\n{step}\n{markdown(list(self.scores))}"


@dataclass(frozen=True)
class PythonCommands:
    """What to type next in Python."""

    def use(self) -> list[Step]:  # noqa: D102
        return [Step("Write the model file, an ONNX model and a card", 'clf.export("out/")')]

    def teacher(self, name: str) -> str:  # noqa: D102
        return f"clf.set_params(teacher={name!r}).fit(texts, labels, unlabelled=unlabelled)"

    def rung(self, name: str) -> str:  # noqa: D102
        return f"clf.set_params(rung={name!r}).fit(texts, labels, unlabelled=unlabelled)"

    def unlabelled(self, number: int) -> str:  # noqa: D102
        return "clf.fit(texts, labels, unlabelled=more_texts)"

    def rows(self, split: str, number: int) -> str:  # noqa: D102
        if split == "test":
            return "clf.evaluate(more_texts, more_labels)"
        return "clf.fit(more_texts, more_labels, unlabelled=unlabelled)"

    def cross_validate(self) -> str:  # noqa: D102
        return "clf.cross_validate(texts, labels, unlabelled=unlabelled)"

    def labels(self) -> str:  # noqa: D102
        return "clf.evaluate(labelled_texts, labels)"

    def train(self) -> str:  # noqa: D102
        return "clf.fit(labelled_texts, labels, unlabelled=texts)"

    def to_label(self) -> str | None:  # noqa: D102
        return None

    def table(self) -> str:  # noqa: D102
        return "clf.evaluate(texts_with_probabilities, labels)"


class _AfterFolds(PythonCommands):
    """What to type next in Python after a cross-validation."""

    def use(self) -> list[Step]:
        return [Step("Fit it on all texts", "clf.fit(texts, labels, unlabelled=unlabelled)")]

    def rows(self, split: str, number: int) -> str:
        return "clf.cross_validate(more_texts, more_labels, unlabelled=unlabelled)"


class DistilledClassifier(ClassifierMixin, BaseEstimator):
    """A tiny text classifier, distilled from a large one as `dvc repro` does.

    `fit` fine-tunes a teacher on the labelled texts, has it label the transfer set (the texts, the unlabelled ones, and
    variants of them), and takes the smallest student of the ladder that keeps the teacher's accuracy on held-out texts.
    On the same data, parameters and seed it is the same student, to the byte, as that of the pipeline.

    Args:
        teacher: a preset (`minilm`, `roberta` and others), a folder, an id on the Hugging Face hub, a `Teacher` (a
            fitted one is used as it is), or a function of a list of texts that returns their probabilities, an array
            (texts, classes) with the columns in ascending order of the classes.
        rung: `auto`: the smallest rung that keeps the teacher's accuracy; or the name of a rung of the ladder (`qr`,
            `small`, `medium`, `large`, `transformer`, `quantized`).
        class_weight: `balanced`: weight each text by n / (k · n_c) when teacher and baselines are trained; or None.
        validation_share: share of the texts that is held out to choose and to calibrate the student.
        test_share: share of the texts that is held out too, for `evaluate` without arguments; None for none.
        guarantee: what to promise on the texts that the student answers, such as `{"agreement": 0.98}`, see
            `export.guarantee` in `params.yaml`; None for nothing.
        random_state: seed of all that is random. None draws one from NumPy's global random state.
        params: values of other parameters by section of `params.yaml`, such as `{"student": {"tolerance": 0.01}}`.
        cache_dir: folder for the results of all steps: an interrupted fit resumes, and fits that share a step (as in
            `GridSearchCV` over `rung`) do it once. Keep it as private as the texts. None for a temporary folder, which
            is removed with this object.
        verbose: whether to print a line for each step, and show progress bars.

    Attributes:
        classes_: the classes, in the order of the columns of `predict_proba`.
        student_: the student, see `potstill.Student`.
        ladder_: a dictionary for each rung of the ladder: its status, size and accuracy on validation.
        teacher_: the teacher that was fitted or given; none in an unpickled classifier.

    References:
        Hinton et al., Distilling the Knowledge in a Neural Network (2015), arXiv 1503.02531.
    """

    def __init__(
        self,
        teacher: Any = "minilm",
        *,
        rung: str = "auto",
        class_weight: str | None = None,
        validation_share: float = 0.1,
        test_share: float | None = None,
        guarantee: Mapping[str, Any] | None = None,
        random_state: Any = 0,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        verbose: bool = True,
    ) -> None:
        self.teacher = teacher
        self.rung = rung
        self.class_weight = class_weight
        self.validation_share = validation_share
        self.test_share = test_share
        self.guarantee = guarantee
        self.random_state = random_state
        self.params = params
        self.cache_dir = cache_dir
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        label_names: Sequence[str] | None = None,
        unlabelled: Any = None,
        validation: Any = None,
        test: Any = None,
    ) -> Self:
        """Find a student.

        Args:
            X: the texts: a list, a NumPy array, or a column of pandas, Polars, Arrow or `datasets`.
            y: their labels: strings, integers or booleans (texts,). For multi-label classification, as in scikit-learn,
                an indicator matrix (texts, labels), whose columns a data frame names; `MultiLabelBinarizer` makes one
                of lists of names. None if nobody has labelled the texts.
            label_names: without `y`, the names of the classes to choose among. The teacher then compares texts with
                these names and trains itself, or is a function; the student is measured by its agreement with it.
            unlabelled: more texts, for the teacher to label. The more, the better the student.
            validation: a pair of texts and labels to hold out instead of `validation_share`.
            test: the same instead of `test_share`. Texts of `X` that are in it are not learned from.

        Returns:
            Itself.

        Raises:
            PotstillError: a parameter or the data are wrong.
            ValueError: `y` is of a kind that scikit-learn does not accept.
            TypeError: a text is missing or is not a string.
        """
        if (y is None) == (label_names is None):
            raise PotstillError("fit: give either `y`, the labels of the texts, or `label_names` to choose among.")
        if y is None and validation is not None:
            raise PotstillError("fit: `validation` has labels, and the texts have none. Give them as `test`.")
        classes = Classes.of(y) if label_names is None else Classes.to_choose(label_names)
        return self.fit_tables(raw_data(classes, X, y, unlabelled, validation, test), classes)

    def fit_soft(
        self, X: Any, probabilities: Any, *, multi_label: bool = False, validation: Any = None, test: Any = None
    ) -> Self:
        """Find a student of probabilities from elsewhere, such as an LLM's; no teacher is fine-tuned.

        The most probable class of a text, or the labels with a probability of 0.5 or more, count as its true labels
        where texts are held out.

        Args:
            X: the texts.
            probabilities: floats (texts, classes), whose columns a data frame names; otherwise classes are 0, 1, ….
            multi_label: whether each label has a probability of its own.
            validation: a pair of texts and true labels to choose the student on, instead of a share of `X`.
            test: such a pair for `evaluate`.

        Returns:
            Itself.

        Raises:
            PotstillError: a parameter, the data or the shape are wrong, or a row is no probability distribution.
        """
        if len(np.shape(probabilities)) != 2:
            shape = np.shape(probabilities)
            raise PotstillError(f"probabilities: of shape {shape}. Give one row per text, one column per class.")
        names = [str(name) for name in getattr(probabilities, "columns", range(np.shape(probabilities)[1]))]
        texts = as_texts(X)
        soft = steps().as_probabilities(probabilities, len(texts), names)
        if np.isnan(soft).any() or (not multi_label and not steps().sum_to_one(soft)):
            raise PotstillError("probabilities: each row must sum to one, with no number missing. Correct them.")
        values = np.array(names) if hasattr(probabilities, "columns") else np.arange(len(names))
        classes = Classes(values, names, multi_label)
        labels = classes.decode(soft >= 0.5 if multi_label else soft.argmax(1))
        known = pd.DataFrame(soft, columns=names)
        known.insert(0, "text", pd.Series(texts, dtype="str"))
        return self.fit_tables(raw_data(classes, texts, labels, None, validation, test), classes, soft=known)

    def fit_tables(self, raw: RawData, classes: Classes | None = None, soft: pd.DataFrame | None = None) -> Self:
        """Find a student, given the tables of a source, such as `prepare.from_files.read` returns.

        Args:
            raw: the tables.
            classes: what labels are called in Python; None takes the names in the tables.
            soft: probabilities from elsewhere in place of a teacher: the column `text`, and one for each class.
        """
        with renamed(KEYS):
            self._run(raw, classes, soft)
        return self

    def estimate(self, raw: RawData) -> Any:
        """Estimate how long `fit_tables` will take."""
        from potstill.estimator.estimate import estimate

        seed = seed_of(self.random_state)
        settings = self._settings(seed, raw, soft=False)
        _, teacher = Teacher(**self._of_teacher(seed))._settings_of(seed)
        with renamed(KEYS), isolated():
            return estimate(prepared_data(raw, settings, self.test_share)[0], teacher, settings)

    def _settings(self, seed: int, raw: RawData, soft: bool) -> Settings:
        """Return the settings of all steps but that of the teacher."""
        check_used(self.params, INSTEAD)
        seeds: dict[str, Any] = {"seed": seed}
        names = {} if "label" in raw.splits["train"].rows else {"label": None, "label_names": raw.labels}
        return Settings.of(
            {key: keys for key, keys in (self.params or {}).items() if key != "teacher"},
            prepare=seeds | names | {"validation_share": self.validation_share} | shares_of(self.test_share),
            baseline=seeds | {"class_weight": self.class_weight},
            pool=seeds | (REAL_ONLY if soft else {}),
            student=seeds | {"rung": self.rung},
            export={} if self.guarantee is None else {"guarantee": self.guarantee},
        )

    def _of_teacher(self, seed: int) -> dict[str, Any]:
        """Return the parameters of the teacher that is named."""
        given = {"params": (self.params or {}).get("teacher"), "class_weight": self.class_weight}
        return given | {"checkpoint": os.fspath(self.teacher), "random_state": seed}

    def _run(self, raw: RawData, classes: Classes | None, soft: pd.DataFrame | None) -> None:
        run, seed = steps(), seed_of(self.random_state)
        settings = self._settings(seed, raw, soft is not None)
        progress, cache = Progress(self.verbose, STEPS), Cache(self.cache_dir)
        with progress.step("prepare") as said:
            data, facts = prepared_data(raw, settings, self.test_share)
            prepared = run.prepare(cache, data)
            rows = {name: len(data.split(name)) for name in ("train", "validation", "test", "unlabelled")}
            said.append(", ".join(f"{number:,} {name}" for name, number in rows.items() if number))
            said += [f"({label_files.describe(facts['given'])})"] if "given" in facts else []
        teacher = self._make_teacher(cache, prepared, data, seed, soft, progress)
        with progress.step("pool") as said, isolated():
            pool = run.collect(cache, prepared, settings)
            said.append(f"{run.count(pool):,} texts for the teacher to label")
        with progress.step("label") as said, isolated():
            predictions = run.predict_splits(cache, prepared, teacher)
            ensemble = run.transfer_set(cache, prepared, pool, teacher, settings, progress)
            said.append(f"{run.count(ensemble):,} texts labelled by {teacher.name}")
        with progress.step("student") as said, isolated():
            found, trained = run.find_student(cache, prepared, ensemble, teacher, predictions, settings, progress)
            said.append(f"{found.rung}, {100 * found.result.row.validation_accuracy:.1f}% on validation")
        with progress.step("export") as said:
            export = run.export(prepared, ensemble, trained, teacher, predictions, settings)
            said.append(f"{len(export.student.to_bytes()):,} bytes, temperature {export.student.temperature:g}")
            if promise := Guarantee.of(export.student.facts):
                said.append(str(promise))
        self._classes = classes or Classes(np.array(data.labels), data.labels, data.multi_label)
        if hasattr(self, "teacher_"):
            self.teacher_.named(self._classes)
        self.classes_, self.student_, self._sources = self._classes.values, export.student, dict(export.sources)
        self.ladder_ = [asdict(row) for row in found.ladder]
        self._fitted = run.Fitted(
            cache,
            settings,
            prepared,
            teacher,
            predictions,
            self.ladder_,
            drawn="test" not in raw.splits,
            held_out=export.held_out,
        )

    def _make_teacher(
        self, cache: Cache, prepared: Path, data: Dataset, seed: int, soft: pd.DataFrame | None, progress: Progress
    ) -> Any:
        """Return the teacher for the steps; fine-tune it unless it is there."""
        run = steps()
        self.__dict__.pop("teacher_", None)
        if "teacher" in (self.params or {}) and not isinstance(self.teacher, str | os.PathLike):
            raise PotstillError("params: the section `teacher` is set, and the teacher is not a name. Remove one.")
        if soft is None and isinstance(self.teacher, str | os.PathLike | Teacher):
            made = self.teacher
            if not isinstance(made, Teacher):
                made = Teacher(**self._of_teacher(seed))
            made = clone(made)
            self.teacher_ = made
            if not hasattr(made, "_folder"):
                return made._fit(cache, prepared, progress)
            if made._classes.names != data.labels:
                found = f"{join_names(made._classes.names)} instead of {join_names(data.labels)}"
                raise PotstillError(f"teacher: it was fitted on other classes ({found}). Fit it on these texts.")
        with progress.step("teacher") as said:
            if soft is not None:
                labeller = run.keep_probabilities(cache, prepared, soft)
            elif isinstance(self.teacher, Teacher):
                labeller = self.teacher_._labeller()
            elif callable(self.teacher):
                labeller = run.wrap(cache, prepared, self.teacher)
            else:
                kind = type(self.teacher).__name__
                advice = "its method predict_proba" if hasattr(self.teacher, "predict_proba") else "a function"
                raise PotstillError(f"teacher: of type {kind}. Give a name, a folder, a Teacher, or {advice}.")
            said.append(labeller.name)
        return labeller

    def predict(self, X: Any, *, abstain: bool = False) -> np.ndarray:
        """Return the class of each text (texts,); or for multi-label tasks an indicator matrix (texts, labels).

        Args:
            X: the texts.
            abstain: whether to return None for texts that the guarantee does not cover; the classes are objects then.

        Raises:
            PotstillError: it is to abstain, and there is no guarantee.
        """
        check_is_fitted(self, "student_")
        if abstain:
            promise, scores = Guarantee.required(self.student_.facts, "abstain"), self.predict_proba(X)
            chosen = self._classes.decode(scores.argmax(1)).astype(object)
            chosen[~promise.answers(scores)] = None
            return chosen
        return self._classes.decode(predict_labels(self.predict_proba(X), self.student_.thresholds))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return calibrated probabilities, float32 (texts, classes), in the order of `classes_`."""
        check_is_fitted(self, "student_")
        return self.student_.predict_proba(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return calibrated logits, float32 (texts, classes)."""
        check_is_fitted(self, "student_")
        return self.student_.decision_function(X)

    def in_scope(self, X: Any) -> np.ndarray:
        """Return whether each text is like those of `fit`, booleans (texts,); False is "none of these".

        Raises:
            PotstillError: the section `export` of `params` has no `scope`.
        """
        check_is_fitted(self, "student_")
        return self.student_.in_scope(X)

    def evaluate(self, X: Any = None, y: Any = None, *, commands: Commands | None = None) -> Evaluation:
        """Compare the student with its teacher, and with models that are trained without one, on test texts.

        The first call also trains these models.

        Args:
            X: test texts, which the classifier was not fitted on. None for the test split of `fit`.
            y: their labels. May be None for a classifier that was fitted without labels.
            commands: what the next steps say to type; None for Python.

        Raises:
            PotstillError: there are no test texts, or the classifier was unpickled, and has no teacher.
        """
        check_is_fitted(self, "student_")
        if not hasattr(self, "_fitted"):
            raise PotstillError("evaluate: an unpickled classifier has no teacher to compare with. Fit it again.")
        if X is None and not self.student_.facts["rows"].get("test"):
            raise PotstillError("evaluate: no test texts. Give some, or set `test_share` before `fit`.")
        run = steps()
        with isolated():
            test = None if X is None else run.test_table(self._fitted, self._classes, X, y)
            return Evaluation(*run.evaluate(self._fitted, self.student_, test, commands or PythonCommands()))

    def cross_validate(self, X: Any, y: Any, *, folds: int = 5, unlabelled: Any = None) -> Evaluation:
        """Evaluate on all texts: each fold is predicted by models that are trained on the others, teacher included.

        For few labelled texts, of which a test split would leave too few to decide. It takes `folds` times as long as
        `fit`, and leaves this classifier as it is: `fit` it on all texts afterwards. The intervals treat the
        predictions of all folds as those of one model.

        Args:
            X: the texts.
            y: their labels, see `fit`.
            folds: the number of folds, at least 2. More: more texts to learn from in each, longer run.
            unlabelled: more texts, for the teacher to label.

        Raises:
            PotstillError: a parameter or the data are wrong, or the teacher is fitted, perhaps on these texts.
            ValueError: `y` is of a kind that scikit-learn does not accept.
            TypeError: a text is missing or is not a string.
        """
        return self.cross_validate_tables(raw_data(Classes.of(y), X, y, unlabelled), folds, _AfterFolds())

    def cross_validate_tables(self, raw: RawData, folds: int, commands: Commands) -> Evaluation:
        """Evaluate as `cross_validate` does, given the tables of a source.

        Args:
            raw: the tables, without a test split.
            folds: the number of folds.
            commands: what the next steps say to type.
        """
        run, seed = steps(), seed_of(self.random_state)
        from potstill.teacher.continuation import is_teacher

        fitted = isinstance(self.teacher, Teacher) and hasattr(self.teacher, "_folder")
        if fitted or (isinstance(self.teacher, str | os.PathLike) and is_teacher(Path(self.teacher))):
            raise PotstillError(
                "teacher: it is fitted, perhaps on these texts. Give its name, for a fit in every fold."
            )
        if folds < 2:
            raise PotstillError(f"folds: must be at least 2 (found: {folds}). Give more.")
        found = []
        for number in range(1, folds + 1):
            Progress(self.verbose, folds).say(f"fold {number} of {folds}")
            made = clone(self).set_params(random_state=seed, test_share=None)
            with renamed(KEYS):
                made.fit_tables(take_fold(raw, number, folds, seed))
            with isolated():
                found.append(run.fold(made._fitted, made.student_))
        return Evaluation(*run.judge(found, made._fitted, commands))

    def export(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model file, an ONNX model and a card into a folder, which is made if it is missing.

        Args:
            folder: the folder.
            overwrite: whether files of the same names may be replaced.

        Raises:
            PotstillError: a file exists, and `overwrite` is false; or the folder is a file.
        """
        check_is_fitted(self, "student_")
        place = Path(folder)
        made = steps().Export(self.student_, self._sources)
        for name in made.names:
            if (place / name).exists() and not overwrite:
                raise PotstillError(f"{place / name}: it exists already. Choose another folder, or set overwrite=True.")
        if place.exists() and not place.is_dir():
            raise PotstillError(f"{place}: not a folder. Name one for the files.")
        place.mkdir(parents=True, exist_ok=True)
        made.save(place)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the student as the bytes of its model file, and neither texts nor the teacher's weights."""
        return {key: value for key, value in super().__getstate__().items() if key not in ("_fitted", "teacher_")}

    def __sklearn_tags__(self) -> Any:
        return text_tags(super().__sklearn_tags__())
