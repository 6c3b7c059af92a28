"""Rules that turn the numbers of `measure` into advice, without any training, so that each can be tested.

The thresholds were set before the first run on the tasks that they are checked against (benchmarks/README.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from potstill.advise.curve import Curve
from potstill.advise.measure import CANDIDATES, DISTILLATION
from potstill.advise.sample import FRACTIONS
from potstill.evaluate.word_order import recommended_architecture

Measured = Mapping[str, Any]  # what `measure` returned

EASY_ERROR = 0.03  # of TF-IDF, up to which a teacher has nothing to improve
MIN_GAIN = 0.005  # of accuracy, that a doubling of the texts must bring
MAX_EXTRAPOLATION = 16  # a learning curve is used up to this multiple of its largest number of texts
UNKNOWN_TEXTS = 0.3  # share of texts with a word that no text of the task has, above which borrowed words may help


@dataclass(frozen=True)
class Statement:
    """A piece of advice.

    Attributes:
        topic: the question that it answers.
        claim: the answer.
        evidence: the numbers that support it.
        confidence: `measured` (the 95% interval on the sample excludes any other answer), `likely` (extrapolated beyond
            the sample) or `inconclusive` (the sample does not decide it).
        command: what to run, if anything; None otherwise.
    """

    topic: str
    claim: str
    evidence: str
    confidence: str
    command: str | None = None


def decide(measured: Measured) -> list[Statement]:
    """Return the advice.

    Args:
        measured: what `measure` returned, with `teacher` (the name of its preset) and `non_inferiority_margin` (a
            fraction).
    """
    student = choose(measured)
    return [
        worth_it(measured, student),
        which_student(measured, student),
        ships(measured, student),
        more_text(measured, student),
        more_labels(measured),
        larger_teacher(measured, student),
    ]


def choose(measured: Measured) -> str:
    """Return the best candidate, or the smaller of two that do not differ significantly."""
    order, size = measured["paired"]["bigru, bag"], measured["paired"]["large bigru, bigru"]
    bag, large = (on_all_texts(measured, name, "distilled")["accuracy"] for name in ("bag", "large bigru"))
    larger = size["difference_low"] > 0
    ordered = order["difference_low"] > 0 or (order["difference_high"] >= 0 and published_choice(measured) != "bag")
    if not ordered and not (larger and large > bag):
        return "bag"
    return "large bigru" if larger else "bigru"


def worth_it(measured: Measured, student: str) -> Statement:
    """Decide whether the teacher is better than TF-IDF, and whether a student keeps the difference."""
    paired, curve_student = measured["paired"], student_with_curve(student)
    kept, over_labels = paired[f"{student}, TF-IDF"], paired[f"{curve_student}, on labels"]
    headroom = paired["teacher, TF-IDF"]
    key, name = second_score(measured)
    teacher, tfidf = (on_all_texts(measured, model, "hard") for model in ("teacher", "TF-IDF"))
    evidence = (
        f"teacher against TF-IDF: {interval(headroom)}; {student} against TF-IDF: {interval(kept)}; "
        f"{curve_student}, distilled against hard labels: {interval(over_labels)}; "
        f"{name}: teacher {100 * teacher[key]:.0f}, TF-IDF {100 * tfidf[key]:.0f}; "
        f"accuracy of the most frequent class: {measured['majority']:.0%}"
    )
    topic = "Is distillation worth it?"
    if is_easy(measured):
        claim = f"No: TF-IDF with logistic regression has an accuracy of {tfidf['accuracy']:.0%}."
        return Statement(topic, claim, evidence, "measured")
    if headroom["difference_low"] <= 0:
        claim = "Not with this teacher: it is not significantly better than TF-IDF with logistic regression."
        if not teacher_learns(measured):
            claim = "Not on this sample: the teacher is significantly worse than TF-IDF with logistic regression."
        if max(teacher["accuracy_low"], tfidf["accuracy_low"]) <= measured["majority"]:
            claim += " Neither is significantly better than always predicting the most frequent class."
        return Statement(topic, claim, evidence, "measured" if headroom["difference_high"] < 0 else "inconclusive")
    if kept["difference_low"] > 0:
        share = kept["difference"] / headroom["difference"]
        claim = f"Yes: the student keeps {share:.0%} of the teacher's advantage over TF-IDF."
        if over_labels["difference_low"] <= 0:
            claim += " But it is not significantly better than the same network trained on hard labels."
        return Statement(topic, claim, evidence, "measured", "dvc repro")
    claim = "Perhaps: the teacher is better than TF-IDF, but the student is not significantly better."
    return Statement(topic, claim, evidence, "inconclusive")


def which_student(measured: Measured, student: str) -> Statement:
    """Decide on the architecture and the size."""
    paired, order = measured["paired"], measured["word_order"]
    bag, published = paired["bigru, bag"], published_choice(measured)
    significant = bag["difference_low"] > 0 or bag["difference_high"] < 0
    large = paired["large bigru, bigru"]
    evidence = f"bigru against bag: {interval(bag)}; large bigru against bigru: {interval(large)}"
    if order:
        evidence += f"; word-order sensitivity {order['wos']:.2f}, for which Wasserblat (2021) recommends a {published}"
    size = f"{on_all_texts(measured, student, 'distilled')['parameters']:,} parameters"
    distillable = paired["teacher, TF-IDF"]["difference_low"] > 0
    claim = f"{'Take' if distillable else 'If any, take'} `{student}` ({size}): "
    if student == "bag":
        claim += "word order does not help." if significant else "`bigru` does not differ significantly and is slower."
    elif student == "bigru":
        claim += "word order helps; " if significant else ""
        claim += "a larger one is not significantly better."
    else:
        claim += "smaller students are significantly worse."
    if significant and published in ("bag", "recurrent network") and (published == "bag") != (student == "bag"):
        claim += " This contradicts the word-order sensitivity; the measured students count."
    if distillable and published == "small transformer":
        claim += " Word order matters so much that you may need a small transformer, such as the teacher itself."
    return Statement("Which student?", claim, evidence, "measured" if significant else "inconclusive", _train(student))


def ships(measured: Measured, student: str) -> Statement:
    """Predict whether `evaluate` lets the student ship, with the teacher of the sample."""
    loss, margin = measured["paired"][f"{student}, teacher"], measured["non_inferiority_margin"]
    gain = measured["paired"][f"{student}, TF-IDF"]
    topic = "Will the student ship?"
    if gain["difference_low"] <= 0:
        claim = "Probably not: it is not significantly better than TF-IDF."
        return Statement(topic, claim, f"{student} against TF-IDF: {interval(gain)}", "likely")
    evidence = f"{student} against its teacher: {interval(loss)}, margin {points(margin)}"
    if loss["difference_low"] >= -margin:
        return Statement(topic, "Yes: on this sample it is non-inferior to its teacher.", evidence, "likely")
    if loss["difference_high"] >= -margin:
        claim = "Unclear: the sample is too small to show whether it is non-inferior to its teacher."
        return Statement(topic, claim, evidence, "inconclusive")
    curve = learning_curve(measured, student_with_curve(student), "distilled")
    available = available_texts(measured)
    size = min(available, MAX_EXTRAPOLATION * curve.largest)
    now = on_all_texts(measured, student, "distilled")["accuracy"]
    expected = now + max(0.0, curve.error(curve.largest) - curve.error(size))
    teacher = on_all_texts(measured, "teacher", "hard")["accuracy"]
    evidence += f"; its learning curve predicts {expected:.1%} on all {available:,} texts; "
    evidence += f"the teacher has {teacher:.1%}"
    if expected >= teacher - margin:
        claim = "Perhaps: it is too far below its teacher now, but more text may close the gap."
        return Statement(topic, claim, evidence, "inconclusive")
    claim = "Probably not: it is too far below its teacher, and more text is not enough."
    return Statement(topic, claim, evidence, "likely")


def more_text(measured: Measured, student: str) -> Statement:
    """Decide how much unlabelled text is worth collecting."""
    name = student_with_curve(student)
    gain, curve = measured["paired"][f"{name}, on a quarter"], learning_curve(measured, name, "distilled")
    texts, available = measured["rows"]["transfer"], available_texts(measured)
    unknown, outside = (measured["out_of_vocabulary"][part]["texts"] for part in ("all", "sample"))
    evidence = (
        f"{name}, {texts // FRACTIONS[0]:,} to {texts:,} texts labelled by the teacher: {interval(gain)}; "
        f"{outside:.0%} of the validation texts have a word that the sample lacks, {unknown:.0%} one that all lack"
    )
    borrow = "dvc exp run -S pool.replace=2 -S pool.borrow=2" if unknown > UNKNOWN_TEXTS else None
    if measured["train_as_unlabelled"]:
        evidence += "; there is no unlabelled text, so train texts without their labels replace it"
    topic = "How much unlabelled text?"
    if measured["paired"]["teacher, TF-IDF"]["difference_low"] <= 0:
        claim = "None with this teacher: it is not significantly better than TF-IDF, and it limits what students learn."
        return Statement(topic, claim, evidence, "likely")
    if gain["difference_low"] <= 0:
        claim = "No more than you have: on the sample, four times as much text did not help significantly."
        return Statement(topic, claim, evidence, "inconclusive", borrow)
    evidence += f"; {points(gain['difference'] / (len(FRACTIONS) - 1))} per doubling"
    limit = MAX_EXTRAPOLATION * curve.largest
    wanted = int(float(f"{curve.saturation(MIN_GAIN, limit):.1e}"))  # two significant digits
    reach = "at least " if wanted >= limit else ""
    have = f"by the learning curve, a doubling gains {points(MIN_GAIN)} up to {reach}{wanted:,} texts; "
    have += f"you have {available:,}, train included."
    if wanted > available:
        command = borrow or "dvc exp run -S 'prepare.unlabelled=[more.txt]'"
        return Statement(topic, f"As much as you can get: {have}", evidence, "likely", command)
    return Statement(topic, f"You have enough: {have}", evidence, "likely", borrow)


def more_labels(measured: Measured) -> Statement:
    """Decide whether more labels make a better teacher."""
    gain, train = measured["paired"]["teacher, on half"], measured["rows"]["train"]
    curve = learning_curve(measured, "teacher", "hard")
    half = by_size(measured, "teacher", "hard")[0]["texts"]
    evidence = f"teacher, {half:,} to {curve.largest:,} labels: {interval(gain)}"
    topic = "More labels?"
    if not teacher_learns(measured):
        claim = "Unclear: the sample is too small for the teacher. Run this again with more rows."
        return Statement(topic, claim, evidence, "inconclusive", _repeat(measured))
    if gain["difference_low"] <= 0:
        claim = "Probably not: twice as many labels did not make the teacher significantly better."
        return Statement(topic, claim, evidence, "inconclusive")
    claim = "Yes: the teacher improves with the number of labels."
    if train > curve.largest:
        size = min(train, MAX_EXTRAPOLATION * curve.largest)
        claim += f" By its learning curve, all {train:,} may bring it to {1 - curve.error(size):.0%}."
    evidence += f"; twice the {train:,} train rows: {points(curve.gain(train))}, by the learning curve"
    return Statement(topic, claim, evidence, "likely")


def larger_teacher(measured: Measured, student: str) -> Statement:
    """Decide whether a larger teacher is likely to improve the student."""
    paired, order = measured["paired"], measured["word_order"]
    loss, headroom = paired[f"{student}, teacher"], paired["teacher, TF-IDF"]
    evidence = f"{student} against its teacher: {interval(loss)}"
    if order:
        evidence += f"; word-order sensitivity {order['wos']:.2f}"
    topic = "A larger teacher?"
    if is_easy(measured):
        return Statement(topic, "No: TF-IDF leaves nothing to gain.", evidence, "measured")
    if headroom["difference_low"] <= 0:
        evidence = f"teacher against TF-IDF: {interval(headroom)}"
        if not teacher_learns(measured):
            claim = "Unclear: the sample is too small for this one. Run this again with more rows first."
            return Statement(topic, claim, evidence, "inconclusive", _repeat(measured))
        claim = "Try one first: this one is hardly better than TF-IDF. The command trains a larger one on the sample."
        return Statement(topic, claim, evidence, "inconclusive", "potstill advise --teacher roberta")
    if loss["difference_high"] < 0:
        claim = "Not yet: the student is worse than this one already. First try more text and a larger student."
        return Statement(topic, claim, evidence, "likely")
    if order and published_choice(measured) == "bag":
        claim = "Perhaps: the student is as good as its teacher, so it could follow a better one; but where word order "
        claim += "matters little, larger teachers are seldom much better. First try more labels, or two teachers."
        return Statement(topic, claim, evidence, "inconclusive")
    claim = "Likely to help: the student is as good as its teacher, so it could follow a better one."
    command = "dvc exp run -S 'teacher.checkpoints=[roberta]' -S 'label.teachers=[roberta]'"
    return Statement(topic, claim, evidence, "likely", command)


def _train(student: str) -> str:
    """Return the command that trains a candidate on the whole task."""
    options = [f"-S student.{key}={value}" for key, value in (CANDIDATES[student] | DISTILLATION[student]).items()]
    if student == "bag":  # it learns best from texts that are close to real ones
        options.append("-S 'student.sources=[train,unlabelled,replace,splice]'")
    return " ".join(["dvc exp run", *options])


def _repeat(measured: Measured) -> str | None:
    """Return the command that uses twice as many rows, if the task has them."""
    rows = 2 * measured["rows"]["sample"]
    return f"potstill advise --rows {rows}" if rows < measured["rows"]["train"] else None


# What was measured


def interval(test: Mapping[str, Any]) -> str:
    """Format a paired difference with its 95% interval."""
    low, high = (f"{100 * test[f'difference_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return f"{points(test['difference'], '+')} ({low} to {high})"


def points(fraction: float, sign: str = "") -> str:
    """Format a fraction in percentage points."""
    return f"{100 * fraction:{sign}.1f} points".replace("-", "−")


def is_easy(measured: Measured) -> bool:
    """Return whether TF-IDF leaves next to no error."""
    return 1 - on_all_texts(measured, "TF-IDF", "hard")["accuracy"] <= EASY_ERROR


def teacher_learns(measured: Measured) -> bool:
    """Return whether the teacher is not significantly worse than TF-IDF; if it is, the sample is too small for it."""
    return measured["paired"]["teacher, TF-IDF"]["difference_high"] >= 0


def published_choice(measured: Measured) -> str:
    """Return what Wasserblat 2021 recommends at this word-order sensitivity; a bag if no text has an order."""
    order = measured["word_order"]
    return "bag" if order is None else recommended_architecture(order["wos"])


def second_score(measured: Measured) -> tuple[str, str]:
    """Return the key and the name of the score next to accuracy: micro-F1 in a multi-label task."""
    multi_label = "micro_f1" in measured["models"][0]
    return ("micro_f1", "micro-F1 × 100") if multi_label else ("matthews", "Matthews × 100")


def available_texts(measured: Measured) -> int:
    """Return the number of texts of the task, labelled or not."""
    return measured["rows"]["train"] + measured["rows"]["unlabelled"]


def student_with_curve(student: str) -> str:
    """Return the student of the same kind that was also trained on fractions of the texts."""
    return "bag" if student == "bag" else "bigru"


def learning_curve(measured: Measured, name: str, training: str) -> Curve:
    """Return the learning curve of a model."""
    models = by_size(measured, name, training)
    return Curve.fit([m["texts"] for m in models], [1 - m["accuracy"] for m in models], measured["rows"]["validation"])


def on_all_texts(measured: Measured, name: str, training: str) -> Mapping[str, Any]:
    """Return the row of the model that was trained on the most texts."""
    return by_size(measured, name, training)[-1]


def by_size(measured: Measured, name: str, training: str) -> list[Mapping[str, Any]]:
    """Return the rows of a model in ascending order of the number of training texts."""
    found = [m for m in measured["models"] if (m["name"], m["training"]) == (name, training)]
    return sorted(found, key=lambda model: model["texts"])
