"""`DistilledClassifier` does what users of scikit-learn expect of an estimator."""

import copy
import os
import pickle
import random
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from datasets import Dataset as HubDataset
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MultiLabelBinarizer

from potstill import DistilledClassifier, Student, Teacher
from potstill.core.errors import PotstillError
from potstill.core.params import section
from potstill.estimator import steps
from potstill.estimator.inputs import Classes
from potstill.evaluate.metrics.scores import interval
from tests.estimator.conftest import ask, classifier
from tests.project import ENVIRONMENT
from tests.students import promising
from tests.tasks import FEELINGS, make_mixed_texts, make_texts


def lower(texts):
    return [text.lower() for text in texts]


def test_it_abstains_if_it_is_to(fitted, held_out):
    texts, _ = held_out
    assert fitted.predict(texts, abstain=True).tolist() == fitted.predict(texts).tolist()  # all 20 were right
    unsure = copy.copy(fitted)
    unsure.student_ = promising(fitted.student_, texts, thresholds=[None] * len(fitted.classes_))
    found = unsure.predict(texts, abstain=True)
    assert found.tolist() == unsure.student_.predict(texts, abstain=True).tolist()
    assert set(found) == {None}
    with pytest.raises(PotstillError, match=r"`guarantee\.accuracy` is 2"):
        classifier(guarantee={"accuracy": 2}).fit(*held_out)


def test_it_knows_which_texts_are_in_scope(fitted, held_out):
    texts, _ = held_out
    inside = fitted.in_scope(texts)
    assert inside.mean() > 0.8
    np.testing.assert_array_equal(inside, fitted.student_.in_scope(texts))
    fact = fitted.student_.facts["scope"]
    assert fact["false_alarms"] == pytest.approx(max(0.01, 1 / (fact["texts"] + 1)), abs=1e-6)


def test_it_predicts_the_classes_it_was_fitted_on(fitted, held_out):
    texts, labels = held_out
    assert fitted.classes_.tolist() == sorted(FEELINGS)
    predicted, probabilities = fitted.predict(texts), fitted.predict_proba(texts)
    assert fitted.score(texts, labels) == accuracy_score(labels, predicted) > 0.9
    assert probabilities.shape == (60, 3)
    assert (fitted.classes_[probabilities.argmax(1)] == predicted).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert isinstance(fitted.student_, Student)
    assert [row["status"] for row in fitted.ladder_] == ["chosen", "not needed"]
    with pytest.raises(NotFittedError):
        classifier().predict(texts)


def test_parameters_are_those_of_init_and_a_clone_has_them(fitted):
    made = DistilledClassifier("roberta", rung="small", random_state=3, params={"pool": {"min_texts": 9}})
    same = clone(made)
    assert same.get_params() == made.get_params()
    assert made.set_params(rung="qr").rung == "qr"
    assert DistilledClassifier(Teacher("bert", epochs=2)).get_params()["teacher__epochs"] == 2
    assert clone(fitted).get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "classes_")


