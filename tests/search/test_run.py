import json
import math

import optuna
import pytest

from potstill.core.errors import PotstillError
from potstill.search import heartbeat, run
from potstill.search.results import Result, pareto_front
from potstill.search.space import INITIAL_TRIALS, SearchSpace, expected_size, searched
from potstill.search.storage import Journal
from tests.search.results import result
from tests.settings import student_settings


class TestSearch:
    """The search itself, with an imaginary training whose best answer is known."""

    def train(self, params):
        self.trained.append(params)
        size = expected_size(params, 3, "parameters")
        good = 0.9 - 0.1 * (params.architecture != "cnn") - 1 / size - 0.01 * abs(math.log(params.hidden / 8))
        return Result(searched(params), int(size), int(size), round(good, 6))

    def run(self, folder, trials, budget=1000):
        self.trained = []
        storage = Journal(folder / "journal")
        space = SearchSpace(student_settings(), 3, budget, "parameters")
        return run.search(self.train, space, trials, storage, "search")

    def test_it_keeps_to_the_budget_and_finds_the_best(self, tmp_path):
        results = self.run(tmp_path, 60)
        assert len(results) == len(self.trained) == 60
        assert max(r.parameters for r in results) <= 1000
        best = pareto_front(results, "parameters")
        assert best[-1].params["architecture"] == "cnn"
        assert best[-1].score > max(r.score for r in results[:4]) - 1e-9
        assert best[0].parameters < 300

    def test_it_continues_where_it_stopped(self, tmp_path):
        first = self.run(tmp_path, 5)
        again = self.run(tmp_path, 8)
        assert len(self.trained) == 3
        assert again[:5] == first
        assert len({str(r.params) for r in again}) == 8  # nothing is drawn twice

    @pytest.mark.slow
    def test_a_student_whose_process_died_is_tried_again(self, tmp_path, monkeypatch):
        monkeypatch.setattr(heartbeat, "GRACE_PERIOD", 0.2)
        monkeypatch.setattr(run, "POLL_INTERVAL", 0.1)
        monkeypatch.setattr(self, "train", lambda params: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                self.run(tmp_path, 5)
        monkeypatch.undo()
        monkeypatch.setattr(heartbeat, "GRACE_PERIOD", 0.2)
        results = self.run(tmp_path, 5)
        assert len(results) == len(self.trained) == 5
        assert sum(r.params["learning_rate"] == 0.01 for r in results) >= 4  # those that are tried first, all of them

    def test_a_student_that_kills_its_process_is_not_tried_for_ever(self, tmp_path, monkeypatch):
        monkeypatch.setattr(heartbeat, "GRACE_PERIOD", -1.0)
        monkeypatch.setattr(run, "POLL_INTERVAL", 0.0)
        tried = []

        def train(params):
            tried.append(params)
            assert params.hidden != INITIAL_TRIALS[0]["hidden"]
            return self.__class__.train(self, params)

        monkeypatch.setattr(self, "train", train)
        for _ in range(heartbeat.MAX_ATTEMPTS):
            with pytest.raises(AssertionError):
                self.run(tmp_path, 5)
        assert len(self.run(tmp_path, 5)) == 5

    def test_a_budget_too_small_for_any_student_is_an_error(self, tmp_path):
        with pytest.raises(PotstillError, match=r"no student fits into 9 parameters\. Raise it"):
            self.run(tmp_path, 3, budget=9)


@pytest.mark.parametrize("other", [None, "null", "[]", "{}", '{"accuracy": 0.5}', "{"])
def test_a_result_of_another_version_does_not_count(other):
    study = optuna.create_study(directions=["maximize", "minimize"])
    for written in (other, json.dumps(result(100, 0.8).__dict__)):
        study.add_trial(optuna.trial.create_trial(values=[0.8, 4.6], user_attrs={"result": written}))
    space = SearchSpace(student_settings(), 3, 1000, "parameters")
    assert run.results(study, space) == [result(100, 0.8)]
