"""An LLM as a teacher: what is asked about each text, and how the answers become probabilities."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from potstill.core import files, paths, schemas
from potstill.core.errors import PotstillError, missing_package, visible
from potstill.data.dataset import Dataset
from potstill.scoring.llm import prompt as prompts
from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.parse import Answer, distribution, label_of
from potstill.scoring.llm.prompt import Example, Examples, Prompt
from potstill.scoring.llm.store import Store
from potstill.scoring.model import Teacher, describe

SETTINGS, PROMPT, EXAMPLES = "llm.json", "prompt.txt", "examples.parquet"
SMALLEST = 1e-6  # probability, as in a table
TRIED = 20  # texts after which it stops if no answer fits a label

Ask = Callable[[str, Sequence[str], int], Awaitable[Answer | None]]


class _NothingFits(PotstillError):
    """No answer fits a label."""


class _Settings(BaseModel):
    """The contents of `llm.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str
    params: LlmParams
    descriptions: dict[str, str]


def store_path() -> Path:
    """Return the database of answers; a queued experiment, which DVC runs in a copy, shares that of its repository."""
    path = paths.SCRATCH / "llm.sqlite"
    root = next((folder for folder in Path.cwd().parents if (folder / ".dvc/tmp/exps") in Path.cwd().parents), None)
    return root / path if root else path


@dataclass(frozen=True)
class LlmTeacher(Teacher):
    """An LLM; its logits are NaN for texts whose answers fit no label.

    Attributes:
        preset: its name.
        params: how it is asked.
        descriptions: of labels, by their names.
        template: the source of its prompt.
        examples: the labelled texts to choose examples from.
    """

    preset: str
    params: LlmParams
    descriptions: dict[str, str]
    template: str
    examples: Examples = field(compare=False)

    @classmethod
    def make(cls, preset: str, params: LlmParams, data: Dataset) -> "LlmTeacher":
        """Return the LLM of a preset, with the train texts as examples, for they alone may be shown.

        Raises:
            PotstillError: the task is multi-label, or the prompt cannot be read or is not valid.
        """
        if data.multi_label:
            raise PotstillError(
                f"teacher.presets.{preset}.llm: an LLM chooses one label for each text, but prepare.multi_label is "
                "true. Take another teacher, or a table of probabilities."
            )
        if params.examples and not data.is_labelled("train"):
            raise PotstillError(
                f"teacher.presets.{preset}.llm.examples: {params.examples}, but nobody has labelled the texts. Set it "
                "to 0."
            )
        train = data.train[:0] if not params.examples else data.train
        examples = Examples(train["text"].tolist(), train["label"].tolist())
        template = prompts.read(params.template)
        teacher = cls(data.labels, None, preset, params, data.descriptions, template, examples)
        teacher.prompt(params.template)
        return teacher

    @classmethod
    def load(cls, folder: Path, labels: list[str]) -> "LlmTeacher":
        """Read the folder that `save` wrote.

        Raises:
            PotstillError: a file is missing or damaged.
        """
        path = folder / SETTINGS
        content = files.read_json(path)
        with files.reading(path):
            try:
                settings = _Settings.model_validate(content)
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}") from None
        table = schemas.read(folder / EXAMPLES, schemas.split_schema(False), empty=True)
        examples = Examples(table["text"].to_pylist(), table["label"].to_pylist())
        template = prompts.read(folder / PROMPT)
        return cls(labels, None, settings.preset, settings.params, settings.descriptions, template, examples)

    def save(self, folder: Path) -> None:
        """Write all that labelling requires, and no key, to a folder."""
        describe(folder, "llm", self.labels)
        # Without prices, so that a new price does not run `label` again.
        params = self.params.model_dump(exclude={"input_price", "output_price"})
        settings = {"preset": self.preset, "params": params, "descriptions": self.descriptions}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (folder / PROMPT).write_text(self.template, "utf-8")
        table = {
            "text": pd.Series(self.examples.texts, dtype="str"),
            "label": pd.Series(self.examples.labels, dtype="int64"),
        }
        pd.DataFrame(table).to_parquet(folder / EXAMPLES, index=False)

    def prompt(self, place: Path = Path(PROMPT)) -> Prompt:
        """Return the compiled prompt; messages call its file `place`."""
        return Prompt(self.template, place, self.labels, self.descriptions)

    def score(self, texts: list[str]) -> tuple[np.ndarray, int]:
        """Ask about texts, each of which is asked about once.

        Raises:
            PotstillError: a limit is reached, the server refuses all requests or cannot be reached, or no answer
                fits a label.
        """
        try:
            from potstill.scoring.llm.client import Client
        except ModuleNotFoundError as error:
            raise missing_package(error.name, "llm") from None
        unique = list(dict.fromkeys(texts))
        store = Store(store_path())
        before = store.spent(self.preset)

        async def run() -> np.ndarray:
            async with Client(self.preset, self.params, store) as client:
                with tqdm(total=len(unique), unit="text", desc=f"ask {self.preset}", mininterval=1, leave=False) as bar:
                    try:
                        found = await self.probabilities(unique, client.ask, bar.update)
                    except _NothingFits as error:
                        raise (client.refusals or [error])[0] from None
                if client.refusals and not store.spent(self.preset).answer_tokens:
                    raise client.refusals[0]  # it refuses all, not a few texts
                for refusal in client.refusals[:1]:
                    tqdm.write(
                        visible(f"{self.preset}: {len(client.refusals):,} requests were refused, such as: {refusal}")
                    )
                return found

        try:
            probabilities = asyncio.run(run())
            spent = store.spent(self.preset) - before
        finally:
            store.close()
        lost = int(np.isnan(probabilities).any(1).sum())
        tqdm.write(
            visible(
                f"{self.preset}: {len(unique):,} texts, {spent.requests:,} requests, {spent.tokens:,} tokens; "
                f"{lost:,} texts without an answer that fits a label"
            )
        )
        rows = dict(zip(unique, np.log(np.clip(probabilities, SMALLEST, None)), strict=True))
        return np.array([rows[text] for text in texts], np.float32).reshape(-1, len(self.labels)), 0

    async def probabilities(
        self, texts: Sequence[str], ask: Ask, progress: Callable[[], object] = lambda: None
    ) -> np.ndarray:
        """Ask about texts, several at a time, and return floats (texts, labels), with NaN where no answer fits.

        An error ends it after the requests that are under way, whose answers are paid for.

        Args:
            texts: the texts.
            ask: sends a prompt, and returns the answer.
            progress: called after each text.
        """
        prompt, examples = self.prompt(), self.examples.nearest(texts, self.params.examples)
        found = np.full((len(texts), len(self.labels)), np.nan)
        waiting, errors, done = iter(range(len(texts))), list[Exception](), 0

        async def work() -> None:
            nonlocal done
            for i in waiting:
                if errors:
                    return
                try:
                    question = _Question(prompt, texts[i], examples[i], self.labels, ask)
                    found[i] = await question.answer(self.params)
                except Exception as error:
                    errors.append(error)
                    return
                done += 1
                progress()
                if done == TRIED and np.isnan(found).all():
                    errors.append(self._nothing_fits())

        await asyncio.gather(*(work() for _ in range(self.params.concurrency)))
        if errors:
            raise errors[0]
        return found

    def _nothing_fits(self) -> PotstillError:
        return _NothingFits(
            f"teacher.presets.{self.preset}.llm: none of the first {TRIED} answers fits a label. Look at the prompt "
            f"with `potstill estimate {self.preset} --prompt`. Ask a larger model, or raise `answer_tokens` if this "
            "one reasons first."
        )


@dataclass(frozen=True)
class _Question:
    """What is asked about one text."""

    prompt: Prompt
    text: str
    examples: list[Example]
    labels: list[str]
    ask: Ask

    async def answer(self, params: LlmParams) -> Any:
        """Return the probabilities of all labels, floats (labels,); NaN if no answer fits."""
        ids = range(len(self.labels))
        if params.samples:
            turns = prompts.orders(len(ids), min(params.orders, params.samples))
            drawn = await _all([self._draw(turns[i % len(turns)], i) for i in range(params.samples)])
            votes = np.bincount([label for label in drawn if label is not None], minlength=len(ids))
            return votes / votes.sum() if votes.any() else np.nan
        turns = prompts.orders(len(ids), params.orders)
        found = await _all([self._weigh(order, params.labels_at_once) for order in turns])
        # The mean of logarithms cancels a bias that multiplies the odds of what stands in one place.
        logs = [np.log(np.clip(one, SMALLEST, None)) for one in found if one is not None]
        if not logs:
            return np.nan
        mean = np.exp(np.mean(logs, axis=0))
        return mean / mean.sum()

    async def _draw(self, order: list[int], sample: int) -> int | None:
        """Return the label in one answer."""
        shown, codes = self.prompt.render(self.text, order, self.examples)
        answer = await self.ask(shown, codes, sample)
        found = label_of(answer.text, [self.labels[label] for label in order], codes) if answer else None
        return None if found is None else order[found]

    async def _weigh(self, order: list[int], most: int) -> np.ndarray | None:
        """Return the probabilities of the labels in one order, floats (labels,), 0 for others.

        A request tells those of at most `most` labels. More are asked about in groups, whose likeliest labels are then
        asked about together; the others of a group keep their proportion to these.
        """
        if len(order) <= most:
            return await self._weigh_together(order)
        number = -(-len(order) // most)
        groups = [list(map(int, group)) for group in np.array_split(order, number)]
        within = await _all([self._weigh_together(group) for group in groups])
        kept = max(1, most // number)
        merged, last = np.zeros(len(self.labels)), []
        for group, found in zip(groups, within, strict=True):
            found = np.bincount(group, minlength=len(self.labels)) / len(group) if found is None else found
            best = sorted(group, key=lambda label: -found[label])[:kept]
            last.append(best)
            merged += found / found[best].sum()
        between = await self._weigh([label for label in order if any(label in best for best in last)], most)
        if between is None:
            return None
        for group, best in zip(groups, last, strict=True):
            share = between[best].sum()
            merged[group] *= share
            merged[best] = between[best]
        return merged / merged.sum()

    async def _weigh_together(self, order: list[int]) -> np.ndarray | None:
        shown, codes = self.prompt.render(self.text, order, self.examples)
        answer = await self.ask(shown, codes, 0)
        found = distribution(answer, [self.labels[label] for label in order], codes) if answer else None
        if found is None:
            return None
        all_labels = np.zeros(len(self.labels))
        all_labels[order] = found
        return all_labels


async def _all(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """Await calls together, all to their end, and raise the first error."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
