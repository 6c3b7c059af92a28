"""The estimate of how long a fit takes."""

from dataclasses import replace

import pytest

from potstill.data.dataset import NO_LABEL
from potstill.estimator.estimate import Estimate, _pool_size, _tuning_time, estimate
from potstill.estimator.progress import duration
from potstill.estimator.settings import Settings, teacher_settings
from potstill.teacher.params import TeacherParams
from tests.estimator.conftest import PARAMS
from tests.pools import POOL, pooled


@pytest.mark.parametrize(
    "changes",
    [{}, {"min_texts": 2000}, {"unlabelled": 10}, {"held_out": 0.5}, {"train": False}, {"replace": 0, "borrow": 0}],
)
def test_the_number_of_texts_to_label_is_about_that_of_the_pool(changes, data):
    settings = Settings.of({"pool": POOL | changes})
    made = len(pooled(data, [f"word{i}" for i in range(500)], **changes))
    assert _pool_size(data, settings) == pytest.approx(made, rel=0.15)


@pytest.mark.slow
def test_more_epochs_texts_and_candidates_take_longer(data, bert):
    def measured(teacher, **changes):
        _, params = teacher_settings(str(bert), None, teacher, {})
        return estimate(data, params, Settings.of(PARAMS | changes))

    short = measured({"epochs": 1})
    assert 0 < short.least < short.most
    assert measured({"epochs": 200}).least > 2 * short.least
    student = PARAMS["student"] | {"ladder": {"tiny": PARAMS["student"]["ladder"]["tiny"]}}
    one = measured({"epochs": 1}, student=student)
    assert one.least == one.most


def test_self_training_and_language_models_take_time_too(data):
    params = TeacherParams(epochs=2)
    train, more, validation = map(len, (data.train, data.unlabelled, data.validation))
    assert _tuning_time(data, params, 0.1, 1, 1) == pytest.approx(2 * (train + validation / 10))
    adapted = _tuning_time(data, params.model_copy(update={"mlm_epochs": 3}), 0, 1, 1)
    assert adapted == 3 * (train + more) + 2 * train
    nobodys = replace(data, train=data.train.assign(label=NO_LABEL))
    rounds = 3 * (0.15 + 0.3) * (train + more) + 3 * (train + more + validation) / 3
    assert _tuning_time(nobodys, params, 0, 1, 1) == pytest.approx(rounds + 2 * round((train + more) / 2))


def test_an_estimate_says_how_sure_it_is():
    assert str(Estimate(50000, 60, 600, 3.2)) == (
        "This will take between 40 s and 15 min 0 s: 1 min 0 s if the smallest student will do, 10 min 0 s if all "
        "candidates are trained, give or take a half. Measured in 3 s; 50,000 texts to label"
    )
    assert [duration(seconds) for seconds in (0.4, 59, 61, 3600, 7300)] == [
        "0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 h 1 min"
    ]  # fmt: skip
