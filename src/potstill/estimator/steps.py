"""The steps of a fit: each calls the function that the stage of its name calls, and keeps the result in a cache."""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import potstill
from potstill.baseline.fit import fit as fit_baselines
from potstill.core import files, tracking
from potstill.core.errors import PotstillError
from potstill.core.labels import is_answered, probabilities
from potstill.data import transfer
from potstill.data.clean import comparison_keys
from potstill.data.dataset import NO_LABEL, Dataset
from potstill.engine import local, shards
from potstill.estimator.cache import Cache, code_key
from potstill.estimator.inputs import Classes
from potstill.estimator.progress import Progress, silent
from potstill.estimator.settings import Settings, teacher_name
from potstill.evaluate.compare import Model, compare
from potstill.evaluate.decision import decide, with_thresholds
from potstill.evaluate.folds import Fold, judge_folds
from potstill.evaluate.metrics.measures import HeldOut
from potstill.evaluate.models import small_models
from potstill.evaluate.next_steps import Commands, Step
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.verdict import Verdict
from potstill.export.build import Export, build
from potstill.label.logits import FILE as LOGITS
from potstill.label.logits import label
from potstill.pool import vocabulary
from potstill.pool.build import build as build_pool
from potstill.runtime.model import as_texts
from potstill.scoring import hub, model, table
from potstill.scoring.ensemble import merge
from potstill.scoring.model import Teacher as Scorer
from potstill.student.params import BY_HAND
from potstill.student.search import Found, read, search
from potstill.teacher import make
from potstill.teacher.params import TeacherParams
from potstill.teacher.table import is_table

POOL = "pool.parquet"
FUNCTION = "function"  # the kind of a teacher that only this process can call
Function = Callable[[list[str]], Any]


@dataclass(frozen=True)
class Labeller:
    """A teacher whose folder and predictions are there.

    Attributes:
        name: its name in the facts of the student.
        folder: its folder, see `scoring.model.load`.
        load: loads it.
    """

    name: str
    folder: Path
    load: Callable[[], Scorer]


@dataclass(frozen=True)
class FunctionTeacher(Scorer):
    """A teacher that is a function of the user's.

    Attributes:
        function: takes a list of texts, and returns probabilities (texts, classes) in the order of `labels`, or a data
            frame with a column for each.
        multi_label: whether each label has a probability of its own.
    """

    function: Function
    multi_label: bool

    def score(self, texts: list[str]) -> tuple[np.ndarray, int]:  # noqa: D102
        if not texts:
            return np.empty((0, len(self.labels)), np.float32), 0
        found = as_probabilities(self.function(texts), len(texts), self.labels)
        if not self.multi_label and not sum_to_one(found[is_answered(found)]):
            raise PotstillError("teacher: probabilities of a text that do not sum to one. Divide them by their sum.")
        return table.log_odds(found, self.multi_label), 0

    def __call__(self, texts: pa.Array) -> tuple[pa.Table, dict[str, int]]:
        """Label a shard, as `label.logits.Labeller` does."""
        logits, cut = self.score(texts.to_pylist())
        return pa.table(list(logits.T), names=self.labels), {"cut": cut}


def labeller(name: str, folder: Path, batch_size: int, precision: str) -> Labeller:
    """Return a teacher that is there."""
    return Labeller(name, folder, partial(model.load, folder, batch_size, precision))


def as_probabilities(values: Any, texts: int, labels: Sequence[str]) -> np.ndarray:
    """Return what a teacher of the user's gives as floats (texts, classes), with NaN for texts without an answer.

    Raises:
        PotstillError: the shape is wrong, or a number is no probability.
    """
    if hasattr(values, "columns"):
        columns = [str(column) for column in values.columns]
        if set(columns) != set(labels):
            raise PotstillError(f"teacher: columns {columns} instead of the classes {list(labels)}. Name them alike.")
        values = values[[column for label in labels for column in values.columns if str(column) == label]].to_numpy()
    found = np.asarray(values, float)
    if found.shape != (texts, len(labels)):
        raise PotstillError(
            f"teacher: an array of shape {found.shape} for {texts} texts and {len(labels)} classes. Return one row of "
            "probabilities per text, one column per class, in the order of `classes_`."
        )
    if not (((found >= 0) & (found <= 1)) | np.isnan(found)).all():
        raise PotstillError("teacher: a number that is not a probability. Return numbers from 0 to 1.")
    return found


