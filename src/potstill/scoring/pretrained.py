"""Loading checkpoints and tokenizing texts; separate from training, whose imports take seconds."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.trainer_utils import set_seed

from potstill.core.errors import PotstillError, exhausted, first_line

transformers.logging.set_verbosity_error()  # it would warn that the new head is newly initialized
transformers.logging.disable_progress_bar()

Row = dict[str, list[int]]  # what a tokenizer returns for a text, or a part of it

# Embeddings may have more rows than the tokenizer has tokens: padded to a multiple of 128 at most, or by a few percent
# (dbmdz's BERT, Phi). With more rows than that, the tokenizer is that of another checkpoint, or incomplete.
MULTIPLE, USED = 128, 0.9
# Every tokenizer can encode this, if only as an unknown token; one without an unknown token fails here at once.
PROBE = "a \u2603"
# Files that must be JSON objects, and the keys that the libraries do not check.
OBJECTS: dict[str, dict[str, type]] = {
    "config.json": {},
    "tokenizer.json": {"added_tokens": list, "model": dict},
    "tokenizer_config.json": {},
    "special_tokens_map.json": {},
    "added_tokens.json": {},
}


def load(
    source: str, labels: list[str] | None = None, seed: int = 0, multi_label: bool = False, trained: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a classifier and its tokenizer.

    Args:
        source: a folder, or a hub id. Only safetensors are read and no code from the source is run.
        labels: the names of the classes of a new head; None keeps the saved head.
        seed: for the initial weights of a new head.
        multi_label: whether the task is multi-label.
        trained: whether the saved head is trained, so that no weight may be missing.

    Raises:
        PotstillError: `source` cannot be loaded as a sequence classifier, or is incomplete.
    """
    head: dict[str, Any] = {}
    if labels is not None:
        head = {"num_labels": len(labels), "id2label": dict(enumerate(labels)), "ignore_mismatched_sizes": True}
        head["label2id"] = {name: i for i, name in enumerate(labels)}
    if multi_label:
        head["problem_type"] = "multi_label_classification"
    return load_as(AutoModelForSequenceClassification, "a text classifier", source, seed, trained, **head)


