"""Hash all that DVC keeps here, and move what is damaged out of its cache: `make verify`.

DVC believes that a file of its cache which nobody may write to is what it was, and so is a file outside it whose size
and time are the same. A bad disk does not know that, and what it spoils would be checked out, and shipped.

Outside the cache nothing is removed or replaced: what differs there may be an edit. It is named, and DVC is told the
file's hash, so that a checkout or a run replaces it when asked to.
"""

from potstill.start import run

import errno
import json
import os
import re
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash import file_md5
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from potstill.errors import PotstillError

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc_data.hashfile.db import HashFileDB

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")  # nothing else becomes a path in the cache
SHOWN = 10


def main() -> None:
    """Check the cache and the workspace against each other, `dvc.lock` and the `.dvc` files."""
    try:
        repo = Repo()
        with repo.lock:
            whole, damaged = clean(repo)
            compared, changed, added = compare(repo)
    except DvcException as error:
        raise refusal(error) from error
    print(f"{len(whole) + len(damaged) + compared:,} files checked")
    if told := [*of_damaged(repo, damaged), *of_changed(changed), *of_added(added)]:
        raise PotstillError(". ".join(told))


def of_damaged(repo: Repo, names: list[str]) -> Iterator[str]:
    """What to say of objects that were damaged, if any were."""
    if names:
        place = os.path.relpath(aside(repo))
        yield (
            f"damaged in the cache, and moved to {place}: {few(names)}; "
            "get them back with `dvc pull`, or with `dvc repro`; what a pull brings damaged again is damaged in the "
            "remote: `make push HASH=1` mends it from a clone where it is whole"
        )


def of_changed(names: list[str]) -> Iterator[str]:
    """What to say of files outside the cache that are not what DVC has recorded, if there are any."""
    if names:
        yield (
            f"changed or damaged outside the cache, and kept: {few(names)}; `dvc add` records an edit of data, "
            "`dvc checkout --force PATH` (or `dvc pull --force PATH`) restores what was recorded"
        )


def of_added(names: list[str]) -> Iterator[str]:
    """What to say of files in recorded folders that DVC has not recorded, and which a checkout would delete."""
    if names:
        yield (
            f"new in a folder that DVC keeps, and kept: {few(names)}; `dvc add FOLDER` records what is new in a folder "
            "of data; from a stage's folder move it away"
        )


def refusal(error: DvcException) -> PotstillError:
    """What DVC says, and how to restore the file that it cannot read."""
    damaged = re.search(r"'(?:\./)?([^']*(?:dvc\.lock|dvc\.yaml|\.dvc))'", str(error))
    told = str(error).rstrip(".")
    return PotstillError(f"{told}: restore it with `git checkout {damaged[1]}`" if damaged else told)


