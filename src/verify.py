"""Hash all that DVC keeps here, and throw away what is damaged: `make verify`.

DVC believes that a file of its cache which nobody may write to is what it was. A bad disk does not know that, and
what it spoils would be checked out, and shipped.
"""

from potstill.start import run

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from potstill.errors import PotstillError

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")


def main() -> None:
    """Check cache and workspace against `dvc.lock`; remove from both what is not what it should be."""
    if not LOCK.is_file():
        raise PotstillError(f"{LOCK} is missing: run this in the project's folder, after `dvc repro` or `git pull`")
    damaged = []
    checked = 0
    for path, digest in outputs():
        for place in (cached(digest), path):
            if place.is_file():
                checked += 1
                if md5(place) != digest.removesuffix(".dir"):
                    damaged.append(path)
                    place.unlink()
        # `dvc pull` believes a remote's list of a folder, even where it looks at the files.
        if digest.endswith(".dir") and path.is_dir() and not cached(digest).is_file() and listed(path) != digest:
            damaged.append(path)
            shutil.rmtree(path)
    print(f"{checked:,} files checked")
    if damaged:
        names = ", ".join(sorted({str(path) for path in damaged}))
        raise PotstillError(f"damaged, and now removed: {names}; get them back with `dvc pull`, or with `dvc repro`")


def outputs() -> Iterator[tuple[Path, str]]:
    """Path and hash of every file that DVC caches, and of the lists of what folders hold."""
    yaml = YAML(typ="safe")
    found = [(LOCK, stage) for stage in yaml.load(LOCK)["stages"].values()]
    found += [(path, yaml.load(path)) for path in Path("data").glob("*.dvc")]
    for file, out in ((file, out) for file, stage in found for out in stage.get("outs", ())):
        path, digest = file.parent / out["path"], out["md5"]
        if path.parts[0] == "metrics":  # is in Git
            continue
        yield path, digest
        listing = cached(digest)
        if digest.endswith(".dir") and listing.is_file() and md5(listing) == digest.removesuffix(".dir"):
            for member in json.loads(listing.read_bytes()):
                yield path / member["relpath"], member["md5"]


def cached(digest: str) -> Path:
    """Where DVC's cache has a file of that hash, if it has."""
    return CACHE / digest[:2] / digest[2:]


def listed(folder: Path) -> str:
    """The hash that DVC gives to a folder: that of the list of its files."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    members = [{"md5": md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files]
    members.sort(key=lambda member: member["relpath"])
    return f"{hashlib.md5(json.dumps(members).encode()).hexdigest()}.dir"


def md5(path: Path) -> str:
    """The hash that DVC goes by."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


if __name__ == "__main__":
    run(main)