def load_as(
    kind: Any, name: str, source: str, seed: int, trained: bool = False, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint as a model of a given kind, and its tokenizer.

    Args:
        kind: an auto class of `transformers`.
        name: its name in messages.
        source: a folder, or a hub id. Only safetensors are read and no code from the source is run.
        seed: for the initial weights of a new head.
        trained: whether no weight may be missing; otherwise those of the head may.
        options: further arguments of `from_pretrained`.

    Raises:
        PotstillError: `source` cannot be loaded as that, or is incomplete.
    """
    set_seed(seed)
    part = "config.json"
    try:
        _check_objects(source)
        AutoConfig.from_pretrained(source, trust_remote_code=False)
        part = "tokenizer"
        tokenizer = load_tokenizer(source)
        part = "config.json"
        options |= {"use_safetensors": True, "dtype": "float32", "output_loading_info": True}
        model, loaded = kind.from_pretrained(source, trust_remote_code=False, **options)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
            model.config.pad_token_id = tokenizer.pad_token_id
        fault = _tokenizer_fault(tokenizer, model) or _weights_fault(model, loaded, trained)
    except Exception as error:  # the types depend on the damage; tokenizers raises plain `Exception`
        if exhausted(error):
            raise
        fault = first_line(error)
        if not isinstance(error, OSError | ValueError):
            fault = f"its {part} does not fit ({fault})"
    if fault:
        again = "run `make verify`, then `dvc repro`" if trained else "get it again, with all its files"
        raise PotstillError(f"{source} cannot be loaded as {name}: {fault}; if it is damaged, {again}.")
    tokenizer.model_max_length = min(tokenizer.model_max_length, _positions(model))
    return model, tokenizer


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder or a hub id.

    Raises:
        ValueError: it is missing (`transformers` would return one with special tokens only) or damaged.
        Exception: it is damaged; the type depends on the damage.
    """
    _check_objects(source)
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    folder, names = Path(source), {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    # ByT5 and CANINE have no vocabulary, and a hub id no folder.
    if tokenizer.vocab_files_names and folder.is_dir() and not any((folder / name).is_file() for name in names):
        raise ValueError(f"its tokenizer is missing (no {' or '.join(sorted(names))})")
    tokenizer(PROBE)
    return tokenizer


def _check_objects(source: str) -> None:
    """Check the JSON files of a folder; the errors of `transformers` do not name the file.

    Raises:
        ValueError: one is not a JSON object, or has no such key.
    """
    for name, keys in OBJECTS.items():
        path = Path(source, name)
        if not path.is_file():
            continue
        try:
            value = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{name} is not JSON ({error})") from None
        if not isinstance(value, dict):
            raise ValueError(f"{name} is not a JSON object (found: {json.dumps(value)[:50]})")
        for key, kind in keys.items():
            if not isinstance(value.get(key), kind):
                raise ValueError(
                    f"{name}: `{key}` is missing or of another type (found: {type(value.get(key)).__name__})"
                )


def _tokenizer_fault(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> str | None:
    """Return why a tokenizer does not fit the model, as far as can be checked; None if it does."""
    if tokenizer.pad_token_id is None:
        return "its tokenizer has no padding token"
    padding = model.config.pad_token_id
    if padding is not None and padding >= 0 and padding != tokenizer.pad_token_id:
        return f"its tokenizer pads with token {tokenizer.pad_token_id}, and its config.json with {padding}"
    try:
        embeddings: Any = model.get_input_embeddings()
        rows = embeddings.num_embeddings
    except (AttributeError, NotImplementedError):
        return None  # CANINE hashes its characters
    ids = set(tokenizer.get_vocab().values())
    if max(ids) >= rows or rows > max(-(-len(ids) // MULTIPLE) * MULTIPLE, len(ids) / USED):
        return f"its tokenizer, of {max(ids) + 1:,} tokens, does not fit its embeddings, of {rows:,} rows"
    return None


def _weights_fault(model: PreTrainedModel, loaded: Mapping[str, Any], trained: bool) -> str | None:
    """Return what is wrong with the weights, if anything; `transformers` initializes missing ones at random."""
    own = f"{model.base_model_prefix}."
    absent = {*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])}
    # Layers beyond those that config.json counts would be ignored silently.
    if trained:
        absent |= set(loaded["unexpected_keys"])
    else:  # the head is new, and so is the pooler of a masked-language model
        parts = {name for name, _ in model.base_model.named_children()}
        extra = {key for key in loaded["unexpected_keys"] if key.removeprefix(own).partition(".")[0] in parts}
        absent = {key for key in absent if key.startswith(own)} | extra
        absent = {key for key in absent if ".pooler." not in f".{key}"}
    if absent:
        return f"its weights do not fit its config.json ({len(absent)} of them, such as {min(absent)})"
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        return "its weights are not all finite numbers"
    return None


def _positions(model: PreTrainedModel) -> int:
    """Return the number of tokens that the model has position embeddings for."""
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    if positions <= 0:  # XLNet has -1
        return sys.maxsize
    embedding = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its variants count positions from the padding token's id + 1.
    reserved = getattr(embedding, "padding_idx", None)
    return positions if reserved is None else positions - reserved - 1


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_length: int) -> tuple[list[Row], int]:
    """Tokenize texts, truncated to `max_length` tokens or to the model's maximum.

    Returns:
        A dictionary of lists per text, and how many texts were truncated. A tokenizer written in Python does not report
        this; then texts of exactly the maximum length are counted too.
    """
    limit = min(max_length, tokenizer.model_max_length)
    encoded = tokenizer(texts, truncation=True, max_length=limit)
    rows = by_row(encoded)
    if encoded.encodings is None:
        return rows, sum(len(row["input_ids"]) >= limit for row in rows)
    return rows, sum(bool(encoding.overflowing) for encoding in encoded.encodings)


def by_row(encoded: BatchEncoding) -> list[Row]:
    """Return a dictionary of lists per row instead of a dictionary with a list of lists."""
    return [dict(zip(encoded.keys(), row, strict=True)) for row in zip(*encoded.values(), strict=True)]
