"""Check the hash of every file that DVC tracks, and move damaged ones out of its cache.

Outside the cache nothing is removed or replaced, since a difference may be an edit. It is reported, and its hash is
recorded in DVC, so that a checkout or a run can replace it.
"""

import argparse
import os
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo

from potstill.commands import dvc_internals as internals
from potstill.core.errors import PotstillError
from potstill.terminal import Parser

SHOWN = 10  # names in a message


def arguments(parser: Parser) -> None:
    """Add no options."""


def run(args: argparse.Namespace) -> None:
    """Check the cache, and the workspace against `dvc.lock` and the `.dvc` files.

    Raises:
        PotstillError: files are damaged, changed or new.
    """
    with internals.repository() as repo, repo.lock:
        cache = clean_cache(repo)
        workspace = check_workspace(repo)
        print(f"{cache.checked + workspace.checked:,} files checked")
        if problems := " ".join(filter(None, (cache.problem, workspace.problem))):
            raise PotstillError(problems)


@dataclass(frozen=True)
class CacheCheck:
    """What was found in the cache.

    Attributes:
        intact: the intact objects.
        checked: the number of objects, damaged ones included.
        problem: what is wrong and what to do; empty if nothing is.
    """

    intact: list[internals.CacheObject]
    checked: int
    problem: str


@dataclass(frozen=True)
class WorkspaceCheck:
    """What was found outside the cache.

    Attributes:
        checked: the number of files.
        changed: the paths of those that differ from what is recorded.
        added: the paths of those that are not recorded, in folders that are: a checkout would delete them.
    """

    checked: int
    changed: list[str]
    added: list[str]

    @property
    def problem(self) -> str:
        """What is wrong and what to do; empty if nothing is."""
        problems = []
        if self.changed:
            problems.append(
                f"changed or damaged outside the cache, and kept: {some(self.changed)}. `dvc add` records an edit of "
                "data; `dvc checkout --force PATH` (or `dvc pull --force PATH`) restores what was recorded."
            )
        if self.added:
            problems.append(
                f"new in a folder that DVC tracks, and kept: {some(self.added)}. `dvc add FOLDER` records new files of "
                "data; move them out of a stage's folder."
            )
        return " ".join(problems)


def some(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(sorted(names)[:SHOWN]) + more


def clean_cache(repo: Repo) -> CacheCheck:
    """Hash the objects in the cache, and move damaged ones to a folder next to them.

    They are not deleted: where the cache is linked into the workspace, they may be the only copy of an edit. A file in
    the workspace that is a link to one becomes a copy.
    """
    objects = internals.cache_objects(repo)
    intact = [each for each in objects if each.is_intact]
    paths = {each.path for each in intact}
    damaged = {each.path.resolve(): each for each in objects if each.path not in paths}
    if not damaged:
        return CacheCheck(intact, len(intact), "")
    for out in internals.outputs(repo):
        for file in internals.output_files(out):
            if file.is_symlink() and file.resolve() in damaged and internals.is_within(repo, file.parent):
                out.cache.unprotect(str(file))
    folder = Path(repo.cache.local_cache_dir) / "damaged"  # in the cache's folder, which DVC ignores
    for each in damaged.values():
        move_damaged(each, folder)
    names = some([each.name for each in damaged.values()])
    problem = (
        f"damaged in the cache, and moved to {os.path.relpath(folder)}: {names}. Restore them with `dvc pull` or "
        "`dvc repro`. If a pull brings the damage back, the remote is damaged: run `potstill push --hash` in a clone "
        "whose files are intact."
    )
    return CacheCheck(intact, len(intact) + len(damaged), problem)


def move_damaged(damaged: internals.CacheObject, folder: Path) -> None:
    """Move an object to a folder, or delete it if the same content is there already, as a damaged remote gives it.

    Raises:
        PotstillError: the system does not let it be moved.
    """
    content = internals.file_hash(damaged.path, "md5")
    paths = (folder / f"{damaged.value}-{number}" for number in count())
    earlier = list(takewhile(Path.exists, paths))
    try:
        folder.mkdir(exist_ok=True)
        if content and content in (internals.file_hash(path, "md5") for path in earlier):
            damaged.path.unlink()
        else:
            damaged.path.rename(folder / f"{damaged.value}-{len(earlier)}")
    except OSError as error:
        raise PotstillError(f"{damaged.path}: damaged, and cannot be moved to {folder} ({error.strerror}).") from None


def check_workspace(repo: Repo) -> WorkspaceCheck:
    """Hash the files outside the cache that DVC tracks, and tell it the hashes of those that differ."""
    checks = [check_output(repo, out) for out in internals.outputs(repo)]
    return WorkspaceCheck(
        sum(check.checked for check in checks),
        [path for check in checks for path in check.changed],
        [path for check in checks for path in check.added],
    )


def check_output(repo: Repo, out: Output) -> WorkspaceCheck:
    """Hash the files of an output, and record in DVC the hashes of those that differ."""
    root, name = Path(out.fs_path), out.hash_name
    current = {file: internals.file_hash(file, name) for file in internals.output_files(out)}
    recorded = {root: out.hash_info.value}
    if out.hash_info.isdir:
        hashes = internals.folder_hashes(out.cache, out.hash_info.value) or {}
        recorded = {root / path: value for path, value in hashes.items()}
        if not recorded and current and internals.folder_hash(root, current, name) == out.hash_info.value:
            recorded = dict(current)
    different = [file for file, value in current.items() if value != recorded.get(file)]
    changed = [file for file in different if file in recorded]
    added = [file for file in different if file not in recorded]
    if different and not recorded:  # without the list of the folder's files, it is not known which of them changed
        changed, added = [root], []
    for file in different:
        internals.record_hash(repo, file, name)
    return WorkspaceCheck(len(current), list(map(os.path.relpath, changed)), list(map(os.path.relpath, added)))
