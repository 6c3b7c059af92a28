"""The verdict: whether the student ships."""

import pytest

from potstill.evaluate.verdict import judge


def paired(low, high):
    return {"difference": (low + high) / 2, "difference_low": low, "difference_high": high}


SCORES = {"accuracy": 0.929, "accuracy_low": 0.917, "accuracy_high": 0.939, "macro_f1": 0.88}
STUDENT = SCORES | {"parameters": 2574, "bytes": 2900}
BASELINE = {"bytes": 400_000}
BETTER = paired(0.05, 0.08)


def decide(versus_teacher, versus_baseline=BETTER, margin=0.01, majority=0.35, baseline=BASELINE, **remarks):
    of = (STUDENT, baseline, versus_teacher, versus_baseline)
    return judge(*of, texts=1000, margin=margin, majority=majority, **remarks)


@pytest.mark.parametrize(
    ("teacher", "baseline", "decision", "says"),
    [
        (paired(-0.008, 0.01), BETTER, "ship", "may be up to 0.8 points less accurate"),
        (paired(-0.008, -0.001), BETTER, "ship", "may be up to 0.8 points less accurate"),  # a loss, but a small one
        (paired(0.001, 0.01), BETTER, "ship", "is not less accurate"),
        (paired(-0.035, -0.02), BETTER, "do not ship", "It is significantly less accurate than its teacher"),
        (paired(-0.015, -0.001), BETTER, "do not ship", "It is significantly less accurate than its teacher"),
        (paired(-0.012, 0.01), BETTER, "cannot tell yet", "up to 1.2 points less accurate"),  # a wide interval
        (paired(-0.008, 0.01), paired(-0.08, -0.001), "do not ship", "significantly less accurate than TF-IDF"),
        (paired(-0.02, 0.01), paired(-0.08, -0.001), "do not ship", "significantly less accurate than TF-IDF"),
        (paired(-0.008, 0.01), paired(-0.001, 0.08), "cannot tell yet", "It is not significantly better than TF-IDF"),
        (None, BETTER, "cannot tell yet", "no predictions"),
        (None, paired(-0.08, -0.001), "do not ship", "no predictions"),
    ],
)
def test_a_student_ships_if_all_is_shown_and_does_not_if_a_loss_is_shown(teacher, baseline, decision, says):
    answer = decide(teacher, baseline)
    assert answer.decision == decision
    assert says in answer.details
    assert "2,574 parameters and 2,900 bytes" in answer.details
    assert (answer.texts_needed is None) == (decision != "cannot tell yet" or teacher is None)


@pytest.mark.parametrize(
    ("baseline_bytes", "decision", "says"),
    [
        (2900, "do not ship", "which would do: its file is not larger (2,900 bytes)"),
        (2901, "cannot tell yet", "which would do if the size of its file does not matter (2,901 bytes)"),
    ],
)
def test_tfidf_would_do_if_it_is_non_inferior_to_the_student(baseline_bytes, decision, says):
    answer = decide(paired(-0.005, 0.005), paired(-0.005, 0.01), baseline={"bytes": baseline_bytes})
    assert answer.decision == decision
    assert says in answer.details
    # A larger gain is possible, so this is not shown.
    answer = decide(paired(-0.005, 0.005), paired(-0.005, 0.011), baseline={"bytes": baseline_bytes})
    assert answer.decision == "cannot tell yet"
    assert "would do" not in answer.details


