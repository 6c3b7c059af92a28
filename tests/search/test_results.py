import pytest

from potstill.evaluate.plots.figure import pareto_figure
from potstill.search.results import markdown
from tests.search.results import result


@pytest.mark.slow
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
