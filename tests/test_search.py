import math

import optuna
import pytest

from potstill import search
from potstill.errors import PotstillError
from potstill.evaluate.figure import front_figure
from potstill.search import Result
from potstill.student.distil import distil
from test_student import settings, soft_labels


def result(parameters, accuracy, size=None):
    return Result({"architecture": "mlp", "hidden": parameters}, parameters, size or parameters, accuracy)


def test_the_front_leaves_out_what_is_larger_and_no_better():
    small, good, worse, same = result(10, 0.8), result(20, 0.9), result(30, 0.85), result(25, 0.9)
    assert search.front([worse, same, good, small], "parameters") == [small, good]


def test_the_smallest_that_loses_little_is_recommended():
    tried = [result(10, 0.8), result(20, 0.9), result(30, 0.91)]
    assert search.recommend(tried, "parameters", teacher=0.905, max_loss=0.01) == tried[1]
    assert search.recommend(tried, "parameters", teacher=0.95, max_loss=0.01) is None


@pytest.mark.parametrize("architecture", ["mlp", "attention", "cnn", "bigru"])
@pytest.mark.parametrize("budget", [500, 3000, 80_102])
@pytest.mark.parametrize("sharing", [1.0, 2.0])
def test_a_budget_of_parameters_is_filled_to_the_last_row(architecture, budget, sharing):
    params = search.fill(settings(architecture=architecture, embedding=3, hidden=5), 6, budget, "parameters", sharing)
    rows = params.rows or params.words
    assert params.words == pytest.approx(sharing * rows, abs=1)
    more = params.model_copy(update={"words": params.words + 2, "rows": rows + 1})
    assert search.expected_size(params, 6, "parameters") <= budget < search.expected_size(more, 6, "parameters")


def test_what_does_not_fit_is_none():
    assert search.fill(settings(architecture="bigru", hidden=64), 6, 1000, "parameters") is None


@pytest.mark.parametrize(("bits", "rows"), [(2, None), (4, None), (None, None), (4, 30)])
def test_bytes_are_foreseen_within_some_percent(bits, rows, data):
    sizes = {"words": 90, "rows": rows, "embedding": 8, "hidden": 16, "bits": bits, "fingerprint": 4}
    params = settings(architecture="cnn", epochs=1, **sizes)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    size = len(trained.student.to_bytes())
    expected = search.expected_size(params, 3, "bytes")
    assert 0.98 * size <= expected <= 1.1 * size + 10


class TestSearch:
    """The search itself, with an imaginary training whose best answer is known."""

    def train(self, params):
        self.trained.append(params)
        size = search.expected_size(params, 3, "parameters")
        good = 0.9 - 0.1 * (params.architecture != "cnn") - 1 / size - 0.01 * abs(math.log(params.hidden / 8))
        return Result(search.settings(params), int(size), int(size), round(good, 6))

    def run(self, storage, trials, budget=1000, seed=0):
        self.trained = []
        return search.search(self.train, settings(), 3, budget, "parameters", trials, storage, seed)

    def test_it_keeps_to_the_budget_and_finds_what_is_best(self):
        results = self.run(optuna.storages.InMemoryStorage(), 60)
        assert len(results) == len(self.trained) == 60
        assert max(r.parameters for r in results) <= 1000
        best = search.front(results, "parameters")
        assert best[-1].params["architecture"] == "cnn"
        assert best[-1].score > max(r.score for r in results[:4]) - 1e-9
        assert best[0].parameters < 300

    def test_it_goes_on_where_it_stopped(self, tmp_path):
        def storage():
            return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "j.log")))

        first = self.run(storage(), 5)
        again = self.run(storage(), 8)
        assert len(self.trained) == 3
        assert again[:5] == first
        assert len({str(r.params) for r in again}) == 8  # nothing is drawn twice

    def test_a_budget_too_small_for_anything_says_so(self):
        with pytest.raises(PotstillError, match=r"no student fits into 9 parameters: raise BUDGET"):
            self.run(optuna.storages.InMemoryStorage(), 3, budget=9)


def test_the_table_and_the_picture_show_the_chosen_one(tmp_path):
    tried = [result(100, 0.8), result(1200, 0.9), result(2300, 0.1)]
    table = search.markdown(tried, tried[1])
    assert "| **1,200** | **1,200** | **90.00** | architecture=mlp hidden=1200 |" in table
    for teacher in (None, 0.95):
        front_figure(tried, tried[:2], tried[1], "bytes", teacher, "accuracy", tmp_path / "front.png")
        assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
