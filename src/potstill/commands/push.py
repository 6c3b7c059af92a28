"""Push to the DVC remote, and replace what is damaged there."""

import argparse
import subprocess
import sys

from potstill.commands import dvc_internals as internals
from potstill.commands.verify import clean_cache
from potstill.core.errors import PotstillError
from potstill.terminal import Parser


def arguments(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("--remote", help="name of the remote (default: the project's default remote)")
    parser.add_argument("--hash", action="store_true", help="hash every file in the remote, not only compare sizes")


def run(args: argparse.Namespace) -> None:
    """Check the cache, repair the remote, and push.

    Raises:
        PotstillError: the cache is damaged, the remote cannot be reached, or the push fails.
    """
    with internals.repository() as repo:
        with repo.lock:
            cache = clean_cache(repo)
        name = args.remote or repo.config["core"].get("remote")
        remote = internals.remote_store(repo, name)
        print(f"{cache.checked:,} files checked")
        if cache.problem:
            raise PotstillError(cache.problem)
        intact = [each.value for each in cache.intact if each.hash_name == remote.hash_name]
        try:
            repaired = internals.repair(repo.cache.local, remote, intact, hashed=args.hash)
        except Exception as error:  # each kind of remote raises its own
            raise PotstillError(
                f"the remote {name} cannot be reached, or refuses access: {str(error) or type(error).__name__}. See "
                f"`dvc remote list`, and set passwords and keys with `dvc remote modify --local {name}`."
            ) from error
        repo.drop_data_index()
    if repaired:
        print(f"damaged or missing in {name}, and replaced: {', '.join(repaired)}")
    if not remote.verify:
        print(f"note: `dvc pull` does not verify what it gets; `dvc remote modify {name} verify true` makes it")
    if subprocess.run([sys.executable, "-m", "dvc", "push", "--remote", name]).returncode:
        raise PotstillError("the push is incomplete. Run `potstill push` again to resume it.")