def test_a_pickle_holds_the_student_and_neither_texts_nor_teacher(fitted, texts, held_out, tmp_path):
    content = pickle.dumps(fitted)
    assert fitted.student_.to_bytes() in content
    assert not any(text.encode() in content for text in texts)
    assert b"/tmp" not in content
    same = pickle.loads(content)
    np.testing.assert_array_equal(same.predict_proba(held_out[0]), fitted.predict_proba(held_out[0]))
    same.export(tmp_path / "out")
    fitted.export(tmp_path / "other")
    for name in ("student.pot", "model.onnx", "README.md"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    with pytest.raises(PotstillError, match="an unpickled classifier has no teacher to compare with"):
        same.evaluate(*held_out)


def test_the_exported_files_work_and_nothing_is_replaced_unasked(fitted, held_out, tmp_path):
    fitted.export(tmp_path / "a" / "out")
    student = Student.load(tmp_path / "a/out/student.pot")
    assert (student.predict(held_out[0]) == fitted.predict(held_out[0])).all()
    card = (tmp_path / "a/out/README.md").read_text()
    assert "20 validation texts" in card
    assert "There were no test texts" in card
    (tmp_path / "a/out/mine.txt").write_text("keep")
    with pytest.raises(PotstillError, match=r"student.pot: it exists already\. Choose another folder, or set overw"):
        fitted.export(tmp_path / "a/out")
    fitted.export(tmp_path / "a/out", overwrite=True)
    assert (tmp_path / "a/out/mine.txt").read_text() == "keep"


def test_the_verdict_compares_with_the_teacher_and_with_simpler_models(fitted, held_out):
    found = fitted.evaluate(*held_out)
    scores = {row["name"]: row for row in found.scores}
    assert set(scores) == {"tfidf", "hard", "student", "ask"}
    assert scores["student"]["accuracy"] == pytest.approx(fitted.score(*held_out))
    assert scores["ask"]["accuracy"] == 1
    lines = str(found.verdict).splitlines()
    assert lines[0].startswith(f"{found.verdict.decision.capitalize()}: the student has a test accuracy of ")
    assert len(lines) == 1 + len(found.verdict.reasons)
    assert f"Next: {found.next_steps[0].text}:\n    {found.next_steps[0].command}\n" in str(found)
    assert "dvc" not in str(found)


@pytest.mark.slow
def test_a_cross_validation_tests_on_all_texts_and_leaves_the_classifier_as_it_is(texts, labels):
    made = classifier()
    found = made.cross_validate(texts[:120], labels[:120], folds=2, unlabelled=texts[120:])
    rows = {row["name"]: row for row in found.scores}
    assert set(rows) == {"tfidf", "hard", "student", "ask"}
    assert rows["ask"]["accuracy"] == 1
    low, high = interval(round(120 * rows["student"]["accuracy"]), 120)
    assert (rows["student"]["accuracy_low"], rows["student"]["accuracy_high"]) == (low, high)
    assert not hasattr(made, "student_")
    assert "dvc" not in str(found)


def test_a_cross_validation_refuses_what_cannot_be_right(texts, labels):
    teacher = Teacher("bert")
    teacher._folder = "fitted"
    with pytest.raises(PotstillError, match="teacher: it is fitted, perhaps on these texts"):
        classifier(teacher).cross_validate(texts, labels)
    with pytest.raises(PotstillError, match=r"different texts, fewer than the 100 folds of `folds`"):
        classifier().cross_validate(texts, labels, folds=100)
    with pytest.raises(PotstillError, match=r"folds: must be at least 2 \(found: 0\)"):
        classifier().cross_validate(texts, labels, folds=0)


def test_test_texts_are_given_or_drawn(texts, labels, fitted):
    with pytest.warns(UserWarning, match=r"evaluate: 10 of 10 test texts are among those of fit"):
        fitted.evaluate(texts[:10], labels[:10])
    with pytest.raises(PotstillError, match="the texts have no labels, unlike those of `fit`"):
        fitted.evaluate(texts[:10])
    with pytest.raises(PotstillError, match=r"evaluate: no test texts\. Give some, or set `test_share` before `fit`"):
        fitted.evaluate()
    made = classifier(test_share=0.2).fit(texts, labels)
    assert made.evaluate().scores[0]["name"] == "tfidf"
    assert made.student_.facts["rows"]["test"] == 40
    assert made.student_.facts["teachers"] == {"ask": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [np.array, pd.Series, lambda values: pd.Series(values, index=range(5, 5 + len(values)), dtype="str"), pl.Series,
     pa.array, lambda values: pa.chunked_array([values]), lambda values: HubDataset.from_dict({"x": values})["x"]],
)  # fmt: skip
def test_columns_of_every_library_are_read_alike(kind, texts, labels, fitted):
    given = kind(list(texts)), kind(labels.tolist())
    made = clone(fitted).fit(*given, unlabelled=kind(make_texts(50, 3)["text"].tolist()))
    assert made.student_.to_bytes() == fitted.student_.to_bytes()
    assert made.score(kind(list(texts)), kind(labels.tolist())) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("values", [[2, 10, -1], [True, False], ["b", "a", "10"], [2.0, 3.0]])
def test_classes_keep_their_type_and_order(values, texts):
    made = [values[i % len(values)] for i in range(len(texts))]
    uniform = classifier(lambda given: np.full((len(given), len(values)), 1 / len(values)))
    found = uniform.fit(texts, made)
    assert found.classes_.tolist() == sorted(values)
    assert found.predict(texts).dtype == np.array(values).dtype
    assert set(found.predict(texts).tolist()) <= set(values)


@pytest.mark.slow
def test_multi_label_is_an_indicator_matrix_as_in_scikit_learn(mixed):
    texts, ids = mixed.train["text"].tolist(), mixed.train["label"]
    y = MultiLabelBinarizer(classes=range(3)).fit_transform(ids)

    def right(given):
        found = [[any(word in text for word in FEELINGS[name]) for name in FEELINGS] for text in given]
        return np.where(found, 0.98, 0.02)

    named = pd.DataFrame(y, columns=list(FEELINGS))
    made = classifier(right).fit(texts, named)
    assert made.classes_.tolist() == list(FEELINGS)
    assert made.student_.labels == list(FEELINGS)
    test = make_mixed_texts(80, 2)
    actual = MultiLabelBinarizer(classes=range(3)).fit_transform(test["label"])
    predicted = made.predict(test["text"])
    assert predicted.shape == actual.shape
    assert set(np.unique(predicted)) == {0, 1}
    assert made.score(test["text"], actual) == accuracy_score(actual, predicted) > 0.5
    assert {row["name"] for row in made.evaluate(test["text"], actual).scores} == {"tfidf", "hard", "student", "right"}
    assert classifier(right).fit(texts, y).classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        classifier(right).fit(texts, [["joy"]] * len(texts))
    with pytest.raises(PotstillError, match="y: no text has the label 'none'"):
        classifier(right).fit(texts, named.assign(none=0))


@pytest.mark.slow
def test_it_works_in_pipelines_searches_and_cross_validation(texts, labels, tmp_path, monkeypatch):
    calls = []
    search = steps.search
    monkeypatch.setattr(steps, "search", lambda *given: calls.append(given) or search(*given))
    made = make_pipeline(FunctionTransformer(lower), classifier(cache_dir=tmp_path / "cache"))
    found = GridSearchCV(made, {"distilledclassifier__rung": ["tiny", "wide"]}, cv=2).fit(texts, labels)
    assert found.best_score_ > 0.8
    assert len(calls) == 5
    assert len([path for path in (tmp_path / "cache/ensemble").iterdir() if path.is_dir()]) == 3  # a fold's are shared
    assert found.best_estimator_.predict(texts[:3]).tolist() == labels[:3].tolist()
    scores = cross_val_score(classifier(), texts, labels, cv=2, scoring="neg_log_loss")
    assert (scores > -0.7).all()


@pytest.mark.slow
def test_an_interrupted_fit_resumes(texts, labels, tmp_path, monkeypatch):
    asked = []

    class Limited:
        """An API that refuses after some calls."""

        def __call__(self, given):
            if os.environ.get("LIMIT") and len(asked) >= int(os.environ["LIMIT"]):
                raise ConnectionError("quota")
            asked.append(len(given))
            return ask(given)

    monkeypatch.setattr("potstill.pool.build.SHARD", 100)
    monkeypatch.setenv("LIMIT", "3")
    made = classifier(Limited(), cache_dir=tmp_path / "cache")
    with pytest.raises(ConnectionError):
        made.fit(texts, labels)
    monkeypatch.delenv("LIMIT")
    made.fit(texts, labels)
    undisturbed, count = sum(asked), len(asked)
    made.fit(texts, labels)
    assert len(asked) == count
    again = classifier(Limited(), cache_dir=tmp_path / "other")
    again.fit(texts, labels)
    assert sum(asked) - undisturbed == undisturbed  # nothing was asked twice
    assert again.student_.to_bytes() == made.student_.to_bytes()


@pytest.mark.slow
def test_soft_labels_from_elsewhere_take_no_teacher(texts, held_out):
    soft = ask(texts)
    made = classifier("minilm").fit_soft(texts, pd.DataFrame(soft, columns=sorted(FEELINGS)))
    assert made.score(*held_out) > 0.8
    assert made.student_.facts["rows"] == {"train": 180, "validation": 20, "unlabelled": 0}
    assert classifier("minilm").fit_soft(texts, soft).classes_.tolist() == [0, 1, 2]
    verdict = made.evaluate(*held_out).verdict
    assert "It cannot be compared with its teacher" in str(verdict)
    with pytest.raises(PotstillError, match="probabilities: each row must sum to one"):
        classifier().fit_soft(texts, soft * 0.5)


@pytest.mark.slow
def test_texts_without_labels_are_measured_against_the_teacher(texts, held_out):
    names = sorted(FEELINGS)
    fitted = classifier().fit(texts, label_names=names, unlabelled=make_texts(50, 3)["text"])
    assert fitted.classes_.tolist() == names
    assert Classes.named([0, "b "]).names == ["0", "b"]
    assert fitted.student_.facts["labelled_by_teacher"] == ["validation"]
    unknown = fitted.evaluate(held_out[0])
    assert {row["name"] for row in unknown.scores} == {"ask", "student"}
    assert "the accuracy of teacher and student is unknown" in str(unknown)
    assert any("clf.evaluate(labelled_texts, labels)" in step.command for step in unknown.next_steps)
    known = fitted.evaluate(*held_out)
    assert "On the labels of the test texts its accuracy is" in str(known)
    [teacher] = [row for row in known.scores if row["name"] == "ask"]
    assert teacher["accuracy"] > 0.95
    with pytest.raises(PotstillError, match="give either `y`, the labels of the texts, or `label_names`"):
        classifier().fit(texts)


@pytest.mark.slow
def test_seeds_decide_and_the_state_of_the_process_stays(texts, labels, fitted):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state(), torch.get_num_threads()
    made = classifier(random_state=1).fit(texts, labels)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.get_num_threads() == before[3]
    assert made.student_.to_bytes() != classifier(random_state=2).fit(texts, labels).student_.to_bytes()
    drawn = [classifier(random_state=np.random.RandomState(5)).fit(texts, labels).student_ for _ in range(2)]
    assert drawn[0].to_bytes() == drawn[1].to_bytes()


def test_nothing_is_written_to_the_current_folder(texts, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = classifier().fit(texts, labels)
    folder = made._fitted.cache.folder
    assert not list(tmp_path.iterdir())
    assert folder.is_dir()
    del made
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"params": {"student": {"hiden": 3}}}, r"params: unknown key `student.hiden`: did you mean `hidden`\?"),
        ({"params": {"studnet": {}}}, r"params: unknown section `studnet`: did you mean `student`\?"),
        ({"params": {"student": 3}}, r"params: must be a dictionary of sections"),
        ({"params": [1]}, r"params: must be a dictionary of sections"),
        (
            {"params": {"label": {"teachers": ["minilm"]}}},
            r"label.teachers is for projects\. Set `teacher` instead",
        ),
        ({"params": {"report": {"errors": 3}}}, r"params: report.errors is for projects, and has no effect here"),
        ({"cache_dir": __file__}, r"test_classifier\.py: not a folder\. Name one"),
        ({"teacher": lambda texts: np.ones((len(texts), 3))}, "probabilities of a text that do not sum to one"),
        ({"teacher": lambda texts: np.full((len(texts), 3), np.nan)}, "no probabilities for any text"),
        ({"rung": "huge"}, "`huge` in rung is not a key of student.ladder"),
        ({"guarantee": {"agreemnt": 0.9}}, "unknown key `guarantee.agreemnt`: did you mean `agreement`"),
        ({"validation_share": 0.6}, "`validation_share` is 0.6: must be below 0.5"),
        ({"class_weight": "equal"}, "class_weight` is 'equal': must be 'balanced' or null"),
        ({"teacher": 3}, r"teacher: of type int\. Give a name, a folder, a Teacher, or a function"),
        ({"teacher": LogisticRegression()}, r"LogisticRegression\. Give a .* Teacher, or its method predict_proba"),
        ({"teacher": lambda texts: np.ones((len(texts), 2))}, r"shape \(20, 2\) for 20 texts and 3 classes"),
        ({"teacher": lambda texts: np.full((len(texts), 3), 2)}, "a number that is not a probability"),
        ({"params": {"teacher": {"epochs": 1}}}, "the section `teacher` is set, and the teacher is not a name"),
    ],
)
def test_what_is_wrong_with_parameters_is_named(changes, says, texts, labels):
    with pytest.raises(PotstillError, match=says):
        classifier(**changes).fit(texts, labels)


