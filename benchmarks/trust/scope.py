"""Which texts of another kind a student finds, and whether its false-alarm rate holds: `make benchmark-trust`.

It reads what `make benchmark-board` left in its clones, and gives their students the scores of the present version,
whose rare rows are those of the train and unlabelled texts. Texts of another kind are those of the other tasks, and for
clinc150 also its real out-of-scope questions. In each draw the threshold is fitted on as many texts as validation has,
drawn with replacement from validation and test, whose share below it is then the true rate of that draw. The rates on
the test split are those of the pipeline, whose validation has also chosen the student.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from board import TASKS, TEACHER
from runs import WORK, Row
from trust import rows as results

from potstill.core import paths
from potstill.core.labels import probabilities
from potstill.data.dataset import Dataset
from potstill.export.scope import WEIGHT, fit, known_texts, rare_rows
from potstill.runtime.facts import RARE
from potstill.runtime.model import FILE, Student
from potstill.runtime.scope import FACT, energy, score
from potstill.scoring import model

RATES = (0.01, 0.05)
GOAL = 0.8  # found of clinc150's questions at the second rate
MOST, OTHERS = 3000, 250  # texts of a split, and test texts of each other task
DRAWS = 1000
SEED = 0


def texts(task: str, split: str, most: int) -> list[str]:
    """Return some texts of a split of a task."""
    found = Dataset.load(WORK / f"board-{task}" / paths.PREPARED, unlabelled=False).split(split)["text"]
    return found.sample(min(most, len(found)), random_state=SEED).tolist()


def measure(task: str, outside: dict[str, list[str]]) -> list[Row]:
    """Return the rows of a task.

    Args:
        task: the task.
        outside: texts of another kind, by their name.
    """
    clone = WORK / f"board-{task}"
    student, teacher = Student.load(clone / paths.EXPORT / FILE), model.load(clone / "models/teacher" / TEACHER)
    rare = rare_rows(student, known_texts(clone / paths.PREPARED))
    student.facts[FACT] = {"weight": WEIGHT, RARE: rare}
    scorers = {
        "student": lambda given: score(student, given)[1],
        "student, energy alone": lambda given: energy(student.decision_function(given), False),
        "teacher's maximum softmax": lambda given: probabilities(teacher.logits(given), False).max(1),
    }
    validation, test = (texts(task, split, MOST) for split in ("validation", "test"))
    rows = []

    def add(what: str, name: str, target: float | None, held: float, draws: int = DRAWS) -> None:
        row = {"task": task, "what": f"scope: {what}", "model": name, "target": target}
        rows.append(row | {"held": round(float(held), 4), "draws": draws})

    for name, scorer in scorers.items():
        of_validation, of_test = scorer(validation), scorer(test)
        known = np.concatenate([of_validation, of_test])
        of_outside = {kind: scorer(given) for kind, given in outside.items()}
        for rate in RATES:
            rng = np.random.default_rng(SEED)
            facts = [fit(rng.choice(known, len(validation)), rate) for _ in range(DRAWS)]
            thresholds = np.array([[fact["threshold"]] for fact in facts])
            for kind, found in of_outside.items():
                goal = GOAL if kind != "other tasks" and rate == RATES[1] and name == "student" else None
                add(f"found of {kind} at {rate:.0%} false alarms", name, goal, (found < thresholds).mean())
            if name == "student":
                rates = (known < thresholds).mean(1)
                add(f"mean false alarms of {rate:.0%}", name, rate, rates.mean())
                high = facts[0]["false_alarms_high"]
                add(f"upper bound of {rate:.0%} false alarms", name, 0.95, (rates <= high).mean())
                threshold = fit(of_validation, rate)["threshold"]
                add(f"false alarms of {rate:.0%} on the test split", name, rate, (of_test < threshold).mean(), 1)
    return rows


def main() -> None:
    """Measure each task, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with clinc150/oos.csv")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="the tasks to measure")
    args = parser.parse_args()
    tests = {task: texts(task, "test", OTHERS) for task in args.tasks}
    rows = []
    for task in args.tasks:
        outside = {"other tasks": [text for other, found in tests.items() if other != task for text in found]}
        if task == "clinc150":
            outside["its out-of-scope questions"] = pd.read_csv(args.data / task / "oos.csv")["text"].tolist()
        found = measure(task, outside)
        print(task, *(f"  {row['what']}, {row['model']}: {row['held']:.4f}" for row in found), sep="\n", flush=True)
        rows += found
    results.write(rows)


if __name__ == "__main__":
    main()
