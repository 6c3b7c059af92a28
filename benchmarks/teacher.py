"""Fine-tuning speed: potstill's teacher against the stock Trainer. Run it with `make benchmark-teacher`.

Both fine-tune the same checkpoint on the same texts at the same batch size, in turns, in one process. The stock
Trainer has its default arguments and pads each batch to its longest text, as its own documentation does.
"""

import argparse
import platform
import statistics
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

from runs import ROOT, ratios, time_in_turns

from potstill.core import files
from potstill.data.dataset import Dataset
from potstill.prepare import from_files
from potstill.prepare.assemble import assemble
from potstill.prepare.params import PrepareParams
from potstill.scoring import hub, pretrained, windows
from potstill.teacher import finetune
from potstill.teacher.params import TeacherParams

RESULTS = ROOT / "benchmarks" / "teacher"
TEXTS = 1600
ROUNDS = 3


def ours(source: str, data: Dataset, params: TeacherParams) -> None:
    """Fine-tune as the stage `teacher` does, with validation and a checkpoint."""
    model, tokenizer = pretrained.load(source, data.labels, params.seed)
    with tempfile.TemporaryDirectory() as folder:
        finetune.finetune(model, tokenizer, data.train, data.validation, params, 1e-4, Path(folder))


def stock(source: str, data: Dataset, params: TeacherParams) -> None:
    """Fine-tune with the Trainer's defaults, without validation or a checkpoint."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    model, tokenizer = pretrained.load(source, data.labels, params.seed)
    read = windows.encode(tokenizer, data.train["text"].tolist(), params.max_length, max_windows=1)
    rows = finetune.examples(read, data.targets("train"))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=params.epochs,
            per_device_train_batch_size=params.batch_size,
            report_to="none",
        )
        collate = DataCollatorWithPadding(tokenizer)
        Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate).train()


def main() -> None:
    """Time both in turns and write `benchmarks/teacher/results.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train, validation and test files")
    arguments = parser.parse_args()

    prepare = PrepareParams.load(ROOT / "params.yaml").model_copy(update={"path": str(arguments.data)})
    data, _ = assemble(from_files.read(prepare), prepare)
    data = Dataset(data.labels, data.train[:TEXTS], data.validation[:64], data.test, data.unlabelled)
    params = TeacherParams.load(ROOT / "params.yaml").model_copy(update={"epochs": 1})
    source = hub.find(params.presets["minilm"].checkpoint)

    engines = {"stock": partial(stock, source, data, params), "potstill": partial(ours, source, data, params)}
    seconds, _ = time_in_turns(engines, ROUNDS)
    rows = [
        {
            "engine": name,
            "texts": len(data.train),
            "batch_size": params.batch_size,
            "seconds": [round(value, 2) for value in values],
            "texts_per_second": round(len(data.train) / statistics.median(values), 1),
            "ratio_to_stock": ratios(seconds["stock"], values)[0],
            "command": "make benchmark-teacher DATA=$DATA",
            "machine": f"{platform.machine()}, torch {version('torch')}, transformers {version('transformers')}",
        }
        for name, values in seconds.items()
    ]
    files.write_json(RESULTS / "results.json", rows)
    for row in rows:
        print(f"{row['engine']}: {row['texts_per_second']} texts/s, {row['ratio_to_stock']} times the stock Trainer")


if __name__ == "__main__":
    main()
