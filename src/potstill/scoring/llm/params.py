"""The keys of an LLM in a preset of `teacher.presets`."""

import ipaddress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from potstill.core.params import Keys

TOP_LOGPROBS = 20  # the most that OpenAI's API gives, and vLLM by default
PROMPT = Path(__file__).with_name("prompt.txt")
MULTI_LABEL_PROMPT = Path(__file__).with_name("prompt_multi_label.txt")


class LlmParams(Keys):
    """Where an LLM is, how it is asked, and what that may cost; `params.yaml` documents each key."""

    endpoint: str
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    prompt: str | None = Field(default=None, min_length=1)
    examples: int = Field(default=0, ge=0, le=1000)
    orders: int = Field(default=2, ge=1, le=100)
    samples: int | None = Field(default=None, ge=1, le=1000)
    answer_tokens: PositiveInt = 8
    extra_body: dict[str, Any] = Field(default_factory=dict)
    concurrency: int = Field(default=8, ge=1, le=1000)
    timeout: PositiveFloat = 60.0
    max_retries: int = Field(default=8, ge=0, le=100)
    max_requests: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)

    @field_validator("endpoint")
    @classmethod
    def _is_address(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be the address of an API, such as http://127.0.0.1:8000/v1")
        return endpoint.rstrip("/")

    @field_validator("extra_body")
    @classmethod
    def _leaves_the_question(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for key in ("messages", "model", "n", "stream"):
            if key in extra:
                raise ValueError(f"must not have the key {key!r}, which is set by potstill")
        if not isinstance(extra.get("top_logprobs", 2), int) or extra.get("top_logprobs", 2) < 2:
            raise ValueError("its `top_logprobs` must be an integer, at least 2")
        return extra

    @property
    def secret_in(self) -> str | None:
        """The key that seems to hold a secret, which belongs into the environment; None if there is none."""
        parts = urlsplit(self.endpoint)
        if "@" in parts.netloc or parts.query or parts.fragment:
            return "endpoint"
        name = self.api_key_env
        return None if name is None or (name.isidentifier() and name.upper() == name) else "api_key_env"

    def template(self, multi_label: bool) -> Path:
        """Return the file of the prompt."""
        return Path(self.prompt) if self.prompt else MULTI_LABEL_PROMPT if multi_label else PROMPT

    @property
    def is_here(self) -> bool:
        """Whether the endpoint is on this machine."""
        host = urlsplit(self.endpoint).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def labels_at_once(self) -> int:
        """The most labels whose log-probabilities one request gives."""
        return int(self.extra_body.get("top_logprobs", TOP_LOGPROBS))
