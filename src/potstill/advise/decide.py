"""From the numbers of `measure` to advice: rules only, so that every one can be tested and doubted.

The thresholds were set before the first run on the tasks that they are checked against (benchmarks/README.md).
"""

from dataclasses import dataclass

from potstill.advise.curve import Curve
from potstill.advise.evidence import (
    Measured,
    available_texts,
    easy,
    learning_curve,
    learns,
    on_all,
    points,
    pool_curve,
    prior_of,
    rounded,
    second_score,
    span,
    with_curve,
)
from potstill.advise.measure import CANDIDATES, PARTS, TRAINING

WORTH = 0.005  # of accuracy: what a doubling of the texts has to bring
FAR = 16  # a curve is not believed beyond so many times what it was fitted to
UNKNOWN = 0.3  # share of texts with a word that no text holds, from which on foreign words are worth a try


@dataclass(frozen=True)
class Statement:
    """A piece of advice.

    Attributes:
        topic: the question that it answers.
        claim: the answer.
        evidence: the numbers that it rests on.
        confidence: `measured` (the 95% interval leaves no other answer for the sample), `likely` (it goes beyond the
            sample) or `open` (the numbers do not tell).
        command: what to run, if anything; None otherwise.
    """

    topic: str
    claim: str
    evidence: str
    confidence: str
    command: str | None = None


def decide(measured: Measured) -> list[Statement]:
    """Draw conclusions from what `measure` measured, `teacher` (its preset) and `max_loss` (a fraction) added."""
    student = choose(measured)
    return [
        worth_it(measured, student),
        which(measured, student),
        ships(measured, student),
        more_text(measured, student),
        more_labels(measured),
        larger_teacher(measured, student),
    ]


def choose(measured: Measured) -> str:
    """The candidate to take: the better one, or the smaller one where the measurement does not tell them apart."""
    order, size = measured["paired"]["bigru, bag"], measured["paired"]["large bigru, bigru"]
    bag, large = (on_all(measured, name, "distilled")["accuracy"] for name in ("bag", "large bigru"))
    larger = size["difference_low"] > 0
    ordered = order["difference_low"] > 0 or (order["difference_high"] >= 0 and prior_of(measured) != "bag")
    if not ordered and not (larger and large > bag):
        return "bag"
    return "large bigru" if larger else "bigru"


def worth_it(measured: Measured, student: str) -> Statement:
    """Whether there is something to distil, and whether it arrives."""
    paired = measured["paired"]
    kept, learnt = paired[f"{student}, TF-IDF"], paired[f"{with_curve(student)}, on labels"]
    headroom = paired["teacher, TF-IDF"]
    evidence = f"teacher against TF-IDF: {span(headroom)}; {student} against TF-IDF: {span(kept)}; "
    evidence += f"{with_curve(student)}, distilled against hard labels: {span(learnt)}"
    key, called = second_score(measured)
    found = (f"{100 * on_all(measured, name, 'hard')[key]:.0f}" for name in ("teacher", "TF-IDF"))
    evidence += f"; {called}: " + "teacher {}, TF-IDF {}".format(*found)
    evidence += f"; the most frequent class: {measured['majority']:.0%}"
    topic = "Is distilling worth it?"
    if easy(measured):
        claim = f"No: TF-IDF with logistic regression is right on {on_all(measured, 'TF-IDF', 'hard')['accuracy']:.0%}."
        return Statement(topic, claim, evidence, "measured")
    if headroom["difference_low"] <= 0:
        claim = "Not with this teacher: on the sample it is not surely better than TF-IDF with logistic regression."
        if not learns(measured):
            claim = "Not on this sample: the teacher has learnt less from it than TF-IDF with logistic regression."
        if (
            max(on_all(measured, name, "hard")["accuracy_low"] for name in ("teacher", "TF-IDF"))
            <= measured["majority"]
        ):
            claim += " Neither is surely better than the most frequent class."
        return Statement(topic, claim, evidence, "measured" if headroom["difference_high"] < 0 else "open")
    if kept["difference_low"] > 0:
        share = kept["difference"] / headroom["difference"]
        claim = f"Yes: the student keeps {share:.0%} of what the teacher has over TF-IDF."
        if learnt["difference_low"] <= 0:
            claim += " But hard labels alone do as much for it."
        return Statement(topic, claim, evidence, "measured", "dvc repro")
    claim = "Perhaps: the teacher knows more than TF-IDF, but little of it arrives in the student."
    return Statement(topic, claim, evidence, "open")


