"""Parameters of stages for tiny tasks."""

import numpy as np

from potstill.baseline.params import BaselineParams
from potstill.data.dataset import Dataset
from potstill.student.params import DistilParams, NetworkParams
from potstill.teacher.params import TeacherParams

STUDENT = {
    "architecture": "mlp",
    "subwords": False,
    "layers": 1,
    "exclude_identifiers": False,
    "vocab_size": 60,
    "embedding_rows": None,
    "informative_share": 0.5,
    "max_ngram": 1,
    "embedding_dim": 4,
    "hidden": 8,
    "weight_bits": None,
    "fingerprint_bits": 8,
    "max_length": 32,
    "metric": "accuracy",
    "dropout": 0.0,
    "word_dropout": 0.0,
    "sources": None,
    "loss": "kl",
    "temperature": 1.0,
    "epochs": 20,
    "batch_size": 32,
    "learning_rate": 0.02,
    "weight_decay": 0.0,
    "threads": 1,
    "seed": 0,
}


def student_settings(**changes):
    return DistilParams(**(STUDENT | changes))


def baseline_settings(**changes):
    network = {key: value for key, value in STUDENT.items() if key in NetworkParams.model_fields}
    return BaselineParams(**network | {"C": 1.0, "class_weight": None} | changes)


def soft_labels(data):
    """Logits of a hypothetical teacher, correct and confident."""
    return np.eye(3, dtype=np.float32)[data.train["label"]] * 4


TEACHER = {
    "checkpoints": ["mine"],
    "presets": {"mine": {"checkpoint": "anywhere"}},
    "mlm_epochs": 0,
    "epochs": 3,
    "head_lr_factor": 1.0,
    "batch_size": 16,
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
    "class_weight": None,
    "max_length": 32,
    "precision": "fp32",
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
    "processes": 1,
    "threads": 0,
    "seed": 0,
}


def teacher_settings(**changes):
    return TeacherParams(**(TEACHER | changes))


def mixed_logits(data: Dataset) -> np.ndarray:
    """Logits of a hypothetical teacher, correct and confident."""
    return (8 * data.targets("train") - 4).astype(np.float32)
