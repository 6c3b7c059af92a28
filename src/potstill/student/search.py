"""Find the smallest student that keeps its teacher's accuracy, among the candidates of the ladder.

Without labels, the teacher's are taken for right: its accuracy is 100%, and that of a student their agreement.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

import potstill
from potstill.core import files, tracking
from potstill.core.errors import PotstillError
from potstill.data.dataset import Dataset
from potstill.scoring import model
from potstill.scoring.ensemble import average
from potstill.student import candidates, ladder
from potstill.student.candidates import Inputs, Result
from potstill.student.ladder import Row
from potstill.student.params import BY_HAND, LADDER, PARAMS, DistilParams, StudentParams


@dataclass(frozen=True)
class Found:
    """The student that was chosen.

    Attributes:
        rung: the name of its rung.
        params: its settings, with the sources of the transfer set that it was trained on.
        result: its result.
        ladder: a row for every candidate, see `ladder.table`.
    """

    rung: str
    params: DistilParams
    result: Result
    ladder: list[Row]

    def save(self, folder: Path) -> None:
        """Write its files and settings into a new folder, or replace the folder."""
        with files.atomic_write(folder) as part:
            shutil.copytree(self.result.folder, part)
            files.write_json(part / PARAMS, self.params.model_dump())


def read(
    prepared: Path,
    ensemble: Path,
    teachers: Sequence[Path],
    predictions: Sequence[Path],
    scratch: Path,
    tell: Callable[[str], object] = tqdm.write,
) -> Inputs:
    """Return what the candidates learn from.

    Args:
        prepared: the folder of the prepared data.
        ensemble: the folder of the transfer set.
        teachers: the folders of the teachers that labelled it.
        predictions: the files of their logits for validation, see `tracking.write_predictions`.
        scratch: a folder of results, with a folder for each state of data, teachers and code.
        tell: see `Inputs`.
    """
    data = Dataset.load(prepared, unlabelled=False)
    predicted = [tracking.read_predictions(path, data.labels, len(data.validation)) for path in predictions]
    # A table of probabilities or an LLM has no weights to begin with.
    checkpoints = (folder for folder in teachers if model.kind(folder) == "checkpoint")
    package = Path(potstill.__file__).parent
    # Not the folders, where Python adds what it compiles.
    code = [file for name in ("runtime", "student") for file in sorted((package / name).rglob("*.py"))]
    key = files.cache_key(*map(files.sha256, [prepared, ensemble, *teachers, *code]))
    logits = average(predicted, data.multi_label)
    several = len(teachers) > 1
    return Inputs(prepared, ensemble, next(checkpoints, None), logits, scratch / key, key, tell, several)


def search(inputs: Inputs, params: StudentParams, tell: Callable[[str], object] = tqdm.write) -> Found:
    """Choose the sources of the transfer set, and climb the ladder.

    Args:
        inputs: what the candidates learn from.
        params: the ladder and the settings.
        tell: called with a line for each result.

    Raises:
        PotstillError: no candidate can be trained.
    """
    rungs = params.candidates()
    shown = rungs if BY_HAND in rungs else params.rungs() | rungs
    # A rung of the user's own is not skipped.
    as_they_come = {name: rung for name, rung in rungs.items() if params.ladder.get(name) == LADDER.get(name)}
    excluded = candidates.excluded(shown, as_they_come, inputs)
    possible = {name: rung for name, rung in rungs.items() if name not in excluded}
    if not possible:
        _, reason = excluded[next(iter(rungs))]
        raise PotstillError(
            f"`student`: no candidate can be trained: {reason[0].lower()}{reason[1:]} Choose a student over words."
        )
    is_labelled = Dataset.load(inputs.prepared, unlabelled=False).is_labelled("validation")
    tolerance = params.tolerance if is_labelled else params.max_disagreement
    most = 2 * tolerance if is_labelled else tolerance
    possible = candidates.with_sources(inputs, possible, params.smallest, tell)
    results = candidates.climb(inputs, possible, tolerance, tell)
    rows = [result.row for result in results.values()]
    name = ladder.choose(rows, tolerance, most)
    architectures = {rung: settings.architecture for rung, settings in shown.items()}
    table = ladder.table(architectures, excluded, rows, name, tolerance)
    return Found(name, possible[name], results[name], table)