def test_what_is_wrong_with_the_data_is_named(texts, labels):
    with pytest.raises(TypeError, match="text 1 is missing: leave it out"):
        classifier().fit([*texts[:1], None], labels[:2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier().fit(texts, labels[:3])
    with pytest.raises(TypeError, match="give its column of texts"):
        classifier().fit(pd.DataFrame({"text": texts}), labels)
    with pytest.raises(PotstillError, match=r"fit: `validation_share` 0.1 of 10 different texts makes 1 row, fewer"):
        classifier().fit(texts[:10], labels[:10])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        classifier().fit([" ", *texts], [labels[0], *labels])
    assert "fit: 1 of 201 texts are blank and are left out" in {str(warning.message) for warning in told}
    with pytest.raises(PotstillError, match=r"y: the label 'rage' is not among the classes"):
        classifier().fit(texts, labels, validation=(["so angry"], ["rage"]))
    with pytest.raises(PotstillError, match=r"^unlabelled: a string \('more\.txt'\)\. Give a list of texts\.$"):
        classifier().fit(texts, labels, unlabelled="more.txt")
    with pytest.raises(PotstillError, match=r"^y: of shape \(200, 2\), and not of 0 and 1\. Give one label per text"):
        classifier().fit(texts, pd.DataFrame({"a": texts, "b": texts}))
    for names in ({"a", "b"}, "ab", {"a": 1, "b": 2}):
        with pytest.raises(PotstillError, match=r"^label_names: (set|str|dict)\. Give a list of names"):
            classifier().fit(texts, label_names=names)
    for wrong in ([None, "a"], ["", "a"], ["a"]):
        with pytest.raises(PotstillError, match=r"^label_names: must be at least two names"):
            classifier().fit(texts, label_names=wrong)
    with pytest.raises(PotstillError, match=r"^probabilities: of shape \(200,\)\. Give one row per text"):
        classifier().fit_soft(texts, np.full(200, 0.5))


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_label_that_is_missing_or_of_another_type_is_named(missing):
    with pytest.raises(PotstillError, match=r"^y: label 1 is missing\. Leave its text out, or give it in `unlabelled`"):
        Classes.of(pd.Series(["a", missing, "b"], dtype=object))
    with pytest.raises(PotstillError, match=r"^y: some labels are strings, others are numbers\. Make all of them str"):
        Classes.of(["a", 1, "b"])


def test_columns_of_booleans_and_of_numbers_are_an_indicator_matrix():
    classes = Classes.of(frame := pd.DataFrame({"joy": [True, False], "love": [0, 1]}))
    assert (classes.names, classes.multi_label) == (["joy", "love"], True)
    assert classes.encode(frame).tolist() == [[True, False], [False, True]]


def test_progress_is_a_line_a_step(texts, labels, capsys):
    classifier(verbose=True).fit(texts, labels)
    lines = capsys.readouterr().out.splitlines()
    names = ("prepare", "teacher", "pool", "label", "student", "export")
    assert [line.split(":")[0] for line in lines if line.startswith("[")] == [
        f"[{i}/6] {name}" for i, name in enumerate(names, 1)
    ]
    classifier().fit(texts, labels)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_script_without_a_guard_trains_in_parallel(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(
        "from tests.estimator.conftest import NAMES, PARAMS, ask\nfrom tests.tasks import make_texts\n"
        "from potstill import DistilledClassifier\nprint('once')\n"
        "table = make_texts(200, 0)\ny = NAMES[table['label']]\n"
        "params = PARAMS | {'student': PARAMS['student'] | {'threads': 2}}\n"
        "clf = DistilledClassifier(ask, params=params, verbose=False).fit(table['text'], y)\n"
        "print(clf.score(table['text'], y) > 0.5)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], env=ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["once", "True"], done.stderr
    assert list(tmp_path.iterdir()) == [script]


def test_without_the_extra_the_error_is_one_line_that_says_what_to_install():
    code = (
        "import sys\nclass Missing:\n def find_spec(self, name, path=None, target=None):\n"
        "  if name.split('.')[0] == 'sklearn': raise ModuleNotFoundError(name, name='sklearn')\n"
        "sys.meta_path.insert(0, Missing())\ntry:\n from potstill import DistilledClassifier\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "sklearn is not installed. Run `pip install -e '.[train]'` in a clone of potstill.\n"


def test_defaults_are_those_of_the_parameters():
    made, prepare, teacher = DistilledClassifier(), section("prepare")(), section("teacher")()
    assert made.rung == section("student")().rung
    assert (made.validation_share, made.random_state) == (prepare.validation_share, prepare.seed)
    assert ([made.teacher], made.class_weight) == (teacher.checkpoints, teacher.class_weight)
    own = Teacher()
    assert ([own.checkpoint], own.epochs, own.class_weight) == (
        teacher.checkpoints, teacher.epochs, teacher.class_weight
    )  # fmt: skip
    assert (own.validation_share, own.random_state) == (prepare.validation_share, teacher.seed)
