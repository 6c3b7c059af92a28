"""Adapting a checkpoint to the texts before its fine-tuning: masked-language-model training, no labels needed.

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

from potstill import files
from potstill.errors import PotstillError
from potstill.params.teacher import TeacherParams
from potstill.teacher import finetune, pretrained, resume

# BERT's share of masked words; the rest is what worked on the Emotion tweets. A new head wants the high rate.
MASKED = 0.15
BATCH_SIZE = 64
LEARNING_RATE = 3e-4
WARMUP = 100
IGNORED = -100  # the collator's label of a token that is not to be foretold


def adapt(
    source: str,
    texts: list[str],
    params: TeacherParams,
    scratch: Path,
    log: Callable[[dict[str, float]], None] = lambda epoch: None,
) -> str:
    """Train a checkpoint to foretell masked words of the texts, `params.mlm_epochs` passes over them.

    Args:
        source: a folder, or a hub id.
        texts: all that may be seen: of train and unlabelled, never of validation or test.
        params: the settings.
        scratch: a folder for a checkpoint per pass, and for the adapted checkpoint, which appears there whole. A run
            that finds either goes on from it.
        log: receives one dictionary per finished pass: `epoch`, `loss`.

    Returns:
        The folder of the adapted checkpoint: `source` as a classifier, whatever it has beside its base (a pooler, a
        head) left as it was.

    Raises:
        PotstillError: `source` cannot be loaded, or is of an architecture that foretells no masked words.
    """
    adapted, passes = scratch / "adapted", scratch / "adapting"
    if resume.sealed(adapted):
        return str(adapted)
    classifier, tokenizer = pretrained.load(source, seed=params.seed)
    config = classifier.config
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder or tokenizer.mask_token is None:
        raise PotstillError(
            f"{source} cannot be adapted: {config.model_type} is not made to foretell masked words; "
            "set `mlm_epochs: 0` in its preset, or teacher.mlm_epochs=0"
        )
    model, _ = pretrained.load_as(AutoModelForMaskedLM, "a masked-language model", source, params.seed)
    steps = params.mlm_epochs * -(-len(texts) // BATCH_SIZE)
    trainer = _Trainer(
        model=model,
        args=finetune.arguments(
            params,
            passes,
            num_train_epochs=params.mlm_epochs,
            per_device_train_batch_size=max(1, BATCH_SIZE // params.processes),
            learning_rate=LEARNING_RATE,
            warmup_steps=min(WARMUP, steps // 10),
        ),
        train_dataset=pretrained.encode(tokenizer, texts, params.max_length)[0],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKED),
        callbacks=[_Passes(log)],
    )
    finetune.run(trainer, passes)
    # A masked-language model has no pooler: the checkpoint's own stays.
    classifier.base_model.load_state_dict(model.base_model.state_dict(), strict=False)
    if trainer.is_world_process_zero():
        with files.atomic_write(adapted) as folder:
            classifier.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        resume.seal(adapted)
        shutil.rmtree(passes)
    trainer.accelerator.wait_for_everyone()
    return str(adapted)


class _Trainer(Trainer):
    """Scores the vocabulary where a word is masked only: at every token, that would cost more than all the rest."""

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        labels = inputs.pop("labels")
        masked = labels != IGNORED
        network: Any = self.model  # `model` may be it, wrapped to average the gradients of several processes
        hook = network.get_output_embeddings().register_forward_pre_hook(lambda head, hidden: hidden[0][masked])
        try:
            scores = model(**inputs).logits
        finally:
            hook.remove()
        # A batch of a few short texts may have no masked word at all.
        return cross_entropy(scores, labels[masked], reduction="sum") / max(1, len(scores))


class _Passes(TrainerCallback):
    """Passes the loss of every pass on."""

    def __init__(self, log: Callable[[dict[str, float]], None]) -> None:
        self.log = log

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs and state.is_world_process_zero:
            self.log({"epoch": round(state.epoch), "loss": logs["loss"]})