@pytest.mark.parametrize(
    ("teacher", "baseline", "needed", "promising", "says"),
    [
        # n = 1002 · (2.80 / 1.96 · half of the interval / distance to −1 point, or to 0 points if that is farther)²
        (paired(-0.012, 0.010), BETTER, 3100, True, "About 3,100 test texts would show, "),
        (paired(-0.011, 0.003), BETTER, 2800, True, "that it should ship (found: 1,000)"),
        (paired(-0.015, 0.003), BETTER, 4700, False, "that it should not ship (found: 1,000)"),
        (paired(-0.025, 0.005), BETTER, 4700, False, "that it should not ship"),
        (paired(-0.1, 0.1), BETTER, None, True, "More than 100,000 test texts would show"),
        # All requirements must be met to ship; one that is missed suffices not to.
        (paired(-0.012, 0.010), paired(-0.001, 0.011), 3100, True, "3,100"),
        (paired(-0.012, 0.010), paired(-0.003, 0.011), 6300, True, "6,300"),
        (paired(-0.012, 0.010), paired(-0.02, 0.001), 2600, False, "2,600"),
        (paired(-0.005, 0.010), paired(-0.02, 0.02), None, True, "More than 100,000"),
    ],
)
def test_it_says_how_many_test_texts_would_decide(teacher, baseline, needed, promising, says):
    answer = decide(teacher, baseline)
    assert answer.decision == "cannot tell yet"
    assert (answer.texts_needed, answer.promising) == (needed, promising)
    assert says in answer.details


def test_a_small_tfidf_as_accurate_as_the_student_is_shown_with_finitely_many_texts():
    of = (paired(-0.005, 0.005), paired(-0.02, 0.02))
    assert decide(*of).texts_needed is None
    answer = decide(*of, baseline={"bytes": 1000})
    assert (answer.texts_needed, answer.promising) == (8200, False)


def test_where_test_texts_are_few_validation_is_a_remark():
    pooled = paired(-0.006, 0.003), 1500
    says = "On the 1,500 validation and test texts together, the difference to its teacher has a 95% CI −0.6 to +0.3"
    answer = decide(paired(-0.02, 0.01), pooled=pooled)
    assert says in answer.details
    assert "optimistic" in answer.details
    assert answer.decision == "cannot tell yet"
    assert says not in decide(paired(-0.014, 0.004), pooled=pooled).details  # equals would be decided
    assert says not in decide(paired(-0.03, -0.001), pooled=pooled).details  # it is decided


def test_the_margin_is_a_parameter():
    assert decide(paired(-0.015, 0), margin=0.02).decision == "ship"
    assert "2 points allowed" in decide(paired(-0.015, 0), margin=0.02).details
    assert "(95% CI −1.5 to +0.0 points; 1 point allowed)" in decide(paired(-0.015, 0)).details


def test_a_teacher_that_is_no_better_than_tfidf_is_named():
    says = "Its teacher is not significantly better than TF-IDF either (95% CI −2.0 to +1.0 points), so there is little"
    poor, good = paired(-0.02, 0.01), paired(0.02, 0.03)
    assert says in decide(paired(-0.03, 0), paired(-0.01, 0.01), teacher_versus_baseline=poor).details
    assert "Its teacher" not in decide(paired(-0.03, 0), paired(-0.01, 0.01), teacher_versus_baseline=good).details
    assert "Its teacher" not in decide(paired(-0.03, 0), BETTER, teacher_versus_baseline=poor).details


def test_a_better_network_on_hard_labels_is_named():
    verdict = decide(paired(-0.005, 0), versus_hard=paired(-0.03, -0.01))
    assert (
        "trained on hard labels, is significantly better (student minus network: 95% CI −3.0 to −1.0 points)"
        in verdict.details
    )
    assert verdict.decision == "ship"
    assert "hard labels" not in decide(paired(-0.005, 0), versus_hard=paired(-0.03, 0.01)).details


def test_an_accuracy_no_better_than_the_majority_class_is_named():
    says = "predicting the most frequent class has an accuracy of 92.0%, so judge the student by its macro-F1, 88.0%"
    assert says in decide(paired(0, 0.1), majority=0.92).details
    assert "most frequent" not in decide(paired(0, 0.1), majority=0.91).details
    worse = decide(paired(0, 0.1), majority=0.95)
    assert worse.reasons[2].text == (
        "It is significantly less accurate than always predicting the most frequent class (95.0%): use it only if its "
        "macro-F1, 88.0%, is what counts"
    )
