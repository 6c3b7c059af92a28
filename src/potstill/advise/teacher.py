"""The teacher that `potstill advise` fine-tunes on a sample."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from potstill.core import device, files
from potstill.scoring import hub
from potstill.teacher.params import TeacherParams

# A sample is small, so the batches are small and the epochs many enough for this number of steps.
BATCH_SIZE, MIN_EPOCHS, MIN_STEPS = 16, 3, 280
LABEL_BATCH_SIZE = 32  # without gradients, more texts fit


class FineTunedTeacher:
    """A Transformer that is fine-tuned on a table; it replaces the one fine-tuned before."""

    def __init__(self, params: TeacherParams, name: str, labels: list[str], multi_label: bool, scratch: Path) -> None:
        """Find the checkpoint of a preset.

        Args:
            params: how to fine-tune; the batch size and the epochs are replaced.
            name: of the preset.
            labels: the names of the classes.
            multi_label: whether the task is multi-label.
            scratch: the folder for what lets an interrupted fine-tuning continue.

        Raises:
            PotstillError: the checkpoint is missing.
        """
        self.preset = params.presets[name]
        self.params = params.for_preset(name)
        self.labels, self.multi_label, self.scratch = labels, multi_label, scratch
        self.checkpoint = hub.find(self.preset.checkpoint)
        self.digest = files.sha256(Path(self.checkpoint))
        self.threads = params.threads or torch.get_num_threads()

    def fit(self, train: pd.DataFrame, validation: pd.DataFrame) -> None:
        """Fine-tune on a table with `text` and `label`; another one is for the validation curve."""
        from potstill.scoring import pretrained  # slow to import: errors are reported before
        from potstill.teacher import finetune

        epochs = max(MIN_EPOCHS, -(-MIN_STEPS // -(-len(train) // BATCH_SIZE)))
        params = self.params.model_copy(update={"epochs": epochs, "batch_size": BATCH_SIZE})
        device.use_threads(self.threads)
        self.network, self.tokenizer = pretrained.load(self.checkpoint, self.labels, params.seed, self.multi_label)
        folder = self.scratch / files.cache_key(params.model_dump_json(), self.preset, self.digest, train.to_json())
        rate = self.preset.learning_rate
        finetune.finetune(self.network, self.tokenizer, train, validation, params, rate, folder)

    def logits(self, texts: list[str]) -> np.ndarray:
        """Return logits, float32 of shape (texts, classes)."""
        from potstill.scoring import inference

        device.use_threads(self.threads)
        return inference.score(
            self.network,
            self.tokenizer,
            texts,
            max_length=self.params.max_length,
            batch_size=LABEL_BATCH_SIZE,
            precision=self.params.precision,
        ).logits
