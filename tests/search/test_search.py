import json
import math
import sys

import optuna
import pytest

from potstill.core.errors import PotstillError
from potstill.evaluate.plots.figure import pareto_figure
from potstill.search import heartbeat, run
from potstill.search.results import Result, markdown, pareto_front, recommend
from potstill.search.space import FIRST, SearchSpace, expected_size, fill, searched
from potstill.search.storage import Journal, discard_if_damaged, from_name
from potstill.student.distil import distil
from tests.student.test_distil import settings, soft_labels


def result(parameters, accuracy, size=None):
    return Result({"architecture": "mlp", "hidden": parameters}, parameters, size or parameters, accuracy)


def test_the_pareto_front_leaves_out_what_is_larger_and_not_better():
    small, good, worse, same = result(10, 0.8), result(20, 0.9), result(30, 0.85), result(25, 0.9)
    assert pareto_front([worse, same, good, small], "parameters") == [small, good]


def test_the_smallest_student_within_the_margin_is_recommended():
    front = [result(10, 0.8), result(20, 0.9), result(30, 0.91)]
    assert recommend(front, teacher=0.905, margin=0.01) == front[1]
    assert recommend(front, teacher=0.95, margin=0.01) is None


@pytest.mark.parametrize("architecture", ["mlp", "attention", "cnn", "bigru"])
@pytest.mark.parametrize("budget", [500, 3000, 80_102])
@pytest.mark.parametrize("words_per_row", [1.0, 2.0])
def test_a_budget_of_parameters_is_filled_to_the_last_row(architecture, budget, words_per_row):
    params = fill(
        settings(architecture=architecture, embedding_dim=3, hidden=5), 6, budget, "parameters", words_per_row
    )
    rows = params.embedding_rows or params.vocab_size
    assert params.vocab_size == pytest.approx(words_per_row * rows, abs=1)
    more = params.model_copy(update={"vocab_size": params.vocab_size + 2, "embedding_rows": rows + 1})
    assert expected_size(params, 6, "parameters") <= budget < expected_size(more, 6, "parameters")


def test_a_student_that_does_not_fit_is_none():
    assert fill(settings(architecture="bigru", hidden=64), 6, 1000, "parameters") is None


@pytest.mark.parametrize(("bits", "rows"), [(2, None), (4, None), (None, None), (4, 30)])
def test_the_expected_bytes_are_right_within_some_percent(bits, rows, data):
    sizes = {
        "vocab_size": 90,
        "embedding_rows": rows,
        "embedding_dim": 8,
        "hidden": 16,
        "weight_bits": bits,
        "fingerprint_bits": 4,
    }
    params = settings(architecture="cnn", epochs=1, **sizes)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    size = len(trained.student.to_bytes())
    expected = expected_size(params, 3, "bytes")
    assert 0.98 * size <= expected <= 1.1 * size + 10


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
        space = SearchSpace(settings(), 3, budget, "parameters")
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
            assert params.hidden != FIRST[0]["hidden"]
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
    space = SearchSpace(settings(), 3, 1000, "parameters")
    assert run.results(study, space) == [result(100, 0.8)]


def test_the_report_and_the_figure_show_the_chosen_student(tmp_path):
    tried = [result(100, 0.8), result(1200, 0.9), result(2300, 0.1)]
    for teacher, reason in (
        (0.905, "The smallest student within 1.0 points of the teacher (90.50%):"),
        (0.95, "No student is within 1.0 points of the teacher (95.00%). The best one:"),
        (None, "The best student:"),
    ):
        text = markdown(tried, tried[1], "macro-F1", teacher, 0.01)
        assert "| **1,200** | **1,200** | **90.00** | architecture=mlp hidden=1200 |" in text
        assert f"\n{reason}\n\n    dvc exp run -S student.architecture=mlp -S student.hidden=1200\n\n" in text
        assert "by its validation macro-F1" in text
        pareto_figure(tried, tried[:2], tried[1], "bytes", teacher, "accuracy", tmp_path / "front.png")
        assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


class TestJournal:
    def test_a_partial_line_is_removed(self, tmp_path):
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
        with pytest.raises(PotstillError, match="damaged, or not the journal of a search\\. Name another file"):
            from_name(str(path)).open()
        assert path.read_text() == text

    @pytest.mark.parametrize("line", ["null", "[]", "{}", '{"op_code": 99}', '{"op_code": null}'])
    def test_a_damaged_journal_of_potstills_own_is_replaced(self, tmp_path, capsys, line):
        path = tmp_path / "journal"
        optuna.create_study(storage=from_name(str(path)).open(), study_name="one")
        discard_if_damaged(path)
        assert optuna.get_all_study_names(from_name(str(path)).open()) == ["one"]
        assert not capsys.readouterr().out
        with path.open("a") as file:
            file.write(line + "\n")
        with pytest.raises(PotstillError, match="damaged, or not the journal of a search"):
            from_name(str(path)).open()
        discard_if_damaged(path)
        assert optuna.get_all_study_names(from_name(str(path)).open()) == []
        assert capsys.readouterr().out == f"note: {path}: damaged or of another version, so its work is repeated\n"

    def test_a_missing_folder_is_not_created(self, tmp_path):
        with pytest.raises(PotstillError, match=r"/shared: no such folder\. Create it, or mount the disk"):
            from_name(str(tmp_path / "shared" / "journal")).open()


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PotstillError, match=r"pip install -e '\.\[postgresql\]'"):
        from_name("postgresql://me@127.0.0.1/search").open()