def sum_to_one(probabilities: np.ndarray) -> bool:
    """Return whether the probabilities of each text, (texts, classes), sum to one, but for rounding."""
    return bool((abs(probabilities.sum(1) - 1) <= 0.01).all())


def prepare(cache: Cache, data: Dataset) -> Path:
    """Keep the prepared data, and return their folder."""
    with tempfile.TemporaryDirectory(dir=cache.folder) as scratch:
        data.save(Path(scratch) / "prepared")
        key = files.sha256(Path(scratch) / "prepared")
    return cache.get("prepared", data.save, key)


def fine_tune(cache: Cache, prepared: Path, name: str, params: TeacherParams, progress: Progress) -> Labeller:
    """Make a teacher as the stage `teacher` does."""
    preset = params.presets[name]
    source = Path(preset.checkpoint if is_table(preset.checkpoint) else hub.find(preset.checkpoint))
    settings = params.model_dump_json(exclude={"checkpoints", "presets"})
    shown = make.Progress(_no_curves, silent, progress.verbose, silent)

    def write(folder: Path) -> None:
        folder.mkdir()
        make.make(folder, prepared, name, params, cache.folder / "fine-tuning", shown)

    with files.reading(source):
        hashes = files.sha256(source), files.sha256(prepared)
    folder = cache.get("teacher", write, settings, preset, *hashes, version("transformers"), potstill.__version__)
    return labeller(name, folder, params.batch_size, params.precision)


def _no_curves() -> AbstractContextManager[make.Log]:
    return nullcontext(silent)


def keep_probabilities(cache: Cache, prepared: Path, known: pd.DataFrame) -> Labeller:
    """Make a teacher of a table: the column `text`, and one of probabilities for each label."""
    data = Dataset.load(prepared, unlabelled=False)

    def write(folder: Path) -> None:
        folder.mkdir()
        make.save_table(folder, known, data)

    folder = cache.get("teacher", write, pd.util.hash_pandas_object(known).sum(), files.sha256(prepared))
    return Labeller("probabilities", folder, partial(model.load, folder))


def wrap(cache: Cache, prepared: Path, function: Function) -> Labeller:
    """Make a teacher of a function; its answers are kept for a function of the same code, see `code_key`."""
    data = Dataset.load(prepared, unlabelled=False)
    name = teacher_name(getattr(function, "__name__", type(function).__name__))
    code = code_key(function)

    def write(folder: Path) -> None:
        folder.mkdir()
        files.write_json(folder / "teacher.json", {"kind": FUNCTION, "labels": data.labels, "code": code})

    folder = cache.get("teacher", write, code, data.labels)
    return Labeller(name, folder, partial(FunctionTeacher, data.labels, None, function, data.multi_label))


def predict_splits(cache: Cache, prepared: Path, teacher: Labeller) -> Path:
    """Return the folder of a teacher's logits for validation and test."""

    def write(folder: Path) -> None:
        folder.mkdir()
        make.predict_splits(teacher.load(), Dataset.load(prepared, unlabelled=False), folder)

    return cache.get("predictions", write, files.sha256(teacher.folder), files.sha256(prepared))


def collect(cache: Cache, prepared: Path, settings: Settings) -> Path:
    """Collect the texts of the transfer set as the stage `pool` does, and return the folder of `POOL`."""
    params = settings.pool

    def write(folder: Path) -> None:
        folder.mkdir()
        foreign = vocabulary.words(hub.find(params.vocab_checkpoint)) if params.borrow else []
        build_pool(prepared, folder / POOL, params, foreign)

    return cache.get("pool", write, params.model_dump_json(), files.sha256(prepared), potstill.__version__)


