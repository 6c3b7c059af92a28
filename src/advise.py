"""Say, before a full run, which student to take and what would help: `make advise`.

Trains cheap models on a sample of the prepared data (`dvc repro prepare`), in minutes, and writes `metrics/advise`. It
is no stage: it comes before one pays for them. Can be stopped and started again. The test split is not looked at.
"""

from potstill.start import run

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from potstill import device, files, paths
from potstill.advise.decide import decide
from potstill.advise.measure import Answer, measure
from potstill.advise.report import markdown
from potstill.corpus.dataset import Dataset
from potstill.errors import PotstillError
from potstill.params.baseline import BaselineParams
from potstill.params.evaluate import EvaluateParams
from potstill.params.student import StudentParams
from potstill.params.teacher import TeacherParams
from potstill.teacher import checkpoints, table
from potstill.terminal import Parser

METRICS = paths.METRICS / "advise"
# Of the teacher: few rows want small batches and many epochs, to take enough steps.
BATCH_SIZE, EPOCHS, STEPS = 16, 3, 280


def main() -> None:
    """Read the prepared data; write `metrics/advise`."""
    params = TeacherParams.load()
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1500, help="labelled rows to use at most (%(default)s)")
    parser.add_argument("--teacher", choices=params.presets, default=params.checkpoints[0], help="(%(default)s)")
    arguments = parser.parse_args()
    preset = params.presets[arguments.teacher]
    if table.is_table(preset.checkpoint):
        raise PotstillError(f"{arguments.teacher} is a table, which cannot be asked: give another one, --teacher NAME")
    data = Dataset.load(paths.PREPARED)
    source = checkpoints.find(preset.checkpoint)
    digest = files.sha256(Path(source))
    import torch  # after `device`, which says how its threads wait

    threads = params.threads or torch.get_num_threads()
    scratch = paths.SCRATCH / "advise"

    def teach(rows: pd.DataFrame, choosers: pd.DataFrame) -> Answer:
        from potstill.teacher import finetune, pretrained, score  # imported late: what is wrong is said before

        epochs = max(EPOCHS, -(-STEPS // -(-len(rows) // BATCH_SIZE)))
        settings = params.of(arguments.teacher).model_copy(update={"epochs": epochs, "batch_size": BATCH_SIZE})
        device.use_threads(threads)
        network, tokenizer = pretrained.load(source, data.labels, settings.seed, data.multi_label)
        folder = scratch / files.key(settings.model_dump_json(), preset, digest, rows.to_json())
        finetune.finetune(network, tokenizer, rows, choosers, settings, preset.learning_rate, folder)

        def answer(texts: list[str]) -> np.ndarray:
            device.use_threads(threads)
            limits = {"max_length": settings.max_length, "batch_size": 32, "precision": settings.precision}
            return score.score(network, tokenizer, texts, **limits).logits

        return answer

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    measured = measure(data, arguments.rows, BaselineParams.load(), StudentParams.load(), teach, say)
    measured |= {"teacher": arguments.teacher, "max_loss": EvaluateParams.load().max_loss}
    advice = decide(measured)
    text = markdown(measured, advice)
    with files.whole(METRICS) as folder:
        folder.mkdir()
        files.write_json(folder / "advice.json", {"measured": measured, "advice": [s.__dict__ for s in advice]})
        files.write_text(folder / "advice.md", text)
    shutil.rmtree(scratch)
    print(f"\n{text}")


if __name__ == "__main__":
    run(main)
