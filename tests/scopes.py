"""Students that know which texts are out of scope, and texts of both kinds."""

import dataclasses

import numpy as np

from potstill.runtime import scope
from tests.students import ODD

TEXTS = [*(text for text in ODD if len(text) < 1000), "the", "not good", "a ab unheard", "ça ss", "café! x"]
FACT = {"threshold": 0.0, "false_alarms": 0.01, "false_alarms_high": 0.02, "texts": 100}
RARE = {"weight": 2.5, "rare": [1, 1, 1]}  # the first and the third row


def scoped(made, rare=RARE):
    """The student with a threshold that lies between the scores of `TEXTS`."""
    scores = np.unique(np.round(scope.score(dataclasses.replace(made, facts={scope.FACT: rare}), TEXTS)[1], 3))
    middle = len(scores) // 2
    fact = FACT | rare | {"threshold": float(scores[middle - 1 : middle + 1].mean())}
    return dataclasses.replace(made, facts={scope.FACT: fact})