def transfer_set(
    cache: Cache, prepared: Path, pool: Path, teacher: Labeller, settings: Settings, progress: Progress
) -> Path:
    """Label the pool as the stages `label` and `ensemble` do, and return the folder of the transfer set."""
    params, scratch = settings.label, cache.folder / "labelling"
    hashes = files.sha256(teacher.folder), files.sha256(pool)

    def write_labels(folder: Path) -> None:
        with progress.bar(count(pool), "text", f"label with {teacher.name}") as bar:
            if model.kind(teacher.folder) != FUNCTION:
                label(teacher.folder, pool / POOL, folder, params, scratch, bar.update)
                return
            folder.mkdir()
            place = scratch / files.cache_key(*hashes)
            _label_by_function(teacher.load(), pool / POOL, folder / LOGITS, place, bar.update)

    def write(folder: Path) -> None:
        folder.mkdir()
        multi_label = Dataset.load(prepared, unlabelled=False).multi_label
        written, _ = merge(pool / POOL, [labels / LOGITS], folder, multi_label)
        if not written or not transfer.sources(folder):
            raise PotstillError(f"{teacher.name}: no probabilities for any text of the pool. Give some.")

    labels = cache.get("label", write_labels, *hashes, params.precision, params.batch_size)
    return cache.get("ensemble", write, files.sha256(labels), hashes[1])


def _label_by_function(
    teacher: Any, pool: Path, target: Path, scratch: Path, progress: Callable[[int], object]
) -> None:
    """Label in this process, and resume after the shards that an earlier call has finished."""
    task = shards.Task(teacher, ["text"], str(scratch), files.sha256(pool), counts=("cut",))
    done = shards.process(task, shards.plan([str(pool)], ["text"]), partial(local.each, processes=1), progress)
    shards.gather(task, done, target)
    shutil.rmtree(scratch)


def count(folder: Path) -> int:
    """Return the number of texts of a pool or a transfer set."""
    return pa.parquet.read_metadata(folder / POOL).num_rows


def find_student(
    cache: Cache,
    prepared: Path,
    ensemble: Path,
    teacher: Labeller,
    predictions: Path,
    settings: Settings,
    progress: Progress,
) -> tuple[Found, Path]:
    """Search the student as the stage `student` does; return also the folder with its files."""
    paths = [teacher.folder], [predictions / "validation.csv"]
    inputs = read(prepared, ensemble, *paths, cache.folder / "student", silent)
    rungs = settings.student.candidates()
    with progress.bar(len(rungs), "student", "student") as bar:

        def tell(line: str) -> None:
            progress.say(f"      {line}")
            bar.update(line.partition(":")[0] in {*rungs, BY_HAND})

        found = search(inputs, settings.student, tell)
    folder = cache.place("found", inputs.key, settings.student.model_dump_json())
    found.save(folder)
    return found, folder


