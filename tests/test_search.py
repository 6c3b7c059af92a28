import json
import math
import sys

import optuna
import pytest

from potstill import search
from potstill.errors import PotstillError
from potstill.evaluate.figure import front_figure
from potstill.search import Result
from potstill.storage import Journal, at, mend
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

    def run(self, folder, trials, budget=1000):
        self.trained = []
        storage = Journal(folder / "journal")
        return search.search(self.train, settings(), 3, budget, "parameters", trials, storage, "search")

    def test_it_keeps_to_the_budget_and_finds_what_is_best(self, tmp_path):
        results = self.run(tmp_path, 60)
        assert len(results) == len(self.trained) == 60
        assert max(r.parameters for r in results) <= 1000
        best = search.front(results, "parameters")
        assert best[-1].params["architecture"] == "cnn"
        assert best[-1].score > max(r.score for r in results[:4]) - 1e-9
        assert best[0].parameters < 300

    def test_it_goes_on_where_it_stopped(self, tmp_path):
        first = self.run(tmp_path, 5)
        again = self.run(tmp_path, 8)
        assert len(self.trained) == 3
        assert again[:5] == first
        assert len({str(r.params) for r in again}) == 8  # nothing is drawn twice

    @pytest.mark.slow
    def test_a_student_whose_process_died_is_tried_again(self, tmp_path, monkeypatch):
        monkeypatch.setattr(search, "DEAD", 0.2)
        monkeypatch.setattr(search, "WAIT", 0.1)
        monkeypatch.setattr(self, "train", lambda params: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                self.run(tmp_path, 5)
        monkeypatch.undo()
        monkeypatch.setattr(search, "DEAD", 0.2)
        results = self.run(tmp_path, 5)
        assert len(results) == len(self.trained) == 5
        assert sum(r.params["learning_rate"] == 0.01 for r in results) >= 4  # those that are tried first, all of them

    def test_a_student_that_kills_whoever_trains_it_is_given_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr(search, "DEAD", -1.0)
        monkeypatch.setattr(search, "WAIT", 0.0)
        tried = []

        def train(params):
            tried.append(params)
            assert params.hidden != search.FIRST[0]["hidden"]
            return self.__class__.train(self, params)

        monkeypatch.setattr(self, "train", train)
        for _ in range(search.TRIES):
            with pytest.raises(AssertionError):
                self.run(tmp_path, 5)
        assert len(self.run(tmp_path, 5)) == 5

    def test_a_budget_too_small_for_anything_says_so(self, tmp_path):
        with pytest.raises(PotstillError, match=r"no student fits into 9 parameters: raise BUDGET"):
            self.run(tmp_path, 3, budget=9)


@pytest.mark.parametrize("other", [None, "null", "[]", "{}", '{"accuracy": 0.5}', "{"])
def test_a_result_of_another_version_does_not_count(other):
    study = optuna.create_study(directions=["maximize", "minimize"])
    for written in (other, json.dumps(result(100, 0.8).__dict__)):
        study.add_trial(optuna.trial.create_trial(values=[0.8, 4.6], user_attrs={"result": written}))
    assert search.results(study, "parameters", 1000) == [result(100, 0.8)]


def test_the_table_and_the_picture_show_the_chosen_one(tmp_path):
    tried = [result(100, 0.8), result(1200, 0.9), result(2300, 0.1)]
    table = search.markdown(tried, tried[1])
    assert "| **1,200** | **1,200** | **90.00** | architecture=mlp hidden=1200 |" in table
    for teacher in (None, 0.95):
        front_figure(tried, tried[:2], tried[1], "bytes", teacher, "accuracy", tmp_path / "front.png")
        assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


class TestJournal:
    def test_half_a_line_is_cut_off(self, tmp_path):
        journal = Journal(tmp_path / "journal")
        optuna.create_study(storage=journal.open(), study_name="one")
        with journal.path.open("a") as file:
            file.write('{"op_code":0,"wor')  # the disk was full
        optuna.create_study(storage=journal.open(), study_name="two")
        assert set(optuna.get_all_study_names(journal.open())) == {"one", "two"}

    @pytest.mark.parametrize("text", ["seed: 1\nepochs: 2\n", '{"accuracy": 0.9}\n', '{"half": ', "\x00\n\n"])
    def test_another_file_is_refused_and_left_as_it_is(self, tmp_path, text):
        path = tmp_path / "file"
        path.write_text(text)
        with pytest.raises(PotstillError, match="is damaged, or no journal of a search: name another file"):
            at(str(path)).open()
        assert path.read_text() == text

    @pytest.mark.parametrize("line", ["null", "[]", "{}", '{"op_code": 99}', '{"op_code": null}'])
    def test_one_of_potstills_own_is_begun_again(self, tmp_path, capsys, line):
        path = tmp_path / "journal"
        optuna.create_study(storage=at(str(path)).open(), study_name="one")
        mend(path)
        assert optuna.get_all_study_names(at(str(path)).open()) == ["one"]
        assert not capsys.readouterr().out
        with path.open("a") as file:
            file.write(line + "\n")
        with pytest.raises(PotstillError, match="is damaged, or no journal of a search"):
            at(str(path)).open()
        mend(path)
        assert optuna.get_all_study_names(at(str(path)).open()) == []
        assert capsys.readouterr().out == f"note: {path}: damaged or of another version, so its work is repeated\n"

    def test_a_disk_that_is_not_there_is_not_made(self, tmp_path):
        with pytest.raises(PotstillError, match=r"the folder .*/shared is missing: make it, or mount the disk"):
            at(str(tmp_path / "shared" / "journal")).open()


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PotstillError, match=r"pip install -e '\.\[postgresql\]'"):
        at("postgresql://me@127.0.0.1/search").open()
