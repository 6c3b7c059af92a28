"""The parameters of a classifier that is trained in Python: those of `params.yaml`, with the same defaults."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from sklearn.utils import check_random_state

from potstill.baseline.params import BaselineParams
from potstill.core import params
from potstill.core.errors import PotstillError
from potstill.evaluate.params import EvaluateParams
from potstill.export.params import ExportParams
from potstill.label.params import LabelParams
from potstill.pool.params import PoolParams
from potstill.prepare.params import PrepareParams
from potstill.student.params import StudentParams
from potstill.teacher.params import PRESETS, RESERVED, TeacherParams

MISSPELT = 0.85  # similarity to a preset; the hub's distilroberta-base has 0.84 to distilroberta
UNUSED = ("ablate", "report")  # sections of stages that only a project has
SEEDED = ("prepare", "baseline", "teacher", "pool", "student")


@dataclass(frozen=True)
class Settings:
    """The sections that a fit and its evaluation use, see `params.yaml`."""

    prepare: PrepareParams
    baseline: BaselineParams
    pool: PoolParams
    label: LabelParams
    student: StudentParams
    export: ExportParams
    evaluate: EvaluateParams

    @classmethod
    def of(cls, given: Mapping[str, Any] | None, **changes: Mapping[str, Any]) -> Self:
        """Return the settings.

        Args:
            given: values of some keys, by section; other keys have their defaults.
            changes: the same, for keys that `given` does not set.

        Raises:
            PotstillError: a section or a key is unknown, or a value has the wrong type or is out of range.
        """
        merged = merge(given, changes)
        return cls(**{name: params.section(name).model_validate(merged.get(name, {})) for name in cls.__annotations__})


def merge(given: Mapping[str, Any] | None, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the checked values of `given` over those of `changes`, by section."""
    _check_sections(given)
    merged = {name: dict(keys) for name, keys in changes.items()}
    for name, keys in (given or {}).items():
        merged[name] = merged.get(name, {}) | dict(keys)
    if errors := "; ".join(params.check(merged)):
        raise PotstillError(f"params: {errors}" + ("" if errors.endswith("?") else "."))
    return merged


def _check_sections(given: Any) -> None:
    if not isinstance(given or {}, Mapping) or not all(isinstance(keys, Mapping) for keys in (given or {}).values()):
        raise PotstillError('params: must be a dictionary of sections, such as {"student": {"epochs": 3}}.')


def check_used(given: Mapping[str, Any] | None, instead: Mapping[str, str]) -> None:
    """Check that no value is set for a key that only a project has.

    Args:
        given: values of some keys, by section.
        instead: what to do instead, by keys such as `label.teachers`.

    Raises:
        PotstillError: there is one, or `given` is no mapping of sections.
    """
    _check_sections(given)
    for section, keys in (given or {}).items():
        for key in keys:
            if section in UNUSED:
                raise PotstillError(f"params: {section}.{key} is for projects, and has no effect here. Remove it.")
            if advice := instead.get(f"{section}.{key}"):
                raise PotstillError(f"params: {section}.{key} is for projects. {advice} instead.")


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Call parameters of `params.yaml` in the errors of a block what they are called by the user.

    Args:
        names: the user's names, by those of the parameters.
    """
    try:
        yield
    except PotstillError as error:
        message = str(error)
        for name, own in names.items():
            if own.startswith("--"):  # an option is set as `--text subject,body`, not as text=[subject,body]
                message = re.sub(rf"\b{re.escape(name)}=(?:\[(.*?)\])?", rf"{own} \1", message)
            message = re.sub(rf"`?\b{re.escape(name)}\b((?:\.\w+)*)`?", rf"`{own}\1`", message)
        raise PotstillError(message) from None


def seed_of(random_state: Any) -> int:
    """Return the seed that an integer stands for, or one drawn from a random state; None is NumPy's global one."""
    if isinstance(random_state, int) and 0 <= random_state < 2**32:
        return random_state
    return int(check_random_state(random_state).randint(2**31 - 1))


def teacher_name(name: str) -> str:
    """Return a valid name for a teacher, which no other model of an evaluation has."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name).strip("-") or "teacher"
    return f"{name}-teacher" if name in RESERVED else name


def teacher_settings(
    checkpoint: str, learning_rate: float | None, given: Mapping[str, Any] | None, changes: Mapping[str, Any]
) -> tuple[str, TeacherParams]:
    """Return the name and the settings of a teacher.

    Args:
        checkpoint: a preset, a folder, an id on the hub, or a table of probabilities.
        learning_rate: that of fine-tuning; None for the preset's.
        given: values of keys of the section `teacher`.
        changes: the same, for keys that `given` does not set.

    Raises:
        PotstillError: as `Settings.of`, or a preset is misspelt, or is an LLM.
    """
    section = dict(given or {})
    presets = {key: preset.model_dump() for key, preset in PRESETS.items()} | dict(section.pop("presets", {}))
    name, preset = checkpoint, presets.get(checkpoint, {"checkpoint": checkpoint})
    if checkpoint not in presets:
        near = difflib.get_close_matches(checkpoint, presets, n=1, cutoff=MISSPELT)
        if near and not os.path.exists(checkpoint):
            raise PotstillError(f"teacher: no preset {checkpoint!r}. Did you mean {near[0]!r}?")
        name = teacher_name(checkpoint.rstrip("/").rsplit("/", 1)[-1])
    if preset.get("llm"):
        raise PotstillError(f"teacher: {name} is an LLM, which only the pipeline asks. Give a function instead.")
    if learning_rate is not None:
        preset = {**preset, "learning_rate": learning_rate}
    own = {"checkpoints": [name], "presets": {name: preset}}
    values = merge({"teacher": section | own}, {"teacher": changes})["teacher"]
    return name, TeacherParams.model_validate(values).for_preset(name)
