"""Push to the DVC remote, after removing from it what is not whole: `make push`.

A server or a network that dies may leave half of a file under the name of the whole; and of a folder that a remote
has had once, DVC does not look whether its files are still there. It would believe both, and push neither again.
"""

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.db import get_index
from dvc_data.hashfile.hash import file_md5
from dvc_objects.executors import ThreadPoolExecutor

import verify
from potstill.errors import PotstillError, run
from potstill.terminal import Parser

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB


def main() -> None:
    """Check what is here, then what is there, and push."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--remote", help="the default one if not given")
    parser.add_argument("--hash", action="store_true", help="read all that is there, instead of comparing sizes")
    arguments = parser.parse_args()
    verify.main()
    try:
        repo = Repo()
        name = arguments.remote or repo.config["core"].get("remote")
        remote = repo.cloud.get_remote_odb(name, command="push")
    except DvcException as error:
        raise PotstillError(str(error)) from error
    try:
        damaged = remove_damaged(repo.cache.local, remote, arguments.hash)
    except Exception as error:  # each kind of remote has its own
        raise PotstillError(
            f"the remote {name} does not answer, or does not let you in: {error or type(error).__name__}; see "
            f"`dvc remote list`, and set passwords and keys with `dvc remote modify --local {name}`"
        ) from error
    repo.drop_data_index()  # what a killed push had listed so far would be taken for all there is
    if damaged:
        print(f"not whole in {name}, removed there, and pushed again if it is here: {', '.join(damaged)}")
    if not remote.verify:
        print(f"note: `dvc pull` believes what it gets; `dvc remote modify {name} verify true` has it look")
    if subprocess.run(["dvc", "push", "--remote", name]).returncode:
        raise PotstillError("not all is pushed; `make push` goes on from there")


def remove_damaged(cache: "HashFileDB", remote: "HashFileDB", hashed: bool) -> list[str]:
    """Remove from a remote what is whole in the cache and not there, and the lists of folders that lack a file.

    Args:
        hashed: whether it is read, so that other bytes of the same size are found too.

    Returns:
        The hashes of what was removed.
    """

    def state(digest: str) -> bool | None:
        """Whether it is whole; None if it is not there."""
        here, there = Path(cache.oid_to_path(digest)), remote.oid_to_path(digest)
        plain = digest.removesuffix(".dir")
        try:
            same = remote.fs.info(there)["size"] == here.stat().st_size
            return (same and not (hashed and file_md5(there, remote.fs) != plain)) or verify.md5(here) != plain
        except FileNotFoundError:
            return None

    kept = list(cache.all())
    with ThreadPoolExecutor(remote.fs.jobs, cancel_on_error=True) as pool:
        whole = dict(zip(kept, pool.map(state, kept), strict=True))
    damaged = {digest for digest in kept if whole[digest] is False}
    for digest in kept:
        if whole[digest] and digest.endswith(".dir"):
            members = json.loads(Path(cache.oid_to_path(digest)).read_bytes())
            if not all(whole.get(member["md5"], True) for member in members):
                damaged.add(digest)
    for digest in damaged:
        remote.fs.remove(remote.oid_to_path(digest))
    if damaged:
        get_index(remote).clear()
    return sorted(damaged)


if __name__ == "__main__":
    run(main)
