"""The tokens of a small Transformer: those of its teacher that its texts use.

The tokenizer itself is cut, so that it splits every other word into known pieces: a WordPiece or Unigram model finds
the best split into the tokens that it has, and of the merges of a byte-pair encoding (Sennrich et al. 2016, arXiv
1508.07909) those stay that make the tokens that stay. A text of which all tokens stay is split as before.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from potstill.core.errors import PotstillError
from potstill.runtime.transformer.tokenizer import Tokenizer
from potstill.student import vocabulary

_BLOCK = 8  # characters whose code points differ in these low bits only are of one block: of one script, roughly


def cut(
    tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], vocab_size: int, max_length: int
) -> tuple[Tokenizer, list[int]]:
    """Cut a teacher's tokenizer to the tokens that its texts use.

    Single characters of the scripts that occur are kept first, so that few words become unknown; then the tokens that
    occur, most frequent first; then those with the lowest ids, which are the most frequent of the teacher's pretraining
    in WordPiece vocabularies.

    Args:
        tokenizer: the teacher's.
        texts: those to train on; iterated twice.
        vocab_size: number of tokens to keep; a byte-pair encoding may need more, for all 256 bytes.
        max_length: tokens per text.

    Returns:
        The tokenizer, and the teacher's id of each of its tokens, in the order of their rows. The first is the unknown
        token, if there is one.

    Raises:
        PotstillError: the teacher's tokenizer is of another kind.
    """
    spec = _spec(tokenizer)
    ids = _ids(spec)
    full = _whole(tokenizer, spec, max_length)
    counts = np.bincount(full.encode(texts).ids, minlength=max(ids.values()) + 1)
    special = _special(spec, ids, full)
    blocks = {ord(character) >> _BLOCK for text in texts for character in set(text)}
    kept = _choose(spec, ids, special, counts, blocks, vocab_size)
    rows = {old: new for new, old in enumerate(kept)}
    made = Tokenizer(_renumber(spec, rows), rows[full.cls], rows[full.sep], max_length)
    try:
        made.check(len(kept))
    except ValueError as error:
        raise _unsupported(str(error)) from None
    return made, kept


def fit_length(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], limit: int) -> int:
    """Return the number of tokens that `vocabulary.fit_length` finds for some texts.

    Args:
        tokenizer: the teacher's.
        texts: those to train on.
        limit: the number of tokens after which a text is not counted further.

    Raises:
        PotstillError: the teacher's tokenizer is of another kind.
    """
    return vocabulary.fit_length(_whole(tokenizer, _spec(tokenizer), limit).encode(texts).lengths)


def _whole(tokenizer: PreTrainedTokenizerBase, spec: dict[str, Any], max_length: int) -> Tokenizer:
    return Tokenizer(spec, int(tokenizer.cls_token_id), int(tokenizer.sep_token_id), max_length)


def _unsupported(problem: str) -> PotstillError:
    return PotstillError(
        f"no small Transformer can be made of this teacher: {problem}. Set `student.architecture` to another one."
    )


def _spec(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return a tokenizer as JSON, see `Tokenizer.spec`."""
    library = getattr(tokenizer, "backend_tokenizer", None)
    if library is None or tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise _unsupported("its tokenizer is not one of the library tokenizers, or has no tokens for start and end")
    whole = json.loads(library.to_str())
    spec = {name: whole[name] for name in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
    spec["normalizer"] = _without_tables(spec["normalizer"])
    return spec


def _without_tables(normalizer: Any) -> Any:
    """Replace the binary table of a SentencePiece normalizer by Unicode's NFKC, on which such tables are based."""
    if isinstance(normalizer, dict) and normalizer["type"] == "Sequence":
        return {**normalizer, "normalizers": list(map(_without_tables, normalizer["normalizers"]))}
    return {"type": "NFKC"} if isinstance(normalizer, dict) and normalizer["type"] == "Precompiled" else normalizer


def _ids(spec: dict[str, Any]) -> dict[str, int]:
    """Return the id of each token."""
    model = spec["model"]
    if model["type"] == "Unigram":
        found = {token: id_ for id_, (token, _) in enumerate(model["vocab"])}
    else:
        found = dict(model["vocab"])
    return found | {token["content"]: token["id"] for token in spec["added_tokens"]}


def _special(spec: dict[str, Any], ids: dict[str, int], full: Tokenizer) -> list[int]:
    """Return the ids of the unknown token, if there is one, and of those that begin and end a text."""
    model = spec["model"]
    unknown = model["unk_id"] if model["type"] == "Unigram" else ids.get(model["unk_token"])
    return [*([] if unknown is None else [unknown]), full.cls, full.sep]


def _choose(
    spec: dict[str, Any],
    ids: dict[str, int],
    special: Sequence[int],
    counts: np.ndarray,
    blocks: set[int],
    size: int,
) -> list[int]:
    """Return the ids to keep: first the special ones, then the others in ascending order."""
    model = spec["model"]
    prefix = model.get("continuing_subword_prefix") or ""
    added = {token["id"] for token in spec["added_tokens"]}

    def is_basic(token: str) -> bool:
        """Return whether a token is a character that its model needs to split words."""
        character = token.removeprefix(prefix) or token
        return len(character) == 1 and (model["type"] == "BPE" or ord(character) >> _BLOCK in blocks)

    basic = [id_ for token, id_ in ids.items() if is_basic(token) and id_ not in added]
    frequent = [int(id_) for id_ in np.argsort(-counts, kind="stable") if counts[id_]]
    others = sorted(set(ids.values()) - added)
    parts = {}
    for left, right in reversed(model.get("merges", [])):  # the first merge that makes a token counts
        parts[ids[left + right.removeprefix(prefix)]] = ids[left], ids[right]
    kept = dict.fromkeys(special)
    for id_ in (*basic, *frequent, *others):
        if len(kept) >= size and not (model["type"] == "BPE" and id_ in basic):
            continue
        kept |= dict.fromkeys(_with_parts(id_, parts))
    start = len(special)
    return [*kept][:start] + sorted([*kept][start:])


def _with_parts(token: int, parts: dict[int, tuple[int, int]]) -> Iterator[int]:
    """Yield a token and all tokens that are merged to make it."""
    waiting = [token]
    while waiting:
        yield (found := waiting.pop())
        waiting.extend(parts.get(found, ()))


def _renumber(spec: dict[str, Any], rows: dict[int, int]) -> dict[str, Any]:
    """Return a tokenizer with the tokens that have rows, which become their ids."""
    model = dict(spec["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in rows if old < len(model["vocab"])]
        model["unk_id"] = rows[model["unk_id"]]
    else:
        ids = model["vocab"]
        model["vocab"] = {token: rows[old] for token, old in ids.items() if old in rows}
        if "merges" in model:
            prefix = model["continuing_subword_prefix"] or ""
            model["merges"] = [
                [left, right]
                for left, right in model["merges"]
                if {left, right, left + right.removeprefix(prefix)} <= model["vocab"].keys()
            ]
    added = [token | {"id": rows[token["id"]]} for token in spec["added_tokens"] if token["id"] in rows]
    return spec | {"model": model, "added_tokens": added}
