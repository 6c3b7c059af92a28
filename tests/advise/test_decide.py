"""The rules of `potstill advise` on made-up measurements."""

from potstill.advise.decide import choose, decide
from tests.advise.measurements import NONE, SURE, WORSE, numbers


def advice(measured):
    return {statement.topic.split("?")[0]: statement for statement in decide(measured)}


def test_a_significant_difference_overrules_the_word_order_sensitivity():
    assert choose(numbers({"bigru, bag": SURE}, wos=0.1)) == "bigru"
    assert choose(numbers({"bigru, bag": WORSE}, wos=0.9)) == "bag"
    assert "contradicts" in advice(numbers({"bigru, bag": SURE}, wos=0.1))["Which student"].claim
    assert "contradicts" not in advice(numbers({"bigru, bag": SURE}, wos=0.5))["Which student"].claim


def test_the_word_order_sensitivity_decides_between_students_that_do_not_differ():
    assert choose(numbers({"bigru, bag": NONE}, wos=0.1)) == "bag"
    assert choose(numbers({"bigru, bag": NONE}, wos=0.5)) == "bigru"
    assert advice(numbers({"bigru, bag": NONE}, wos=0.5))["Which student"].confidence == "inconclusive"


def test_a_larger_student_has_to_be_significantly_better():
    assert choose(numbers({"large bigru, bigru": NONE})) == "bigru"
    assert choose(numbers({"large bigru, bigru": SURE})) == "large bigru"
    measured = numbers({"large bigru, bigru": SURE, "bigru, bag": WORSE})
    assert choose(measured) == "bag"
    measured["models"][-1]["accuracy"] += 0.1
    assert choose(measured) == "large bigru"


def test_a_teacher_that_is_not_better_than_tfidf_is_not_worth_distilling():
    said = advice(numbers({"teacher, TF-IDF": NONE}, wos=0.9))
    assert said["Is distillation worth it"].claim.startswith("Not with this teacher")
    assert said["How much unlabelled text"].claim.startswith("None with this teacher")
    assert "--teacher roberta" in said["A larger teacher"].command
    assert "small transformer" not in said["Which student"].claim
    assert "small transformer" in advice(numbers(wos=0.9))["Which student"].claim


def test_a_teacher_that_is_worse_than_tfidf_allows_no_conclusion_about_others():
    said = advice(numbers({"teacher, TF-IDF": WORSE}))
    assert said["Is distillation worth it"].claim.startswith("Not on this sample")
    for topic in ("More labels", "A larger teacher"):
        assert said[topic].confidence == "inconclusive"
        assert said[topic].command == "potstill advise --rows 3000"


def test_models_that_do_not_beat_the_most_frequent_class_are_reported():
    measured = numbers({"teacher, TF-IDF": NONE})
    assert "most frequent" not in advice(measured)["Is distillation worth it"].claim
    assert "most frequent" in advice(measured | {"majority": 0.89})["Is distillation worth it"].claim


def test_where_tfidf_suffices_no_larger_teacher_is_advised():
    measured = numbers({"teacher, TF-IDF": NONE})
    next(m for m in measured["models"] if m["name"] == "TF-IDF")["accuracy"] = 0.98
    said = advice(measured)
    assert said["Is distillation worth it"].claim.startswith("No: TF-IDF")
    assert said["A larger teacher"].command is None


def test_hard_labels_that_are_as_good_are_mentioned():
    assert "hard labels" in advice(numbers({"bigru, on labels": NONE}))["Is distillation worth it"].claim
    assert "hard labels" not in advice(numbers())["Is distillation worth it"].claim


def test_a_student_worse_than_its_teacher_needs_text_first():
    said = advice(numbers({"bigru, teacher": WORSE}))
    assert said["A larger teacher"].claim.startswith("Not yet")
    assert said["Will the student ship"].claim.startswith(("Perhaps", "Probably not"))


def test_a_student_as_good_as_its_teacher_would_follow_a_better_one():
    assert advice(numbers({"bigru, teacher": NONE}, wos=0.5))["A larger teacher"].claim.startswith("Likely to help")
    assert advice(numbers({"bigru, teacher": NONE}, wos=0.1))["A larger teacher"].confidence == "inconclusive"
    assert advice(numbers({"bigru, teacher": NONE}))["Will the student ship"].claim.startswith("Yes")


def test_how_much_text_is_needed_follows_from_the_curve():
    steep = advice(numbers(accuracies=(0.5, 0.65, 0.755)))["How much unlabelled text"]
    assert "As much as you can get" in steep.claim
    flat = advice(numbers(accuracies=(0.838, 0.839, 0.841)))["How much unlabelled text"]
    assert "You have enough" in flat.claim
    unsure = advice(numbers({"bigru, on a quarter": NONE}))["How much unlabelled text"]
    assert unsure.confidence == "inconclusive"
    assert "replace it" in advice(numbers(train_as_unlabelled=True))["How much unlabelled text"].evidence


def test_labels_help_only_if_the_teacher_still_learns():
    assert advice(numbers())["More labels"].claim.startswith("Yes")
    assert advice(numbers({"teacher, on half": NONE}))["More labels"].claim.startswith("Probably not")