def which(measured: Measured, student: str) -> Statement:
    """Which architecture and size."""
    paired, order = measured["paired"], measured["order"]
    bag = paired["bigru, bag"]
    sure = bag["difference_low"] > 0 or bag["difference_high"] < 0
    evidence = f"bigru against bag: {span(bag)}; large bigru against bigru: {span(paired['large bigru, bigru'])}"
    prior = prior_of(measured)
    if order:
        evidence += f"; word-order sensitivity {order['wos']:.2f}, for which the article would take a {prior}"
    size = f"{on_all(measured, student, 'distilled')['parameters']:,} parameters"
    distils = paired["teacher, TF-IDF"]["difference_low"] > 0
    claim = f"{'Take' if distils else 'If any,'} `{student}` ({size})"
    if student == "bag":
        claim += ": order brings nothing that counts." if sure else ": the two are not told apart, and it is faster."
    elif student == "bigru":
        claim += ": seeing order pays, a larger one does not." if sure else ": a larger one is not surely better."
    else:
        claim += ": a small one is too small."
    if sure and prior in ("bag", "recurrent network") and (prior == "bag") != (student == "bag"):
        claim += " The measured students overrule the sensitivity."
    if distils and prior == "small transformer":
        claim += " So much hangs on order here that a small transformer, the teacher itself, may be the one to ship."
    return Statement("Which student?", claim, evidence, "measured" if sure else "open", _command(student))


def ships(measured: Measured, student: str) -> Statement:
    """Whether `evaluate` is going to let the student ship, against the teacher of the sample."""
    loss, allowed = measured["paired"][f"{student}, teacher"], measured["max_loss"]
    gain = measured["paired"][f"{student}, TF-IDF"]
    evidence = f"{student} against its teacher: {span(loss)}, {points(allowed)} allowed"
    topic = "Will the student ship?"
    if gain["difference_low"] <= 0:
        claim = "Not as far as one sees: it is not surely better than TF-IDF."
        return Statement(topic, claim, f"{student} against TF-IDF: {span(gain)}", "likely")
    if loss["difference_low"] >= -allowed:
        return Statement(topic, "Yes, by the numbers of this sample.", evidence, "likely")
    if loss["difference_high"] >= -allowed:
        claim = "The sample does not tell: its loss may be small enough, but the interval is wide."
        return Statement(topic, claim, evidence, "open")
    curve, available = pool_curve(measured, student), available_texts(measured)
    size = min(available, FAR * curve.largest)
    now = on_all(measured, student, "distilled")["accuracy"]
    then = now + max(0.0, curve.error(curve.largest) - curve.error(size))
    teacher = on_all(measured, "teacher", "hard")["accuracy"]
    evidence += (
        f"; on all {available:,} texts there are, its curve would have it at {then:.1%}, the teacher has {teacher:.1%}"
    )
    if then >= teacher - allowed:
        return Statement(topic, "Perhaps: it loses too much yet, but more text may close the gap.", evidence, "open")
    return Statement(topic, "Not as far as one sees: it loses too much, and more text will not do.", evidence, "likely")


def more_text(measured: Measured, student: str) -> Statement:
    """How much unlabelled text is worth collecting."""
    name = with_curve(student)
    gain, curve = measured["paired"][f"{name}, on a quarter"], pool_curve(measured, student)
    pool, available = measured["rows"]["pool"], available_texts(measured)
    doublings = len(PARTS) - 1
    evidence = f"{name}, {pool // PARTS[0]:,} to {pool:,} texts labelled by the teacher: {span(gain)}"
    unknown, new = (measured["unknown"][part]["texts"] for part in ("to_all", "to_sample"))
    evidence += (
        f"; {new:.0%} of the validation texts hold a word that the sample lacks, {unknown:.0%} one that all lack"
    )
    borrow = "dvc exp run -S pool.replace=2 -S pool.borrow=2" if unknown > UNKNOWN else None
    if measured["stands_in"]:
        evidence += "; there is no unlabelled text, so train texts without their labels stand in for it"
    topic = "How much unlabelled text?"
    if measured["paired"]["teacher, TF-IDF"]["difference_low"] <= 0:
        claim = "None for this teacher: text brings no more than the teacher knows."
        return Statement(topic, claim, evidence, "likely")
    if gain["difference_low"] <= 0:
        claim = "No more than there is: on the sample, four times as much brought nothing that is sure."
        return Statement(topic, claim, evidence, "open", borrow)
    evidence += f"; {points(gain['difference'] / doublings)} a doubling"
    wanted = rounded(curve.worth(WORTH, FAR * curve.largest))
    far = ", as far as it is believed" if wanted >= FAR * curve.largest else ""
    enough = f"a doubling is worth {points(WORTH)} up to about {wanted:,} texts, by the curve{far}"
    if wanted > available:
        claim = f"As much as you can: {enough}; there are {available:,}, train included."
        return Statement(topic, claim, evidence, "likely", borrow or "dvc exp run -S 'prepare.unlabelled=[more.txt]'")
    claim = f"Enough is there: {enough}; there are {available:,}, train included."
    return Statement(topic, claim, evidence, "likely", borrow)


