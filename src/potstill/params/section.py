"""What all sections of `params.yaml` share: reading, checking, and errors that name the key."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError

from potstill import paths
from potstill.errors import PotstillError, said

SECTIONS = (
    "prepare", "baseline", "teacher", "pool", "label", "student", "export", "ablate", "evaluate", "report",
)  # fmt: skip
# Renamed keys, old to new.
_NETWORK = {
    "words": "vocab_size",
    "rows": "embedding_rows",
    "influence": "informative_share",
    "fingerprint": "fingerprint_bits",
    "bits": "weight_bits",
    "embedding": "embedding_dim",
    "ngrams": "max_ngram",
}
RENAMED = {
    "prepare": {"labels": "label_names", "labelled": "max_labelled", "validated": "max_validation"},
    "baseline": _NETWORK,
    "teacher": {"adapt": "mlm_epochs", "warmup": "warmup_ratio"},
    "pool": {"lexicon": "vocab_checkpoint", "order": "ngram_order"},
    "label": {"address": "ray_address"},
    "student": _NETWORK,
    "export": {"words": "keep_vocabulary"},
    "ablate": {"words": "vocabulary", "pool": "transfer_shares", "labels": "label_shares", "jobs": "n_jobs"},
    "evaluate": {"max_loss": "non_inferiority_margin", "seconds": "timing_seconds"},
}
# What numpy and torch take as a seed.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# pydantic's kinds of errors, for those who do not know it.
PLAIN = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_type": "must be an integer",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_type": "must be a mapping of keys to values",
    "string_too_short": "must not be empty",
    "string_type": "must be text (put it into quotes)",
    "too_short": "must not be an empty list",
}
SCALAR = ("bool_type", "float_type", "int_type", "literal_error", "string_type")


class Keys(BaseModel):
    """Keys with values: a section of `params.yaml`, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("must not be true or false")
        return value


