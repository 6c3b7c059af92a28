"""Push to the DVC remote, after mending what is not whole there: `make push`.

A server or a network that dies may leave half of a file under the name of the whole; and of a folder that a remote
has had once, DVC does not look whether its files are still there. It would believe both, and push neither again.
"""

from potstill.start import run

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.db import get_index
from dvc_data.hashfile.hash import file_md5
from dvc_objects.executors import ThreadPoolExecutor

import verify
from potstill.errors import PotstillError
from potstill.terminal import Parser

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB


def main() -> None:
    """Check the cache, then what is there, and push."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--remote", help="the default one if not given")
    parser.add_argument("--hash", action="store_true", help="read all that is there, instead of comparing sizes")
    arguments = parser.parse_args()
    try:
        repo = Repo()
        with repo.lock:
            whole, damaged = verify.clean(repo)
        name = arguments.remote or repo.config["core"].get("remote")
        remote = repo.cloud.get_remote_odb(name, command="push")
    except DvcException as error:
        raise verify.refusal(error) from error
    except ImportError as error:
        if not (plugin := re.search(r"dvc-\w+", str(error))):
            raise
        raise PotstillError(
            f"the remote {name}: {plugin[0]} is not installed. Run `pip install {plugin[0]}`."
        ) from error
    print(f"{len(whole) + len(damaged):,} files checked")
    if damaged:
        raise PotstillError(*verify.of_damaged(repo, damaged))
    try:
        kept = [info.value for info in whole if info.name == remote.hash_name]
        mended = mend(repo.cache.local, remote, kept, arguments.hash)
    except Exception as error:  # each kind of remote has its own
        raise PotstillError(
            f"the remote {name} does not answer, or does not let you in: {str(error) or type(error).__name__}; see "
            f"`dvc remote list`, and set passwords and keys with `dvc remote modify --local {name}`"
        ) from error
    repo.drop_data_index()  # what a killed push had listed so far would be taken for all there is
    if mended:
        print(f"not whole in {name}, and mended there: {', '.join(mended)}")
    if not remote.verify:
        print(f"note: `dvc pull` believes what it gets; `dvc remote modify {name} verify true` has it look")
    if subprocess.run([sys.executable, "-m", "dvc", "push", "--remote", name]).returncode:
        raise PotstillError("not all is pushed; `make push` goes on from there")


def mend(cache: "HashFileDB", remote: "HashFileDB", kept: list[str], hashed: bool) -> list[str]:
    """Replace in a remote what is damaged there and whole in the cache; add what its folders lack.

    Others may share the remote: nothing else is removed from it.

    Args:
        kept: the hashes of what is in the cache, and whole.
        hashed: whether the remote is read, so that other bytes of the same size are found too.

    Returns:
        The hashes of what was replaced or added.
    """

    def state(value: str) -> bool | None:
        """Whether it is whole there; None if it is not there."""
        there = remote.oid_to_path(value)
        plain = value.removesuffix(".dir")
        try:
            size = remote.fs.info(there)["size"]
            same = size is None or size == Path(cache.oid_to_path(value)).stat().st_size
            return same and not (hashed and file_md5(there, remote.fs) != plain)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(remote.fs.jobs, cancel_on_error=True) as pool:
        whole = dict(zip(kept, pool.map(state, kept), strict=True))
    damaged = {value for value in kept if whole[value] is False}
    listed = (verify.members(cache, value) or {} for value in kept if whole[value] is not None)
    lacking = {value for folder in listed for value in folder.values() if value in whole and whole[value] is None}
    for value in damaged:
        remote.fs.remove(remote.oid_to_path(value))
    mended = sorted(damaged | lacking)
    for is_list in (False, True):  # a list of files comes after the files
        values = [value for value in mended if value.endswith(".dir") == is_list]
        remote.add([cache.oid_to_path(value) for value in values], cache.fs, values, check_exists=False)
    if mended:
        get_index(remote).clear()
    return mended


if __name__ == "__main__":
    run(main)
