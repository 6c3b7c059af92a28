"""Count requests instead of sending them."""

from collections.abc import Sequence

from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.parse import Answer
from potstill.scoring.llm.request import body, most_answer_tokens, request_key
from potstill.scoring.llm.store import Spent, Store

BYTES_PER_TOKEN = 4.0  # of English, about


class DryRun:
    """Takes the place of a client: gives the answers that are kept, and counts what would be asked.

    Attributes:
        needed: what the requests would cost.
        kept: how many answers are there from earlier runs.
    """

    def __init__(self, preset: str, params: LlmParams, store: Store) -> None:
        """Count with the settings of a preset, and the answers that are kept."""
        self.needed, self.kept = Spent(), 0
        self._params, self._store = params, store
        self._seen: set[str] = set()
        spent = store.spent(preset)
        self._tokens_per_byte = spent.prompt_tokens / spent.prompt_bytes if spent.prompt_bytes else 1 / BYTES_PER_TOKEN

    async def ask(self, prompt: str, _: Sequence[str], sample: int = 0) -> Answer | None:
        """Count a request; return its answer if it is kept."""
        key = request_key(body(prompt, self._params), self._params, sample)
        answer = self._store.get(key)
        if key not in self._seen:
            self._seen.add(key)
            if answer:
                self.kept += 1
            else:
                size = len(prompt.encode())
                self.needed += Spent(1, round(size * self._tokens_per_byte), most_answer_tokens(self._params), size)
        return answer
