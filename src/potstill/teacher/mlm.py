"""Masked-language-model training of a checkpoint on the task's texts, before fine-tuning; it needs no labels.

Gururangan et al., Don't Stop Pretraining: Adapt Language Models to Domains and Tasks (2020), arXiv 2004.10964.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
)

from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.scoring import pretrained
from potstill.teacher import checkpointing, finetune
from potstill.teacher.params import TeacherParams

# These were best on the Emotion tweets; a new head needs the high learning rate.
BATCH_SIZE = 64
LEARNING_RATE = 3e-4
WARMUP_STEPS = 100
IGNORED = -100  # the collator's label of a token that is not masked


def train(
    source: str,
    texts: list[str],
    params: TeacherParams,
    scratch: Path,
    log: Callable[[dict[str, float]], None] = lambda epoch: None,
    bar: bool = True,
) -> str:
    """Train a checkpoint to predict masked tokens, for `params.mlm_epochs` epochs.

    Args:
        source: a folder, or a hub id.
        texts: of train and unlabelled, never of validation or test.
        params: the settings.
        scratch: a folder for a checkpoint per epoch and for the adapted checkpoint. A later call resumes from them.
        log: called after each epoch with `epoch` and `loss`.
        bar: whether to show a progress bar.

    Returns:
        The folder of the adapted checkpoint: `source` as a classifier, with a new base and its own pooler and head.

    Raises:
        PotstillError: `source` cannot be loaded, or its architecture has no masked-language-model head.
    """
    adapted, epochs = scratch / "adapted", scratch / "adapting"
    if checkpointing.verified(adapted):
        return str(adapted)
    classifier, tokenizer = pretrained.load(source, seed=params.seed)
    config = classifier.config
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder or tokenizer.mask_token is None:
        raise PotstillError(
            f"{source}: {config.model_type} has no masked-language-model head. Set `mlm_epochs: 0` in its preset, or "
            "teacher.mlm_epochs=0."
        )
    model, _ = pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", source, params.seed)
    steps = params.mlm_epochs * -(-len(texts) // BATCH_SIZE)
    trainer = _Trainer(
        model=model,
        args=finetune.training_arguments(
            params,
            epochs,
            num_train_epochs=params.mlm_epochs,
            per_device_train_batch_size=max(1, BATCH_SIZE // params.processes),
            learning_rate=LEARNING_RATE,
            warmup_steps=min(WARMUP_STEPS, steps // 10),
        ),
        train_dataset=pretrained.encode(tokenizer, texts, params.max_length)[0],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
        callbacks=[_EpochLogger(log)],
    )
    finetune.run(trainer, epochs, bar)
    # strict=False: a masked-language model has no pooler, so the checkpoint's own stays.
    classifier.base_model.load_state_dict(model.base_model.state_dict(), strict=False)
    if trainer.is_world_process_zero():
        with files.atomic_write(adapted) as folder:
            classifier.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        checkpointing.write_checksum(adapted)
        shutil.rmtree(epochs)
    trainer.accelerator.wait_for_everyone()
    return str(adapted)


class _Trainer(Trainer):
    """Computes the vocabulary's logits for masked tokens only; for all tokens they would take most of the time."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        labels = inputs.pop("labels")
        masked = labels != IGNORED
        network: Any = self.model  # `model` is this one, or a DistributedDataParallel around it
        with network.get_output_embeddings().register_forward_pre_hook(lambda head, hidden: hidden[0][masked]):
            logits = model(**inputs).logits
        # A batch of a few short texts may have no masked token.
        return cross_entropy(logits, labels[masked], reduction="sum") / max(1, len(logits))


class _EpochLogger(TrainerCallback):
    def __init__(self, log: Callable[[dict[str, float]], None]) -> None:
        self.log = log

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs and state.is_world_process_zero:
            self.log({"epoch": round(state.epoch), "loss": logs["loss"]})
