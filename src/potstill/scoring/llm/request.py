"""The body of a request, and the hash under which its answer is kept."""

import hashlib
import json
from typing import Any

from potstill.scoring.llm.params import TOP_LOGPROBS, LlmParams


def body(prompt: str, params: LlmParams) -> dict[str, Any]:
    """Return the body of a request for an answer to a prompt."""
    sampled = params.samples is not None and params.samples > 1
    return {
        "model": params.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 1.0 if sampled else 0.0,
        **({} if "max_completion_tokens" in params.extra_body else {"max_tokens": params.answer_tokens}),
        **({} if params.samples else {"logprobs": True, "top_logprobs": TOP_LOGPROBS}),
        **params.extra_body,
    }


def request_key(content: dict[str, Any], params: LlmParams, sample: int) -> str:
    """Return the hash under which the answer to a request is kept."""
    asked = json.dumps([params.endpoint, content, sample], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def most_answer_tokens(params: LlmParams) -> int:
    """Return the most tokens that an answer may have."""
    return int(params.extra_body.get("max_completion_tokens", params.answer_tokens))
