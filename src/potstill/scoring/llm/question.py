"""What an LLM is asked about one text, and how the answers become logits."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax

from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.parse import YES_NO, Answer, decisions, distribution
from potstill.scoring.llm.prompt import Example, Prompt, orders
from potstill.scoring.table import log_odds

Ask = Callable[[str, Sequence[str], int], Awaitable[Answer | None]]


@dataclass(frozen=True)
class Question:
    """What is asked about one text: which label it has, or in a multi-label task for each label whether it applies.

    Attributes:
        prompt: the compiled prompt.
        params: how it is asked.
        text: the text.
        examples: shown with it.
        ask: sends a prompt, and returns the answer.
    """

    prompt: Prompt
    params: LlmParams
    text: str
    examples: list[Example]
    ask: Ask

    async def answer(self) -> Any:
        """Return the logits, floats (labels,); NaN if no answer fits.

        They are log-probabilities, or in a multi-label task log-odds.
        """
        number, multi_label = self.params.samples or self.params.orders, self.prompt.multi_label
        turns = orders(len(self.prompt.labels), min(self.params.orders, number))
        answers = await _all([self._weigh(turns[i % len(turns)], i // len(turns)) for i in range(number)])
        found = [one for one in answers if one is not None]
        if not found:
            return np.nan
        if self.params.samples:
            logits = log_odds(np.mean(found, axis=0), multi_label)
        else:
            # The mean of logarithms cancels a bias that multiplies the odds of what stands in one place.
            logits = log_odds(np.array(found), multi_label).mean(0)
        return logits if multi_label else log_softmax(logits)

    async def _weigh(self, order: list[int], sample: int) -> np.ndarray | None:
        """Return the probabilities of the labels in one order, floats (labels,), 0 for others; None if none fits.

        A request tells the log-probabilities of at most `labels_at_once` codes. More labels are asked about in groups,
        whose likeliest labels are then asked about together; the others of a group keep their proportion to these.
        """
        most = self.params.labels_at_once
        if self.params.samples or self.prompt.multi_label or len(order) <= most:
            return await self._request(order, sample)
        number = -(-len(order) // most)
        groups = [list(map(int, group)) for group in np.array_split(order, number)]
        within = await _all([self._request(group, sample) for group in groups])
        kept = max(1, most // number)
        merged, last = np.zeros(len(self.prompt.labels)), []
        for group, found in zip(groups, within, strict=True):
            found = np.bincount(group, minlength=len(merged)) / len(group) if found is None else found
            best = sorted(group, key=lambda label: -found[label])[:kept]
            last.append(best)
            merged += found / found[best].sum()
        between = await self._weigh([label for label in order if any(label in best for best in last)], sample)
        if between is None:
            return None
        for group, best in zip(groups, last, strict=True):
            share = between[best].sum()
            merged[group] *= share
            merged[best] = between[best]
        return merged / merged.sum()

    async def _request(self, order: list[int], sample: int) -> np.ndarray | None:
        """Return the probabilities in the answer to a request, as `_weigh` does.

        Small models decide on the first label or two, and stop. What they leave out is asked about again.
        """
        shown, codes = self.prompt.render(self.text, order, self.examples)
        multi_label = self.prompt.multi_label
        answer = await self.ask(shown, YES_NO if multi_label else codes, sample)
        read = decisions if multi_label else distribution
        found = read(answer, [self.prompt.labels[label] for label in order], codes) if answer else None
        if found is None:
            return None
        all_labels = np.zeros(len(self.prompt.labels))
        all_labels[order] = found
        missing = [label for label in order if np.isnan(all_labels[label])]
        if missing:
            rest = await self._request(missing, sample) if len(missing) < len(order) else None
            if rest is None:
                return None
            all_labels[missing] = rest[missing]
        return all_labels


async def _all(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    """Await calls together, all to their end, and raise the first error."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
