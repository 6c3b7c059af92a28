"""Reading and checking `params.yaml`, with errors that name the key."""

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

from potstill.core import paths
from potstill.core.errors import PotstillError, first_line

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
# The range of seeds of numpy and torch.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# Messages for pydantic's types of errors.
MESSAGES = {
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
    "too_short": "must not be empty",
}
SCALAR = ("bool_type", "float_type", "int_type", "literal_error", "string_type")


class Keys(BaseModel):
    """A mapping in `params.yaml`: a section, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _reject_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation not in (bool, bool | None):
            raise ValueError("must not be true or false")
        return value


class Section(Keys):
    """A section of `params.yaml`. Subclasses name the section and declare its keys.

    A key that the file lacks has its default. The file in the repository shows all keys with their defaults.
    """

    section: ClassVar[str]

    @classmethod
    def load(cls, path: Path = paths.PARAMS) -> Self:
        """Read this section, and check the whole file.

        Raises:
            PotstillError: the file or the section is missing, a section or a key is unknown, or a value has the wrong
                type or is out of range.
        """
        document = read(path)
        if document.get(cls.section) is None:
            raise PotstillError(f"{path}: the section `{cls.section}:` is missing. Restore it from Git.")
        errors = "; ".join(check(document))
        if not errors:
            return cls.model_validate(document[cls.section])
        errors += "" if errors.endswith("?") else "."
        advice = f"Correct {path}, to which `-S` writes too (`git diff {path}` shows the changes)."
        raise PotstillError(f"{path}: {errors} {advice}")

    @classmethod
    def check(cls, values: Any) -> list[str]:
        """Return the errors in the values of this section."""
        try:
            cls.model_validate(values)
        except ValidationError as error:
            return [cls._explain(problem) for problem in error.errors()]
        return []

    @classmethod
    def _renamed(cls, problem: Any) -> tuple[int | str, ...] | None:
        """Return the new location of a key that has been renamed, or None."""
        *holders, old = problem["loc"] or ("",)
        new = RENAMED.get(cls.section, {}).get(old)
        known = problem["type"] == "extra_forbidden" and new in _annotation(cls, problem["loc"])[0].model_fields
        return (*holders, new) if new and known else None

    @classmethod
    def _explain(cls, problem: Any) -> str:
        """Return the message for one error of pydantic's, with the `-S` to type instead if it is known."""
        location, value, kind = problem["loc"], problem["input"], problem["type"]
        key = cls.section + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
        holder, nullable = _annotation(cls, location)
        context = problem.get("ctx", {})
        # A bound of 2.0 is shown as 2.
        bounds = {name: int(x) for name, x in context.items() if isinstance(x, float) and x.is_integer()}
        if kind == "missing":
            return f"key `{key}` is missing: add it"
        if renamed := cls._renamed(problem):
            return f"{key} is now {'.'.join(map(str, (cls.section, *renamed)))}"
        if kind in ("extra_forbidden", "invalid_key"):
            return f"unknown key `{key}`: {_suggest(str(location[-1]), holder.model_fields)}"
        if kind == "value_error":  # raised by a validator of a field, or of the whole section
            return f"`{key}`{f' is {_show(value)}' if location else ''}: {context['error']}"
        message = MESSAGES[kind].format(**context | bounds) if kind in MESSAGES else problem["msg"]
        if nullable:
            message += " or null"
        if kind == "list_type" and isinstance(value, str | int | float):
            message += f": type -S '{key}=[{value}]'"
        elif kind in SCALAR and isinstance(value, list) and len(value) == 1:
            message += f": type -S {key}={value[0]}"
        elif kind in SCALAR and isinstance(value, list) and value:
            message += f"; for several experiments type --queue -S '{key}={','.join(map(str, value))}'"
        return f"`{key}` is {_show(value)}: {message}"


def check(document: Mapping[str, Any]) -> list[str]:
    """Return the errors in all sections, so that one in the section of a later stage is found hours earlier."""
    errors = [f"unknown section `{key}`: {_suggest(str(key), SECTIONS)}" for key in document if key not in SECTIONS]
    for name in SECTIONS:
        if document.get(name) is not None:
            errors += section(name).check(document[name])
    return errors


def section(name: str) -> Any:
    """Return the class of a section by its name, for a stage that reads a key of another stage.

    Imported by name: such a key is among the `params` of the stage in `dvc.yaml`, but the code of its section is not
    among the `deps`.
    """
    return getattr(import_module(f"potstill.{name}.params"), f"{name.capitalize()}Params")


class _Constructor(SafeConstructor):
    """Adds the line number to errors that Python raises for a value, such as a date with month 13."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        with _at(node):
            value = super().construct_object(node, deep)
            if isinstance(value, int):
                str(value)  # raises if there are too many digits for a message
            return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        with _at(node):
            return super().construct_mapping(node, deep)


@contextmanager
def _at(node: Any) -> Iterator[None]:
    try:
        yield
    except (YAMLError, RecursionError):
        raise
    except Exception as error:
        raise MarkedYAMLError(problem=first_line(error), problem_mark=node.start_mark) from None


def read(path: Path) -> dict[str, Any]:
    """Read `params.yaml`.

    Raises:
        PotstillError: the file is missing, is not valid YAML, or has no sections.
    """
    try:
        return parse(path.read_text("utf-8-sig"), str(path))
    except FileNotFoundError:
        raise PotstillError(f"{path}: no such file. Run this in the repository's root.") from None
    except UnicodeDecodeError:
        raise PotstillError(f"{path} is not UTF-8. Save it as UTF-8, or restore it from Git.") from None


def parse(text: str, name: str) -> dict[str, Any]:
    """Parse the text of `params.yaml`; errors call it `name`.

    Raises:
        PotstillError: it is not valid YAML, or has no sections.
    """
    try:
        # YAML 1.2, because DVC's `-S lr=0.00001` writes 1e-05, which YAML 1.1 reads as a string.
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
        raise PotstillError(f"{name} has no sections. Restore it from Git.")
    return document


def _annotation(model: Any, location: tuple[int | str, ...]) -> tuple[Any, bool]:
    """Return the type that holds the last key of a location, and whether the value there may be null."""
    holder = kind = model
    nullable = False
    for part in location:
        holder = kind
        if isinstance(holder, type) and issubclass(holder, BaseModel):
            field = holder.model_fields.get(str(part))
            kind = field.annotation if field else None
        else:  # a list or a mapping
            kind = get_args(holder)[-1]
        nullable = type(None) in get_args(kind)
        kind = get_args(kind)[0] if nullable else kind
    return holder, nullable


def _suggest(name: str, known: Any) -> str:
    """Return a suggestion for a name that is not known."""
    likely = [f"`{match}`" for match in difflib.get_close_matches(name, list(known), n=3)]
    return f"did you mean {' or '.join(likely)}?" if likely else f"remove it; known are {', '.join(known)}"


def _show(value: Any) -> str:
    """Return a value as YAML shows it, at most 80 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