def more_labels(measured: Measured) -> Statement:
    """Whether more labels make a better teacher."""
    gain, rows = measured["paired"]["teacher, on half"], measured["rows"]
    sizes, errors = zip(*learning_curve(measured, "teacher", "hard"), strict=True)
    evidence = f"teacher, {sizes[0]:,} to {sizes[-1]:,} labels: {span(gain)}"
    topic = "More labels?"
    if not learns(measured):
        claim = "The teacher has not learnt this sample yet: ask again with more labels."
        return Statement(topic, claim, evidence, "open", _again(measured))
    if gain["difference_low"] <= 0:
        claim = "No sign that they help: twice as many did not surely make a better teacher."
        return Statement(topic, claim, evidence, "open")
    curve = Curve.fit(sizes, errors, rows["validation"])
    claim = "Yes: the teacher still learns from them."
    if rows["train"] > curve.largest:
        size = min(rows["train"], FAR * curve.largest)
        claim += f" All {rows['train']:,} may bring it to {1 - curve.error(size):.0%}, by the curve."
    after = curve.gain(rows["train"])
    evidence += f"; twice as many as the {rows['train']:,} there are: {points(after)}, by the curve"
    return Statement(topic, claim, evidence, "likely")


def larger_teacher(measured: Measured, student: str) -> Statement:
    """Whether a larger teacher is likely to help the student."""
    paired, order = measured["paired"], measured["order"]
    loss, headroom = paired[f"{student}, teacher"], paired["teacher, TF-IDF"]
    evidence = f"{student} against its teacher: {span(loss)}"
    if order:
        evidence += f"; word-order sensitivity {order['wos']:.2f}"
    command = "dvc exp run -S 'teacher.checkpoints=[roberta]' -S 'label.teachers=[roberta]'"
    topic = "A larger teacher?"
    if easy(measured):
        return Statement(topic, "No: TF-IDF leaves nothing to gain.", evidence, "measured")
    if headroom["difference_low"] <= 0:
        evidence = f"teacher against TF-IDF: {span(headroom)}"
        if not learns(measured):
            claim = "This one has not learnt the sample yet: ask again with more labels, then with a larger one."
            return Statement(topic, claim, evidence, "open", _again(measured))
        claim = "Try one before anything else: this one knows hardly more than TF-IDF. Whether a student keeps it, "
        claim += "ask again: the command trains it on the sample."
        return Statement(topic, claim, evidence, "open", "python src/advise.py --teacher roberta")
    if loss["difference_high"] < 0:
        claim = "Not first: the student does not keep all that this one knows; text and size come before."
        return Statement(topic, claim, evidence, "likely")
    if order and prior_of(measured) == "bag":
        claim = "The student is as good as its teacher, so a better one would show; but where order matters little, "
        claim += "larger ones are seldom much better. More labels, or two teachers, first."
        return Statement(topic, claim, evidence, "open")
    claim = "Likely: the student is as good as its teacher, so a better one would show."
    return Statement(topic, claim, evidence, "likely", command)


def _command(student: str) -> str:
    settings = [f"-S student.{key}={value}" for key, value in (CANDIDATES[student] | TRAINING[student]).items()]
    if student == "bag":  # which learns best from text that somebody might have written
        settings.append("-S 'student.sources=[train,unlabelled,replace,splice]'")
    return " ".join(["dvc exp run", *settings])


def _again(measured: Measured) -> str | None:
    """The command that takes twice as many rows, if there are."""
    rows = 2 * measured["rows"]["sample"]
    return f"python src/advise.py --rows {rows}" if rows < measured["rows"]["train"] else None
