"""`Teacher`: fitted once, and used by several classifiers."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from potstill import Teacher
from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.estimator import steps
from potstill.estimator.settings import teacher_settings
from tests.estimator.conftest import classifier
from tests.tasks import FEELINGS


@pytest.fixture(scope="module")
def teacher(bert, texts, labels):
    return Teacher(str(bert), learning_rate=3e-3, epochs=12, params={"batch_size": 16}, verbose=False).fit(
        texts, labels
    )


@pytest.mark.slow
def test_it_predicts_and_is_kept_in_a_folder(teacher, held_out, tmp_path):
    texts, labels = held_out
    assert teacher.classes_.tolist() == sorted(FEELINGS)
    assert teacher.predict_proba(texts).shape == (60, 3)
    assert teacher.score(texts, labels) > 0.9
    teacher.save(tmp_path / "kept")
    same = Teacher.load(tmp_path / "kept")
    np.testing.assert_array_equal(same.predict_proba(texts), teacher.predict_proba(texts))
    with pytest.raises(PotstillError, match=r"kept: it exists already\. Choose another folder, or remove it"):
        teacher.save(tmp_path / "kept")
    assert files.sha256(same._folder) == files.sha256(teacher._folder)


@pytest.mark.slow
def test_it_is_fitted_once_for_several_classifiers(teacher, texts, labels, monkeypatch):
    monkeypatch.setattr(steps, "fine_tune", None)
    made = [classifier(teacher, rung=rung).fit(texts, labels) for rung in ("tiny", "wide")]
    assert len({one.student_.to_bytes() for one in made}) == 2
    assert clone(made[0]).teacher is teacher
    assert made[0].teacher_ is teacher
    with pytest.raises(
        PotstillError, match=r"teacher: it was fitted on other classes \(anger, joy, sadness instead of"
    ):
        classifier(teacher).fit(texts, [label.upper() for label in labels])


@pytest.mark.slow
def test_a_teacher_that_is_not_fitted_is_fitted_by_the_classifier_and_stays_as_it_was(bert, texts, labels):
    own = Teacher(str(bert), learning_rate=3e-3, epochs=1, verbose=False)
    made = classifier(own, rung="tiny").fit(texts, labels)
    assert made.teacher is own
    assert not hasattr(own, "classes_")
    assert made.teacher_.predict(texts[:2]).shape == (2,)
    assert clone(own).get_params() == own.get_params()
    with pytest.raises(NotFittedError):
        own.predict(texts)


@pytest.mark.slow
def test_its_pickle_names_a_folder_that_must_be_there(teacher, tmp_path):
    same = pickle.loads(pickle.dumps(teacher))
    assert same._folder == teacher._folder
    same._folder = tmp_path / "gone"
    with pytest.raises(PotstillError, match=r"gone: the teacher's weights are gone, with the process that fitted it"):
        same.predict(["x"])


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [("minilm", "minilm"), ("some/Model-v1.5", "Model-v1-5"), ("./mine/", "mine"), ("student", "student-teacher")],
)
def test_a_teacher_is_named_after_its_checkpoint(checkpoint, name):
    found, params = teacher_settings(checkpoint, 1e-3, {"batch_size": 16}, {"seed": 3, "epochs": None})
    assert found == name
    assert list(params.presets) == params.checkpoints == [name]
    assert (params.presets[name].learning_rate, params.batch_size, params.seed) == (1e-3, 16, 3)
    if checkpoint != "minilm":
        assert params.presets[name].checkpoint == checkpoint
    with pytest.raises(PotstillError, match=r"params: unknown key `teacher.epoch`: did you mean `epochs`"):
        teacher_settings(checkpoint, None, {"epoch": 3}, {})


def test_a_misspelt_preset_is_refused_and_a_folder_of_such_a_name_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PotstillError, match=r"^teacher: no preset 'minilmm'\. Did you mean 'minilm'\?$"):
        teacher_settings("minilmm", None, None, {})
    (tmp_path / "minilmm").mkdir()
    assert teacher_settings("minilmm", None, None, {})[0] == "minilmm"
    assert teacher_settings("distilroberta-base", None, None, {})[0] == "distilroberta-base"  # on the hub