def export(
    prepared: Path, ensemble: Path, trained: Path, teacher: Labeller, predictions: Path, settings: Settings
) -> Export:
    """Calibrate the student and collect its facts, as the stage `export` does."""
    return build(trained, prepared, ensemble, {teacher.name: predictions}, settings.export)[0]


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves for an evaluation.

    Attributes:
        cache: with the files.
        settings: the settings.
        prepared: the folder of the prepared data.
        teacher: the teacher.
        predictions: the folder of its predictions.
        ladder: the rows of the ladder.
        drawn: whether the test split was drawn from the train texts.
        held_out: what was measured on held-out unlabelled texts.
    """

    cache: Cache
    settings: Settings
    prepared: Path
    teacher: Labeller
    predictions: Path
    ladder: list[Mapping[str, Any]]
    drawn: bool
    held_out: HeldOut | None


def test_table(fitted: Fitted, classes: Classes, X: Any, y: Any) -> pd.DataFrame:
    """Return test texts and labels as a split of a `Dataset`; warn if the classifier was fitted on some."""
    if y is None:
        if Dataset.load(fitted.prepared, unlabelled=False).is_labelled("train"):
            raise PotstillError("evaluate: the texts have no labels, unlike those of `fit`. Give them as `y`.")
        texts = [text for text in as_texts(X) if text.strip()]
        return pd.DataFrame({"text": pd.Series(texts, dtype="str"), "label": NO_LABEL})
    rows = classes.table(X, y, "test").rows
    ids = {name: id_ for id_, name in enumerate(classes.names)}
    found = [sorted(ids[name] for name in held) if classes.multi_label else ids[held] for held in rows["label"]]
    table = pd.DataFrame({"text": rows["text"].astype("str"), "label": found})
    data = Dataset.load(fitted.prepared, unlabelled=False)
    learned = comparison_keys(pd.concat([data.train["text"], data.validation["text"]]))
    if shared := int(comparison_keys(table["text"]).isin(learned).sum()):
        warnings.warn(
            f"evaluate: {shared:,} of {len(table):,} test texts are among those of fit, so the scores are optimistic",
            stacklevel=4,
        )
    return table


def baselines(fitted: Fitted) -> Path:
    """Train the models without a teacher as the stage `baseline` does, and return their folder."""
    params = fitted.settings.baseline

    def write(folder: Path) -> None:
        folder.mkdir()
        data = Dataset.load(fitted.prepared, unlabelled=False)
        if data.is_labelled("train"):
            fit_baselines(data, params, folder)

    return fitted.cache.get(
        "baseline", write, params.model_dump_json(), files.sha256(fitted.prepared), potstill.__version__
    )


def evaluate(
    fitted: Fitted, student: Any, test: pd.DataFrame | None, commands: Commands
) -> tuple[Verdict, list[Step], list[dict[str, Any]]]:
    """Compare the models on test texts as the stage `evaluate` does.

    Args:
        fitted: what the fit left.
        student: the student.
        test: a table with `text` and `label`, see `Dataset`; None for the test split of the fit.
        commands: those of the next steps.

    Returns:
        The verdict, what to do next, and a row of scores per model.
    """
    data, models, best = compared(fitted, student, test)
    rows, _ = compare(models, data.targets("test"), best, None)
    ladder: Any = fitted.ladder
    limits, labelling = fitted.settings.evaluate, [fitted.teacher.name]
    drawn, held_out = test is None and fitted.drawn, fitted.held_out
    verdict, steps = decide(rows, models, data, best, labelling, ladder, limits, commands, None, drawn, held_out)
    return verdict, steps, rows


def fold(fitted: Fitted, student: Any) -> Fold:
    """Return what a cross-validation needs of a fit on all folds but one, which is its test split."""
    data, models, _ = compared(fitted, student, None)
    thresholds = {model.name: model.thresholds for model in models if model.thresholds}
    probabilities = {model.name: model.probabilities for model in models}
    test = Predictions(data.test["text"].tolist(), data.targets("test"), probabilities, thresholds)
    facts = {model.name: {"kind": model.kind, "parameters": model.parameters, "bytes": model.bytes} for model in models}
    return Fold(test, facts)


def judge(folds: Sequence[Fold], last: Fitted, commands: Commands) -> tuple[Verdict, list[Step], list[dict[str, Any]]]:
    """Return the verdict of all folds, see `judge_folds`; the teacher and the settings are those of the last fit."""
    margin = last.settings.evaluate.non_inferiority_margin
    unlabelled = len(Dataset.load(last.prepared).unlabelled)
    return judge_folds(folds, [last.teacher.name], margin, unlabelled, commands)


def compared(fitted: Fitted, student: Any, test: pd.DataFrame | None) -> tuple[Dataset, list[Model], str | None]:
    """Return the data with the test texts, the models to compare, and the teacher's name if it has predictions."""
    data = Dataset.load(fitted.prepared)
    data = data if test is None else replace(data, test=test)
    teacher, scorer = fitted.teacher, fitted.teacher.load()
    texts = {split: data.split(split)["text"].tolist() for split in ("test", "validation")}
    logits = {
        split: tracking.read_predictions(fitted.predictions / f"{split}.csv", data.labels, len(texts[split]))
        if split == "validation" or test is None
        else scorer.score(texts[split])[0]
        for split in texts
    }
    data = data.labelled_by(logits)
    models, _ = small_models(baselines(fitted), student, data)
    logits |= {split: logits[split][is_answered(logits[split])] for split in data.by_teacher}
    answered = bool(is_answered(logits["test"]).all())
    if not (answered or data.is_labelled("train")):
        raise PotstillError(
            f"{teacher.name}: no predictions for some test texts, on which the student is compared. Add them."
        )
    if answered:
        soft = {split: probabilities(logits[split], data.multi_label) for split in texts}
        size = files.size(teacher.folder)
        models.append(Model(teacher.name, "teacher", soft["test"], soft["validation"], scorer.parameters, size))
    return data, with_thresholds(models, data), teacher.name if answered else None
