"""An LLM as a teacher."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from potstill.core import files, paths, schemas
from potstill.core.errors import PotstillError, missing_package, visible
from potstill.data.dataset import Dataset
from potstill.scoring.llm import prompt as prompts
from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.prompt import Examples, Prompt
from potstill.scoring.llm.question import Ask, Question
from potstill.scoring.llm.store import Store
from potstill.scoring.model import Teacher, describe

SETTINGS, PROMPT, EXAMPLES = "llm.json", "prompt.txt", "examples.parquet"
TRIED = 20  # texts after which it stops if no answer fits a label


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
        multi_label: whether a text may have any number of labels.
    """

    preset: str
    params: LlmParams
    descriptions: dict[str, str]
    template: str
    examples: Examples
    multi_label: bool

    @classmethod
    def make(cls, preset: str, params: LlmParams, data: Dataset) -> "LlmTeacher":
        """Return the LLM of a preset, with the train texts as examples, for they alone may be shown.

        Raises:
            PotstillError: the prompt cannot be read or is not valid, or there are no labelled examples.
        """
        if params.examples and not data.is_labelled("train"):
            raise PotstillError(
                f"teacher.presets.{preset}.llm.examples: {params.examples}, but nobody has labelled the texts. Set it "
                "to 0."
            )
        train = data.train[:0] if not params.examples else data.train
        examples = Examples(train["text"].tolist(), [np.atleast_1d(label).tolist() for label in train["label"]])
        place = params.template(data.multi_label)
        if data.multi_label:  # the answer has a line for each label
            params = params.model_copy(update={"answer_tokens": params.answer_tokens * len(data.labels)})
        template = prompts.read(place)
        teacher = cls(data.labels, None, preset, params, data.descriptions, template, examples, data.multi_label)
        teacher.prompt(place)
        return teacher

    @classmethod
    def load(cls, folder: Path, labels: list[str], multi_label: bool) -> "LlmTeacher":
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
        table = schemas.read(folder / EXAMPLES, schemas.split_schema(multi_label=True), empty=True)
        examples = Examples(table["text"].to_pylist(), table["label"].to_pylist())
        template = prompts.read(folder / PROMPT)
        preset, params, descriptions = settings.preset, settings.params, settings.descriptions
        return cls(labels, None, preset, params, descriptions, template, examples, multi_label)

    def save(self, folder: Path) -> None:
        """Write all that labelling requires, and no key, to a folder."""
        describe(folder, "llm", self.labels, multi_label=self.multi_label)
        # Without prices, so that a new price does not run `label` again.
        params = self.params.model_dump(exclude={"input_price", "output_price"})
        settings = {"preset": self.preset, "params": params, "descriptions": self.descriptions}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (folder / PROMPT).write_text(self.template, "utf-8")
        table = {"text": self.examples.texts, "label": self.examples.labels}
        pa.parquet.write_table(pa.table(table, schemas.split_schema(multi_label=True)), folder / EXAMPLES)

    def prompt(self, place: Path = Path(PROMPT)) -> Prompt:
        """Return the compiled prompt; messages call its file `place`."""
        return Prompt(self.template, place, self.labels, self.descriptions, self.multi_label)

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
        fits: list[bool] = []

        async def run() -> np.ndarray:
            async with Client(self.preset, self.params, store) as client:
                with tqdm(total=len(unique), unit="text", desc=f"ask {self.preset}", mininterval=1, leave=False) as bar:

                    def progress(fit: bool) -> None:
                        bar.update()
                        fits.append(fit)
                        if len(fits) == TRIED and not any(fits):
                            raise (client.refusals or [self._nothing_fits()])[0]

                    found = await self.ask(unique, client.ask, progress)
                if client.refusals and not store.spent(self.preset).answer_tokens:
                    raise client.refusals[0]  # it refuses all, not a few texts
                for refusal in client.refusals[:1]:
                    tqdm.write(
                        visible(f"{self.preset}: {len(client.refusals):,} requests were refused, such as: {refusal}")
                    )
                return found

        try:
            logits = asyncio.run(run())
            spent = store.spent(self.preset) - before
        finally:
            store.close()
        tqdm.write(
            visible(
                f"{self.preset}: {len(unique):,} texts, {spent.requests:,} requests, {spent.tokens:,} tokens; "
                f"{fits.count(False):,} texts without an answer that fits {self._expected}"
            )
        )
        rows = dict(zip(unique, logits, strict=True))
        return np.array([rows[text] for text in texts], np.float32).reshape(-1, len(self.labels)), 0

    async def ask(
        self, texts: Sequence[str], ask: Ask, progress: Callable[[bool], object] = lambda fit: None
    ) -> np.ndarray:
        """Ask about texts, several at a time, and return logits (texts, labels), with NaN where no answer fits.

        An error ends it after the requests that are under way, whose answers are paid for.

        Args:
            texts: the texts.
            ask: sends a prompt, and returns the answer.
            progress: called after each text with whether an answer fits.
        """
        prompt, examples = self.prompt(), self.examples.nearest(texts, self.params.examples)
        logits = np.full((len(texts), len(self.labels)), np.nan)
        waiting, errors = iter(range(len(texts))), list[Exception]()

        async def work() -> None:
            for i in waiting:
                if errors:
                    return
                try:
                    logits[i] = await Question(prompt, self.params, texts[i], examples[i], ask).answer()
                    progress(bool(np.isfinite(logits[i]).all()))
                except Exception as error:
                    errors.append(error)

        await asyncio.gather(*(work() for _ in range(self.params.concurrency)))
        if errors:
            raise errors[0]
        return logits

    @property
    def _expected(self) -> str:
        return "all labels" if self.multi_label else "a label"

    def _nothing_fits(self) -> PotstillError:
        return PotstillError(
            f"teacher.presets.{self.preset}.llm: none of the first {TRIED} answers fits {self._expected}. Look at the "
            f"prompt with `potstill estimate {self.preset} --prompt`. Ask a larger model, or raise `answer_tokens` if "
            "this one reasons first."
        )
