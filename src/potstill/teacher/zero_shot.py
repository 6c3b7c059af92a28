"""A teacher for texts that nobody has labelled, from a sentence-embedding checkpoint and the names of the labels.

A text has the label whose name, in some sentences, is most similar to it. Self-training sharpens this: the checkpoint
is trained on the texts of each label of which it is most confident, and labels all texts again. On the most confident
ones, a classifier is then fine-tuned as on labels of people.

Yin et al., Benchmarking Zero-shot Text Classification (2019), arXiv 1909.00161; Meng et al., Text Classification Using
Label Names Only: A Language Model Self-Training Approach (2020), arXiv 2010.07245.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers import AutoModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput

from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.core.labels import probabilities
from potstill.data.dataset import Dataset
from potstill.scoring import inference, windows
from potstill.scoring.pretrained import load_as
from potstill.teacher import distributed, finetune
from potstill.teacher.params import TeacherParams

# Where sentence-transformers writes how the vectors of a text's tokens become one.
POOLING = Path("1_Pooling", "config.json")
TEMPERATURE = 0.05  # of cosine similarities, as sentence embeddings are trained with
# Of the texts of each label, the share to train on in each round, and after the last one; the most confident ones.
SHARES = (0.15, 0.3, 0.5)
EPOCHS = 3  # of each round
MAX_TEXTS = 20_000  # to learn from, drawn at random: more take longer, and teach a checkpoint little


class Similarity(nn.Module):
    """A classifier whose logits are similarities of a text to each label, for `finetune` and `inference.score`.

    Args:
        encoder: a Transformer whose vectors of tokens are averaged to that of the text.
        labels: the number of labels.
    """

    base_model_prefix = "encoder"
    labels: torch.Tensor

    def __init__(self, encoder: Any, labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("labels", torch.zeros(labels, encoder.config.hidden_size))
        self.config = SimpleNamespace(num_labels=labels, model_type="similarity")
        self.gradient_checkpointing_enable = encoder.gradient_checkpointing_enable

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.labels.device

    def embed(self, attention_mask: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return vectors of length one, (texts, width)."""
        states = self.encoder(attention_mask=attention_mask, **inputs).last_hidden_state.float()
        mask = attention_mask[..., None].float()
        return nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    def forward(
        self,
        input_ids: torch.Tensor,  # the Trainer drops columns without a name here
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Return the logits, (texts, labels); `finetune` computes the loss."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        vectors = self.embed(attention_mask, input_ids=input_ids, **types)
        return SequenceClassifierOutput(logits=vectors @ self.labels.T / TEMPERATURE)


def check(source: str) -> None:
    """Check that a checkpoint is one whose tokens are averaged to the vector of a text.

    Raises:
        PotstillError: it is not.
    """
    pooling = Path(source) / POOLING
    if not pooling.is_file() or files.read_json(pooling).get("pooling_mode_mean_tokens") is not True:
        raise PotstillError(
            f"{source}: it cannot compare texts with the names of labels, as it is not a sentence-embedding checkpoint "
            f"that averages its tokens (no {POOLING} says so). Take minilm, an LLM, or a table of probabilities."
        )


def train(
    source: str,
    data: Dataset,
    params: TeacherParams,
    learning_rate: float,
    scratch: Path,
    log: Callable[[str], object],
    bar: bool = True,
) -> tuple[str, Dataset]:
    """Label the texts on which a classifier is to be fine-tuned.

    Args:
        source: the folder of a sentence-embedding checkpoint, see `check`.
        data: the data, without labels in train and validation.
        params: the settings.
        learning_rate: that of self-training.
        scratch: a folder for checkpoints, from which a later call resumes, and for the sharpened one.
        log: called with a line after each round.
        bar: whether to show a progress bar.

    Returns:
        The folder of the sharpened checkpoint; and the data with its labels, whose train split has the texts of each
        label of which it is most confident.

    Raises:
        PotstillError: `source` cannot be loaded.
    """
    texts = pd.concat([data.train["text"], data.unlabelled["text"]])
    texts = texts.sample(min(len(texts), MAX_TEXTS), random_state=params.seed).reset_index(drop=True)

    def load() -> tuple[Any, PreTrainedTokenizerBase]:
        encoder, tokenizer = load_as(AutoModel, "a text encoder", source, params.seed)
        return Similarity(encoder, len(data.labels)), tokenizer

    def label(some: pd.Series) -> np.ndarray:
        scored = inference.score(
            model,
            tokenizer,
            some.tolist(),
            params.max_length,
            params.batch_size,
            params.precision,
            max_windows=max_windows,
        )
        return probabilities(scored.logits, multi_label=False)

    model, tokenizer = load()
    max_windows = params.max_windows or windows.choose(tokenizer, texts.tolist(), params.max_length)
    settings = params.model_copy(update={"epochs": EPOCHS, "class_weight": None, "max_windows": max_windows})
    names = label_vectors(model, tokenizer, data.labels, data.descriptions, params.templates)
    model.labels.copy_(names)
    for number, share in enumerate(SHARES):
        found, of_validation = label(texts), label(data.validation["text"])
        table = pd.DataFrame({"text": texts, "label": found.argmax(1)}).iloc[confident(found, share)]
        validation = data.validation.assign(label=of_validation.argmax(1))
        counts = ", ".join(f"{count:,} {name}" for name, count in zip(data.labels, _counts(found), strict=True))
        if distributed.is_main_process():
            log(f"round {number} of {len(SHARES) - 1}: {counts}; {len(table):,} to learn from")
        if number == len(SHARES) - 1:
            break
        model, tokenizer = load()  # again, so that the mistakes of one round are not learned twice
        model.labels.copy_(names)
        finetune.finetune(
            model, tokenizer, table, validation, settings, learning_rate, scratch / f"round-{number}", bar=bar
        )
    sharpened = scratch / "sharpened"
    if distributed.is_main_process():
        with files.atomic_write(sharpened) as folder:
            model.encoder.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    return str(sharpened), replace(data, train=table.reset_index(drop=True), validation=validation)


def label_vectors(
    model: Similarity,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
    descriptions: dict[str, str],
    templates: Sequence[str],
) -> torch.Tensor:
    """Return a vector of length one per label, float32 (labels, width): the mean over its sentences.

    Args:
        model, tokenizer: the encoder.
        labels: their names, in which _ and - are read as spaces.
        descriptions: of labels, by their names, which are added to the names.
        templates: sentences with a place for a name or a description.
    """
    vectors = []
    for label in labels:
        names = [label.replace("_", " ").replace("-", " "), *filter(None, [descriptions.get(label)])]
        sentences = [template.replace("{}", name) for name in names for template in templates]
        batch = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            vectors.append(model.eval().embed(**batch).mean(0))
    return nn.functional.normalize(torch.stack(vectors), dim=1).clone()


def confident(found: np.ndarray, share: float) -> np.ndarray:
    """Return the rows of the texts of each label of which a model is most confident, in ascending order.

    Args:
        found: its probabilities, floats (texts, labels).
        share: of the texts of each label to return, at least one text of a label that has any.
    """
    chosen, rows = found.argmax(1), []
    for label in range(found.shape[1]):
        own = np.flatnonzero(chosen == label)
        number = max(1, round(share * len(own)))
        rows.extend(own[np.argsort(-found[own, label], kind="stable")[:number]].tolist())
    return np.sort(np.array(rows, np.int64))


def _counts(found: np.ndarray) -> list[int]:
    return np.bincount(found.argmax(1), minlength=found.shape[1]).tolist()
