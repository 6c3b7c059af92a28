"""A checkpoint as a network and its tokenizer, and texts for it; apart from training, which takes seconds to import."""

import sys
from typing import Any

import transformers
from safetensors import SafetensorError
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.trainer_utils import set_seed

from potstill.errors import PotstillError

transformers.logging.set_verbosity_error()  # "newly initialized" is the head, and no news
transformers.logging.disable_progress_bar()


def load(
    source: str, labels: list[str] | None = None, seed: int = 0, multi_label: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier and its tokenizer.

    Args:
        source: a folder, or a hub id. Only safetensors are read and no code from the source is run.
        labels: the names of the classes of a head that is to be trained; None keeps the saved head.
        seed: for the first weights of a new head.
        multi_label: whether a text may have several of these labels.

    Raises:
        PotstillError: `source` cannot be loaded as a sequence classifier.
    """
    head: dict[str, Any] = {}
    if labels is not None:
        head = {
            "num_labels": len(labels),
            "id2label": dict(enumerate(labels)),
            "ignore_mismatched_sizes": True,
        }
        head["label2id"] = {name: i for i, name in enumerate(labels)}
    if multi_label:
        head["problem_type"] = "multi_label_classification"
    return load_as(AutoModelForSequenceClassification, "a text classifier", source, seed, **head)


def load_as(
    kind: Any, name: str, source: str, seed: int, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint as a model of some kind, and its tokenizer.

    Args:
        kind: one of the auto classes of `transformers`.
        name: what that is, for people.
        source: a folder, or a hub id. Only safetensors are read and no code from the source is run.
        seed: for the first weights that the checkpoint lacks.
        options: what `from_pretrained` takes besides.

    Raises:
        PotstillError: `source` cannot be loaded as that.
    """
    set_seed(seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = kind.from_pretrained(source, trust_remote_code=False, use_safetensors=True, dtype="float32", **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).split("\n")[0]
        raise PotstillError(f"{source} cannot be loaded as {name}: {reason}") from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = min(tokenizer.model_max_length, _positions(model))
    return model, tokenizer


def _positions(model: PreTrainedModel) -> int:
    """The longest text, in tokens, that the model has position embeddings for."""
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    if positions <= 0:  # XLNet says -1
        return sys.maxsize
    embedding = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin count positions from behind the padding token's id.
    reserved = getattr(embedding, "padding_idx", None)
    return positions if reserved is None else positions - reserved - 1


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int
) -> tuple[list[dict[str, list[int]]], int]:
    """Tokenise texts, cut to `max_length` tokens or what the model can take.

    Returns:
        A dictionary of lists per text, and how many texts were cut. A tokenizer written in Python does not tell:
        then texts that just fit are counted too.
    """
    limit = min(max_length, tokenizer.model_max_length)
    encoded = tokenizer(texts, truncation=True, max_length=limit)
    rows = [dict(zip(encoded.keys(), row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    if encoded.encodings is None:
        return rows, sum(len(row["input_ids"]) >= limit for row in rows)
    return rows, sum(bool(encoding.overflowing) for encoding in encoded.encodings)
