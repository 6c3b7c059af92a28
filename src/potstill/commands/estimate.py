"""Estimate the requests, tokens and cost of an LLM as the teacher; send nothing."""

import argparse
import asyncio
from collections.abc import Iterator

from potstill.core import paths, schemas
from potstill.core.errors import PotstillError, visible
from potstill.core.params import section
from potstill.data.dataset import Dataset
from potstill.scoring.llm.dry_run import DryRun
from potstill.scoring.llm.store import Store
from potstill.scoring.llm.teacher import LlmTeacher, store_path
from potstill.terminal import Parser


def arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("presets", nargs="*", help="presets with an `llm` (default: those in teacher.checkpoints)")
    parser.add_argument("--prompt", action="store_true", help="print the prompt for the first validation text instead")


def run(args: argparse.Namespace) -> None:
    """Print for each preset what the stages `teacher` and `label` would send.

    Raises:
        PotstillError: a preset has no LLM, none is named or chosen, or the data are not prepared.
    """
    params = section("teacher").load()
    llms = {name: preset.llm for name, preset in params.presets.items() if preset.llm}
    names = args.presets or [name for name in params.checkpoints if name in llms]
    for name in names or [""]:
        if name not in llms:
            found = f"found: {', '.join(llms) or 'none'}"
            raise PotstillError(f"`potstill estimate`: name a preset of teacher.presets with an `llm` ({found}).")
    data = Dataset.load(paths.PREPARED, unlabelled=False)
    for name in names:
        teacher = LlmTeacher.make(name, llms[name], data)
        for line in prompt(teacher, data) if args.prompt else lines(teacher, data):
            print(visible(line))


def prompt(teacher: LlmTeacher, data: Dataset) -> list[str]:
    """Return the lines of the prompt for the first validation text."""
    text = data.validation["text"].iloc[0]
    examples = teacher.examples.nearest([text], teacher.params.examples)[0]
    return teacher.prompt().render(text, range(len(data.labels)), examples)[0].splitlines()


def lines(teacher: LlmTeacher, data: Dataset) -> Iterator[str]:
    """Yield the lines of an estimate."""
    store, llm = Store(store_path()), teacher.params
    spent, run = store.spent(teacher.preset), DryRun(teacher.preset, llm, store)
    yield f"{teacher.preset}: {llm.model} at {llm.endpoint} ({'this' if llm.is_here else 'another'} machine)"
    pool = paths.POOL / "pool.parquet"
    texts = {"validation and test": [*data.validation["text"], *data.test["text"]]}
    if pool.is_file():
        texts["pool"] = [text for part in schemas.texts(pool, schemas.POOL_SCHEMA) for text in part.to_pylist()]
    for name, some in texts.items():
        before = run.needed
        unique = list(dict.fromkeys(some))
        asyncio.run(teacher.ask(unique, run.ask))
        needed = run.needed - before
        yield (
            f"{name}: {len(unique):,} texts, {needed.requests:,} requests, about {needed.prompt_tokens:,} tokens of "
            f"prompts, at most {needed.answer_tokens:,} of answers"
        )
    store.close()
    if "pool" not in texts:
        yield "pool: not made yet. Run `dvc repro pool`, and this again"
    total = run.needed
    cost = ""
    if llm.input_price is not None or llm.output_price is not None:
        price = (total.prompt_tokens * (llm.input_price or 0) + total.answer_tokens * (llm.output_price or 0)) / 1e6
        cost = f", at most about {price:,.2f} in the currency of input_price and output_price"
    yield f"in all: {total.requests:,} requests, about {total.tokens:,} tokens{cost}; {run.kept:,} answers are kept"
    measured = (
        "as measured for its answers so far" if spent.prompt_bytes else "4 bytes each, as nothing is measured yet"
    )
    yield f"tokens are {measured}; spent so far: {spent.requests:,} requests, {spent.tokens:,} tokens"
    for key, limit, number in (
        ("max_requests", llm.max_requests, spent.requests + total.requests),
        ("max_tokens", llm.max_tokens, spent.tokens + total.tokens),
    ):
        if limit is not None and number > limit:
            yield f"it will probably stop at teacher.presets.{teacher.preset}.llm.{key}, {limit:,}"
    yield "nothing was sent"
