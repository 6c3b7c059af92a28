"""Add to constraints.txt what PyPI's torch requires on Linux: CUDA, unlike the CPU build. Part of `make lock`.

pip reads metadata only, no wheels; it takes Linux and a network.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
LOOK = ["install", "--dry-run", "--ignore-installed", "--use-feature=fast-deps", "--quiet", "--report", "-"]


def main() -> None:
    """Pin what is not pinned yet."""
    text = CONSTRAINTS.read_text()
    pinned = {normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.M)}
    torch = f"torch==={pinned['torch']}"  # with == it might be the CPU build
    command = [sys.executable, "-m", "pip", *LOOK, "-c", str(CONSTRAINTS), torch]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    found = {normal(package["metadata"]["name"]): package["metadata"]["version"] for package in report["install"]}
    lines = [f"{name}=={found[name]}\n" for name in sorted(found.keys() - pinned.keys())]
    CONSTRAINTS.write_text(text + "# What PyPI's torch brings on Linux too; not run here.\n" + "".join(lines))


def normal(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
