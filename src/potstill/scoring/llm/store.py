"""The answers of LLMs, kept as soon as they arrive, and what they cost.

Answers are kept by the hash of what was asked, whoever asks; texts and keys are not kept.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from potstill.core.errors import PotstillError
from potstill.scoring.llm.parse import Answer

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
    preset TEXT PRIMARY KEY, requests INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL, prompt_bytes INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Spent:
    """What the answers of a preset have cost.

    Attributes:
        requests: sent, those that failed included.
        prompt_tokens, answer_tokens: as the server counts them.
        prompt_bytes: the length of the answered prompts.
    """

    requests: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    prompt_bytes: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.answer_tokens

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(*(one - two for one, two in zip(astuple(self), astuple(other), strict=True)))


class Store:
    """A database of answers. Every method is a transaction, so that a killed process loses none."""

    def __init__(self, path: Path) -> None:
        """Open the database; create it if it is missing.

        Raises:
            PotstillError: it is damaged, or cannot be written to.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def get(self, request: str) -> Answer | None:
        """Return the answer to a request, if there is one."""
        with self._errors():
            row = self._database.execute("SELECT answer FROM answers WHERE request = ?", (request,)).fetchone()
            if row is None:
                return None
            text, top = json.loads(row[0])
        return Answer(text, [[(token, logprob) for token, logprob in place] for place in top])

    def put(self, request: str, answer: Answer, preset: str, cost: Spent) -> None:
        """Keep an answer, and add what it cost to what its preset has spent."""
        content = json.dumps([answer.text, answer.top], ensure_ascii=False, separators=(",", ":"))
        with self._errors(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (request, content))
            self._add(preset, cost)

    def count_request(self, preset: str, limit: int | None) -> bool:
        """Count a request before it is sent; return False if it would exceed the limit."""
        with self._errors(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if limit is not None and self.spent(preset).requests >= limit:
                return False
            self._add(preset, Spent(requests=1))
        return True

    def spent(self, preset: str) -> Spent:
        """Return what a preset has spent."""
        with self._errors():
            row = self._database.execute("SELECT * FROM spent WHERE preset = ?", (preset,)).fetchone()
        return Spent(*row[1:]) if row else Spent()

    def add(self, preset: str, cost: Spent) -> None:
        """Add the cost of an answer that is not kept."""
        with self._errors():
            self._add(preset, cost)

    def _add(self, preset: str, cost: Spent) -> None:
        self._database.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?) ON CONFLICT (preset) DO UPDATE SET "
            "requests = requests + excluded.requests, "
            "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "answer_tokens = answer_tokens + excluded.answer_tokens, "
            "prompt_bytes = prompt_bytes + excluded.prompt_bytes",
            (preset, cost.requests, cost.prompt_tokens, cost.answer_tokens, cost.prompt_bytes),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise PotstillError(
                f"{self._path}: the kept answers cannot be read or written ({error}). Free some space if the disk is "
                "full; if the file is damaged, move it away, and its texts are asked about again."
            ) from None