def few(names: list[str]) -> str:
    """Some of the names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


def clean(repo: Repo) -> tuple[list[HashInfo], list[str]]:
    """Hash the objects in the cache; move those that are damaged to a folder beside them.

    They are not deleted: where the cache is linked into the workspace, they may be the only copy of an edit. A file
    here that is a link to one becomes a file of its own.

    Returns:
        The hashes of those that are whole; of the others the paths that they are recorded under, or else their hashes.
    """
    whole = []
    damaged = {}
    for place, (info, name) in objects(repo).items():
        if place.is_file():
            if digest(place, info.name) == info.value.removesuffix(".dir"):
                whole.append(info)
            else:
                damaged[place.resolve()] = (place, info.value, name)
    for out in outputs(repo) if damaged else ():
        for file in present(out):
            if file.is_symlink() and file.resolve() in damaged and is_within(repo, file.parent):
                out.cache.unprotect(str(file))
    for place, value, _ in damaged.values():
        folder = aside(repo)
        found = digest(place, "md5")
        names = (folder / f"{value}-{number}" for number in count())
        known = list(takewhile(Path.exists, names))
        try:
            folder.mkdir(exist_ok=True)
            if found and found in (digest(path, "md5") for path in known):  # a damaged remote gives the same again
                place.unlink()
            else:
                place.rename(folder / f"{value}-{len(known)}")
        except OSError as error:
            raise PotstillError(f"{place} is damaged, and cannot be moved to {folder}: {error.strerror}") from None
    return whole, [name for *_, name in damaged.values()]


def compare(repo: Repo) -> tuple[int, list[str], list[str]]:
    """Hash the files outside the cache that DVC keeps there; see that DVC believes none to be what it is not.

    Returns:
        How many were hashed, the paths of those that are not what is recorded, and of those that are not recorded.
    """
    compared = 0
    changed, added = [], []
    for out in outputs(repo):
        root, name = Path(out.fs_path), out.hash_name
        found = {file: digest(file, name) for file in present(out)}
        compared += len(found)
        wanted = {root: out.hash_info.value}
        if out.hash_info.isdir:
            wanted = {root / path: value for path, value in (members(out.cache, out.hash_info.value) or {}).items()}
        if wanted:
            different = [file for file, value in found.items() if value != wanted.get(file)]
            changed += [file for file in different if file in wanted]
            added += [file for file in different if file not in wanted]
        elif found and listing(root, found, name) != out.hash_info.value:  # whichever of them it is
            different = list(found)
            changed.append(root)
        else:
            continue
        for file in different:
            info = repo.fs.info(str(file))
            repo.state.save(str(file), repo.fs, HashInfo(name, digest(file, name) or "unreadable"), info)
    return compared, *([os.path.relpath(path) for path in paths] for paths in (changed, added))


def objects(repo: Repo) -> dict[Path, tuple[HashInfo, str]]:
    """Hash, and path or else hash, of what the cache should hold, by place.

    Of a cache inside the project that is all that it holds. One elsewhere, if only by a link, has things of others too:
    of that, what is recorded here.
    """
    found: dict[Path, tuple[HashInfo, str]] = {}

    def add(cache: "HashFileDB", value: str, name: str) -> None:
        if HASH.fullmatch(value):
            found.setdefault(Path(cache.oid_to_path(value)), (HashInfo(cache.hash_name, value), name))

    for out in outputs(repo):
        root = os.path.relpath(out.fs_path)
        add(out.cache, out.hash_info.value, root)
        for path, value in (members(out.cache, out.hash_info.value) or {}).items():
            add(out.cache, value, os.path.join(root, path))
    for cache in (repo.cache.local, repo.cache.legacy):
        if is_within(repo, Path(cache.path)) and Path(cache.path).is_dir():
            for value in cache.all():
                add(cache, value, value)
    return found


def outputs(repo: Repo) -> list["Output"]:
    """What stages and `dvc add` keep in the cache, inside the project and with a hash of the contents.

    Raises:
        PotstillError: DVC cannot take the values in `params.yaml` for what `dvc.yaml` needs there.
    """
    try:
        outs = list(repo.index.outs)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise PotstillError(
            f"dvc.yaml cannot be read with this params.yaml ({str(error) or type(error).__name__}): "
            "a list lacks its brackets, or a value is null; see `git diff params.yaml`"
        ) from error
    kept = (out for out in outs if out.use_cache and out.is_in_repo and out.hash_info)
    return [out for out in kept if out.hash_name in ("md5", "md5-dos2unix")]


def present(out: "Output") -> list[Path]:
    """The files of an output that are here."""
    root = Path(out.fs_path)
    found = map(Path, out.dvcignore.find(out.fs, out.fs_path)) if root.is_dir() else [root]
    return [path for path in found if path.is_file()]


def members(cache: "HashFileDB", value: str) -> dict[str, str] | None:
    """Hashes by path of the files in a folder; None of a file, or where the cache has no whole list of them."""
    place = Path(cache.oid_to_path(value))
    if not HASH.fullmatch(value) or not value.endswith(".dir") or not place.is_file():
        return None
    if digest(place, cache.hash_name) != value.removesuffix(".dir"):
        return None
    try:
        return {member["relpath"]: member["md5"] for member in json.loads(place.read_bytes())}
    except (ValueError, TypeError, LookupError):
        return None


def listing(root: Path, found: dict[Path, str | None], name: str) -> str:
    """The hash that DVC gives to a folder: that of the list of its files."""
    tree = Tree()
    for path, value in found.items():
        tree.add(path.relative_to(root).parts, None, HashInfo(name, value))
    tree.digest()
    return tree.oid


def digest(path: Path, name: str) -> str | None:
    """The hash that DVC goes by; None of what the disk does not give back."""
    try:
        return file_md5(str(path), name=name)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None


def aside(repo: Repo) -> Path:
    """Where damaged objects go: in the cache's folder, and nothing that DVC looks at."""
    return Path(repo.cache.local_cache_dir) / "damaged"


def is_within(repo: Repo, folder: Path) -> bool:
    """Whether a folder lies in the project, once links are followed."""
    return folder.resolve().is_relative_to(Path(repo.root_dir).resolve())


if __name__ == "__main__":
    run(main)
