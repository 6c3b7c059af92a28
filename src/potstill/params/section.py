"""What all sections of `params.yaml` share: reading, checking, and errors that name the key."""

import difflib
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML, YAMLError

from potstill import paths
from potstill.errors import PotstillError


class Section(BaseModel):
    """A section of `params.yaml`. A subclass names its section and types its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    section: ClassVar[str]

    @classmethod
    def load(cls, path: Path = paths.PARAMS) -> Self:
        """Read and check this section.

        Raises:
            PotstillError: the file or the section is missing, a key is unknown or a value is of the
                wrong type or out of range; the text names file, key and value.
        """
        try:
            # YAML 1.2, because DVC's `-S lr=0.00001` writes 1e-05, a string to a YAML 1.1 reader.
            document = YAML(typ="safe", pure=True).load(path)
        except FileNotFoundError:
            raise PotstillError(f"{path} is missing: run this in the repository's root") from None
        except (YAMLError, UnicodeDecodeError) as error:
            raise PotstillError(f"{path} is not valid YAML: {error}") from None
        values = document.get(cls.section) if isinstance(document, dict) else None
        if not isinstance(values, dict):
            raise PotstillError(f"{path}: the section `{cls.section}:` is missing: restore it from Git")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise PotstillError(f"{path}: {'; '.join(cls._explain(error))}") from None

    @classmethod
    def _explain(cls, error: ValidationError) -> list[str]:
        lines = []
        for problem in error.errors():
            key = ".".join([cls.section, *(str(part) for part in problem["loc"])])
            if problem["type"] == "extra_forbidden":
                known = difflib.get_close_matches(str(problem["loc"][-1]), cls.model_fields, n=1)
                hint = f"did you mean `{known[0]}`?" if known else "remove it, or check its spelling"
                lines.append(f"unknown key `{key}`: {hint}")
            elif problem["type"] == "missing":
                lines.append(f"key `{key}` is missing: restore it from Git")
            else:
                lines.append(f"`{key}` is {problem['input']!r}: {problem['msg']}")
        return lines
