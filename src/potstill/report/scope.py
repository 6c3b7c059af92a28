"""Which texts the student calls out of scope, for the report."""

from potstill.runtime.model import Classifier
from potstill.runtime.scope import FACT, sentence


def scope(student: Classifier) -> str:
    """Return sentences on the threshold in a student's facts, and on the test texts below it."""
    facts = student.facts
    if FACT not in facts:
        return "Not available: `export.scope` is null, or the student was exported by an earlier version."
    fact = facts[FACT]
    found = f"Out of scope are {sentence(fact)}."
    if "test" in fact:
        texts = facts["rows"]["test"]
        found += f" Of the {texts:,} test texts, {100 * fact['test']:.1f}% are, all of them false alarms."
    if len(student.labels) <= 2 and student.thresholds is None:
        found += " With two classes fewer texts of another kind are found than with many."
    return found
