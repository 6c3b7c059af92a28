"""The `teacher` section."""

import math
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from potstill.core.params import Keys, Section, Seed
from potstill.readers.columns import Columns
from potstill.scoring.llm.params import LlmParams

# The default length of fine-tuning.
MIN_STEPS, STEPS_PER_CLASS = 400, 20
MIN_EPOCHS, MAX_EPOCHS = 4, 40
RESERVED = ("tfidf", "hard", "student", "ensemble")  # names of other models in `evaluate`


class Preset(Keys):
    """A checkpoint, its learning rate, and settings that override those of the section; or an LLM."""

    checkpoint: str = ""  # empty for an LLM
    llm: LlmParams | None = None
    learning_rate: float = Field(default=5e-5, gt=0, le=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    seed: Seed | None = None
    epochs: int | None = Field(default=None, ge=1)
    mlm_epochs: int | None = Field(default=None, ge=0)
    text: Columns = Field(default=["text"])


PRESETS = {
    "minilm": Preset(checkpoint="sentence-transformers/all-MiniLM-L6-v2", learning_rate=1e-4),
    "minilm-2": Preset(checkpoint="sentence-transformers/all-MiniLM-L6-v2", learning_rate=1e-4, seed=2),
    "minilm-adapted": Preset(checkpoint="sentence-transformers/all-MiniLM-L6-v2", learning_rate=1e-4, mlm_epochs=3),
    "mpnet": Preset(checkpoint="sentence-transformers/all-mpnet-base-v2", learning_rate=3e-5),
    "bert": Preset(checkpoint="google-bert/bert-base-uncased", learning_rate=3e-5),
    "roberta": Preset(checkpoint="FacebookAI/roberta-base", learning_rate=2e-5),
    "t5": Preset(checkpoint="google-t5/t5-base", learning_rate=1e-4),
    "distilbert": Preset(checkpoint="distilbert/distilbert-base-uncased", learning_rate=5e-5),
    "distilroberta": Preset(checkpoint="distilbert/distilroberta-base", learning_rate=5e-5),
    "xlnet": Preset(checkpoint="xlnet/xlnet-base-cased", learning_rate=2e-5),
    "multilingual-e5-small": Preset(checkpoint="intfloat/multilingual-e5-small", learning_rate=5e-5),
    "xlm-roberta-base": Preset(checkpoint="FacebookAI/xlm-roberta-base", learning_rate=2e-5),
}


class TeacherParams(Section):
    """How the teachers are fine-tuned; `params.yaml` documents each key."""

    section: ClassVar[str] = "teacher"

    checkpoints: list[str] = Field(["minilm"], min_length=1)
    presets: dict[str, Preset] = PRESETS
    mlm_epochs: int = Field(0, ge=0)
    epochs: int | None = Field(None, ge=1)
    head_lr_factor: float = Field(10.0, gt=0)
    batch_size: int = Field(32, ge=1)
    weight_decay: float = Field(0.01, ge=0)
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    max_grad_norm: float = Field(1.0, gt=0)
    templates: list[str] = Field(["{}", "This is about {}.", "The topic is {}.", "I feel {}."], min_length=1)
    class_weight: Literal["balanced"] | None = None
    max_length: int = Field(128, ge=2)
    max_windows: int | None = Field(None, ge=1)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    gradient_accumulation_steps: int = Field(1, ge=1)
    gradient_checkpointing: bool = False
    processes: int = Field(1, ge=1)
    threads: int = Field(0, ge=0)
    seed: Seed = 0

    @model_validator(mode="after")
    def _names_are_presets(self) -> "TeacherParams":
        for name in self.checkpoints:
            if name not in self.presets:
                known = ", ".join(self.presets)
                raise ValueError(f"`{name}` in checkpoints is not a key of teacher.presets (found: {known})")
            if not name.replace("-", "").replace("_", "").isalnum() or name in RESERVED:
                raise ValueError(
                    f"`{name}` is not a valid name: use letters, digits, - and _, and none of {', '.join(RESERVED)}"
                )
        return self

    # Here, since an error of the preset itself would show its values, and so a key.
    @model_validator(mode="after")
    def _presets_are_one_of_two(self) -> "TeacherParams":
        for name, preset in self.presets.items():
            if bool(preset.checkpoint) == bool(preset.llm):
                raise ValueError(f"presets.{name} must have either a `checkpoint` or an `llm`")
            if preset.llm and (key := preset.llm.secret_in):
                raise ValueError(
                    f"presets.{name}.llm.{key} seems to hold a secret. Remove it, and change it if it was committed; "
                    "set the key in the environment, and `api_key_env` to the name of its variable"
                )
        return self

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, templates: list[str]) -> list[str]:
        if wrong := next((template for template in templates if template.count("{}") != 1), None):
            raise ValueError(f"{wrong!r} must have one {{}}, the place of a label's name")
        return templates

    @model_validator(mode="after")
    def _batches_divide(self) -> "TeacherParams":
        if self.batch_size % (self.processes * self.gradient_accumulation_steps):
            raise ValueError("batch_size must be divisible by processes times gradient_accumulation_steps")
        return self

    @property
    def texts_at_once(self) -> int:
        """The number of texts that a process handles at a time."""
        return self.batch_size // (self.processes * self.gradient_accumulation_steps)

    def epochs_for(self, texts: int, classes: int) -> int:
        """Return the number of fine-tuning epochs: `epochs`, or if that is None as many as the data need.

        Many classes need many steps, as the new head sees each of them seldom; few texts need many epochs.
        """
        if self.epochs is not None:
            return self.epochs
        steps = max(MIN_STEPS, STEPS_PER_CLASS * classes)
        return min(MAX_EPOCHS, max(MIN_EPOCHS, math.ceil(steps * self.batch_size / texts)))

    def for_preset(self, name: str) -> "TeacherParams":
        """Return the settings of one teacher: those of the section, overridden by its preset."""
        return self.model_copy(
            update=self.presets[name].model_dump(include={"seed", "epochs", "mlm_epochs"}, exclude_none=True)
        )
