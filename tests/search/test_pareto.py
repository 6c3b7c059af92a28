from potstill.search.results import pareto_front, recommend
from tests.search.results import result


def test_the_pareto_front_leaves_out_what_is_larger_and_not_better():
    small, good, worse, same = result(10, 0.8), result(20, 0.9), result(30, 0.85), result(25, 0.9)
    assert pareto_front([worse, same, good, small], "parameters") == [small, good]


def test_the_smallest_student_within_the_margin_is_recommended():
    front = [result(10, 0.8), result(20, 0.9), result(30, 0.91)]
    assert recommend(front, teacher=0.905, margin=0.01) == front[1]
    assert recommend(front, teacher=0.95, margin=0.01) is None