class Section(Keys):
    """A section of `params.yaml`. A subclass names its section and types its keys."""

    section: ClassVar[str]

    @classmethod
    def load(cls, path: Path = paths.PARAMS) -> Self:
        """Read and check this section.

        Raises:
            PotstillError: the file or the section is missing, a section or a key is unknown, or a value is of the
                wrong type or out of range; the text names file, key and value, and says what to type.
        """
        document = read(path)
        if document.get(cls.section) is None:
            raise PotstillError(f"{path}: the section `{cls.section}:` is missing: restore it from Git")
        told = "; ".join(wrong(document))
        if not told:
            return cls.model_validate(document[cls.section])
        told += "" if told.endswith("?") else "."
        undo = f"What `-S` has set stays in {path}: edit it there, or undo all changes in it with `git checkout {path}`"
        raise PotstillError(f"{path}: {told} {undo}")

    @classmethod
    def check(cls, values: Any) -> list[str]:
        """Say what is wrong with the values of this section."""
        try:
            cls.model_validate(values)
        except ValidationError as error:
            found = error.errors()
            renamed = [cls._renamed(problem) for problem in found]
            return [cls._explain(one) for one in found if one["type"] != "missing" or one["loc"] not in renamed]
        return []

    @classmethod
    def _renamed(cls, problem: Any) -> tuple[int | str, ...] | None:
        """Return the place of the key that an unknown key is called now, if it has been renamed."""
        *holders, old = problem["loc"] or ("",)
        new = RENAMED.get(cls.section, {}).get(old)
        known = problem["type"] == "extra_forbidden" and new in _annotation(cls, problem["loc"])[0].model_fields
        return (*holders, new) if new and known else None

    @classmethod
    def _explain(cls, problem: Any) -> str:
        """What is wrong with one key, and if it can be told, the `-S` to type instead."""
        where, value, kind = problem["loc"], problem["input"], problem["type"]
        key = cls.section + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
        holder, nullable = _annotation(cls, where)
        context = {name: int(x) if x == x // 1 else x for name, x in problem.get("ctx", {}).items() if _is_number(x)}
        if kind == "missing":
            return f"key `{key}` is missing: restore it from Git"
        if renamed := cls._renamed(problem):
            return f"{key} is now {'.'.join(map(str, (cls.section, *renamed)))}"
        if kind in ("extra_forbidden", "invalid_key"):
            return f"unknown key `{key}`: {_guess(str(where[-1]), holder.model_fields)}"
        if kind == "value_error":  # a check of ours, of this value or of several together
            told = str(problem["ctx"]["error"])
            return f"`{key}` is {_shown(value)}: {told}" if where else f"`{key}`: {told}"
        told = PLAIN[kind].format(**problem.get("ctx", {}) | context) if kind in PLAIN else problem["msg"]
        if nullable:
            told += " or null"
        if kind == "list_type" and isinstance(value, str | int | float):
            told += f": type -S '{key}=[{value}]'"
        elif kind in SCALAR and isinstance(value, list) and len(value) == 1:
            told += f": type -S {key}={value[0]}"
        elif kind in SCALAR and isinstance(value, list) and value:
            told += f"; for several experiments type --queue -S '{key}={','.join(map(str, value))}'"
        return f"`{key}` is {_shown(value)}: {told}"


def wrong(document: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with `params.yaml`, in any section: a mistake in a later stage's would be found after hours.

    The sections' modules are imported by name. No output depends on a section that its stage does not load, so no stage
    lists them in `dvc.yaml`.
    """
    found = [f"unknown section `{key}`: {_guess(str(key), SECTIONS)}" for key in document if key not in SECTIONS]
    for name in SECTIONS:
        if document.get(name) is not None:
            module = import_module(f"potstill.params.{name}")
            found += getattr(module, f"{name.capitalize()}Params").check(document[name])
    return found


class _Constructor(SafeConstructor):
    """Says where a value is that is none, such as a date of month 13: ruamel lets pass what Python raises."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        with _at(node):
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                str(value)  # refuses more digits than a message could show
            return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        with _at(node):  # a key may be none
            return super().construct_mapping(node, deep)


@contextmanager
def _at(node: Any) -> Iterator[None]:
    try:
        yield
    except (YAMLError, RecursionError):
        raise
    except Exception as error:
        raise MarkedYAMLError(problem=said(error), problem_mark=node.start_mark) from None


def read(path: Path) -> dict[str, Any]:
    """Read `params.yaml`.

    Raises:
        PotstillError: it is missing, is not YAML, or has no sections; the text says where.
    """
    try:
        return parse(path.read_text("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise PotstillError(f"{path} is missing: run this in the repository's root") from None
    except UnicodeDecodeError:
        raise PotstillError(f"{path} is not UTF-8: save it as UTF-8, or restore it from Git") from None


def parse(text: str, name: str) -> dict[str, Any]:
    """Read the text of a `params.yaml`, which errors call `name`.

    Raises:
        PotstillError: it is not YAML, or has no sections.
    """
    try:
        # YAML 1.2, because DVC's `-S lr=0.00001` writes 1e-05, a string to a YAML 1.1 reader.
        reader = YAML(typ="safe", pure=True)
        reader.Constructor = _Constructor
        document = reader.load(text)
    except MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PotstillError(f"{name}{place} is not valid YAML: {error.problem or error.context}") from None
    except YAMLError as error:
        raise PotstillError(f"{name} is not valid YAML: {error}") from None
    except RecursionError:
        raise PotstillError(f"{name} is not valid YAML: its lists or mappings are nested too deeply") from None
    if not isinstance(document, dict):
        raise PotstillError(f"{name} has no sections: restore it from Git")
    return document


def _annotation(model: Any, where: tuple[int | str, ...]) -> tuple[Any, bool]:
    """The type that holds the last of the keys `where`, and whether the value there may be null."""
    holder = kind = model
    nullable = False
    for part in where:
        holder = kind
        if isinstance(holder, type) and issubclass(holder, BaseModel):
            field = holder.model_fields.get(str(part))
            kind = field.annotation if field else None
        else:  # a list or a mapping
            kind = get_args(holder)[-1]
        nullable = type(None) in get_args(kind)
        kind = get_args(kind)[0] if nullable else kind
    return holder, nullable


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _guess(name: str, known: Any) -> str:
    """Which of the known names may be meant."""
    likely = [f"`{match}`" for match in difflib.get_close_matches(name, list(known), n=3)]
    return f"did you mean {' or '.join(likely)}?" if likely else f"remove it; known are {', '.join(known)}"


def _shown(value: Any) -> str:
    """A value as YAML has it, cut to a line's length."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
