"""Sending requests: the official client, with limits that hold, and answers that are kept."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import openai
from tqdm import tqdm

from potstill.core.errors import PotstillError, first_line, visible
from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.parse import Answer
from potstill.scoring.llm.request import body, most_answer_tokens, request_key
from potstill.scoring.llm.store import Spent, Store

TEMPLATE_TOKENS = 200  # the most that a server's chat template adds to a prompt
MALFORMED = 3  # times that a request is sent whose answers are not what the API promises
OF_ONE_TEXT = (400, 413, 422)  # a text may be too long, or against a server's rules
KEPT = "Answers so far are kept; run this again to go on."


class _LimitReached(PotstillError, openai.OpenAIError):
    """A limit is reached. The client passes its own errors on, without another try."""


class _Malformed(Exception):
    """The server's answer is not what the API promises."""


class Client:
    """Asks an LLM. Use it as an asynchronous context manager.

    Attributes:
        refusals: the errors of requests that the server refused for what they ask.
    """

    _announced: ClassVar[set[tuple[str, str]]] = set()  # in this process

    def __init__(self, preset: str, params: LlmParams, store: Store) -> None:
        """Prepare to ask; nothing is sent.

        Args:
            preset: the name of the teacher, whose limits these are.
            params: the settings.
            store: where answers are kept.

        Raises:
            PotstillError: the environment has no such key.
        """
        self.refusals: list[PotstillError] = []
        self._preset, self._params, self._store = preset, params, store
        self._key = ""
        if params.api_key_env:
            self._key = os.environ.get(params.api_key_env, "").strip()
            if not self._key:
                raise PotstillError(
                    f"teacher.presets.{preset}.llm.api_key_env: the environment has no {params.api_key_env}. Set it to "
                    "the key of the endpoint."
                )
        self._reserved = 0
        self._slots = asyncio.Semaphore(params.concurrency)
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=params.endpoint,
            timeout=params.timeout,
            max_retries=params.max_retries,
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,  # the texts go where the first line says
                trust_env=not params.is_here,  # no proxy to this machine
                verify=params.endpoint.startswith("https:"),  # loads certificates, for which http has no use
                event_hooks={"request": [self._before_sending]},
            ),
        )

    async def __aenter__(self) -> "Client":
        """Return it."""
        return self

    async def __aexit__(self, *_: Any) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, prompt: str, tokens: Sequence[str], sample: int = 0) -> Answer | None:
        """Return the answer to a prompt, from the store if it is there.

        Args:
            prompt: the prompt.
            tokens: whose log-probabilities are kept, in addition to those of the generated tokens.
            sample: the number of the answer, where several are drawn for the same prompt.

        Returns:
            The answer; None if the server refuses to give one to this prompt, or sends malformed ones again and again.

        Raises:
            PotstillError: a limit is reached, or the server refuses all requests or cannot be reached.
        """
        content = body(prompt, self._params)
        key = request_key(content, self._params, sample)
        if kept := self._store.get(key):
            return kept
        async with self._slots:
            size = len(prompt.encode())
            for _ in range(MALFORMED):
                with_room = self._reserve(size)
                try:
                    reply = await self._send(content)
                    if reply is None:
                        return None
                    answer, cost = self._read(reply, size, tokens)
                except _Malformed:
                    self._store.add(self._preset, Spent(prompt_tokens=with_room))  # whether it was billed is not known
                    continue
                finally:
                    self._reserved -= with_room
                self._store.put(key, answer, self._preset, cost)
                return answer
        return None

    def _reserve(self, size: int) -> int:
        """Reserve the most tokens that a request may take: no token is shorter than a byte."""
        most = size + TEMPLATE_TOKENS + most_answer_tokens(self._params)
        limit, spent = self._params.max_tokens, self._store.spent(self._preset).tokens
        if limit is not None and spent + self._reserved + most > limit:
            raise self._limit("max_tokens", limit, f"{spent:,} tokens are spent, and the next request may")
        self._reserved += most
        return most

    async def _before_sending(self, _: Any) -> None:
        """Count each request, the repeated ones too."""
        limit = self._params.max_requests
        if not self._store.count_request(self._preset, limit):
            raise self._limit("max_requests", limit or 0, f"{limit:,} requests are sent, and the next would")
        self._announce()

    def _limit(self, key: str, limit: int, reason: str) -> _LimitReached:
        return _LimitReached(
            f"teacher.presets.{self._preset}.llm.{key}: {reason} exceed {limit:,}. Raise it to go on; answers so far "
            "are kept."
        )

    def _announce(self) -> None:
        """Print where texts go, once."""
        where = (self._params.endpoint, self._params.model)
        if where not in self._announced:
            self._announced.add(where)
            place = "this machine" if self._params.is_here else "another machine"
            clear = ", not encrypted" if place != "this machine" and where[0].startswith("http:") else ""
            tqdm.write(visible(f"texts are sent to {where[0]} ({place}{clear}), to be labelled by {where[1]}"))

    async def _send(self, content: dict[str, Any]) -> Any:
        """Send a request, and return what the server replies; None if it refuses this one."""
        try:
            # The body as it is, since servers know other keys than OpenAI's.
            reply = await self._client.post("/chat/completions", cast_to=object, body=content)
        except _LimitReached:
            raise
        except openai.APIStatusError as error:
            refusal = self._refused(error)
            if error.status_code not in OF_ONE_TEXT:
                raise refusal from None
            self.refusals.append(refusal)
            return None
        except openai.APIConnectionError as error:
            reason = "no answer in time" if isinstance(error, openai.APITimeoutError) else first_line(error)
            if error.__cause__ is not None and not isinstance(error, openai.APITimeoutError):
                reason = f"{type(error.__cause__).__name__}: {error.__cause__}"
            raise PotstillError(
                self._hidden(
                    f"{self._params.endpoint}: it cannot be reached ({reason}). Check the address, and whether its "
                    f"server is running. {KEPT}"
                )
            ) from None
        except (openai.OpenAIError, ValueError):
            raise _Malformed from None
        if reply is None:  # a body of `null`
            raise _Malformed
        return reply

    def _refused(self, error: openai.APIStatusError) -> PotstillError:
        params, status = self._params, error.status_code
        preset = f"teacher.presets.{self._preset}.llm"
        said = error.body.get("message") if isinstance(error.body, dict) else None
        reason = f"{status}: {said}" if isinstance(said, str) and said else f"status {status}"
        if status in (401, 403):
            advice = (
                f"Set {params.api_key_env} in the environment to a valid key."
                if params.api_key_env
                else f"Set {preset}.api_key_env to the name of the environment variable that holds its key."
            )
        elif status == 404:
            advice = f"Check {preset}.endpoint, which usually ends in /v1, and {preset}.model."
        elif status == 429 or status >= 500:
            advice = f"It was asked {params.max_retries + 1} times. Lower {preset}.concurrency, or wait. {KEPT}"
        else:
            advice = f"Correct {preset}; `extra_body` changes what is sent."
        return PotstillError(self._hidden(f"{params.endpoint}: it refuses the request ({reason}). {advice}"))

    def _hidden(self, message: str) -> str:
        """Return a message without the key, which a server may repeat."""
        return message.replace(self._key, "…") if self._key else message

    def _read(self, reply: Any, size: int, tokens: Sequence[str]) -> tuple[Answer, Spent]:
        """Return the answer in a server's reply, and its cost.

        Raises:
            PotstillError: it has no log-probabilities, though they were asked for.
            _Malformed: it has no answer.
        """
        try:
            choice = reply["choices"][0]
            text = choice["message"].get("content") or ""
            usage = reply.get("usage") or {}
            if not isinstance(text, str) or not isinstance(usage, dict):
                raise _Malformed
            found = (choice.get("logprobs") or {}).get("content") or []
            top = [_likeliest(place, tokens) for place in found]
            cost = Spent(
                prompt_tokens=_count(usage.get("prompt_tokens"), size),
                answer_tokens=_count(usage.get("completion_tokens"), most_answer_tokens(self._params)),
                prompt_bytes=size,
            )
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _Malformed from None
        if self._params.samples:
            top = []
        elif not any(top) and text.strip():
            self._store.add(self._preset, cost)
            raise PotstillError(
                f"{self._params.endpoint}: {self._params.model} gives no log-probabilities. Set "
                f"teacher.presets.{self._preset}.llm.samples to 1, to take its answer as certain, or to a number of "
                "answers to draw for each text, whose shares are then its probabilities."
            )
        return Answer(text, top), cost


def _likeliest(place: dict[str, Any], tokens: Sequence[str]) -> list[tuple[str, float]]:
    """Return the likeliest tokens in one place, the generated one first; of the others only those to be kept."""
    found = {str(entry["token"]): float(entry["logprob"]) for entry in place.get("top_logprobs") or []}
    if not found:
        return []
    token = str(place["token"])
    generated = (token, round(found.pop(token, float(place["logprob"])), 4))
    return [generated, *((other, round(value, 4)) for other, value in found.items() if other.strip() in tokens)]


def _count(value: Any, otherwise: int) -> int:
    """Return a number of tokens; `otherwise` if the server does not say it."""
    return value if isinstance(value, int) and value >= 0 else otherwise
