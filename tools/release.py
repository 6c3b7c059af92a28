"""Print the section of CHANGELOG.md about a version, if its tag, the package and the changelog agree on it.

python tools/release.py v0.2.0
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(tag: str, changelog: str, package: str) -> str:
    """Return the section of a version.

    Args:
        tag: the tag, such as v0.2.0.
        changelog: the text of CHANGELOG.md.
        package: the text of the package's `__init__.py`.

    Raises:
        SystemExit: the package has another version, or the changelog has no such section.
    """
    version = tag.removeprefix("v")
    if f'__version__ = "{version}"' not in package:
        sys.exit(f"src/potstill/__init__.py: not version {version}. Set __version__, and tag that commit.")
    found = re.search(rf"^## {re.escape(version)}\b.*?\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE)
    if not found or not found[1].strip():
        sys.exit(f"CHANGELOG.md: no section '## {version}', or nothing in it. Rename 'Unreleased' to it.")
    return found[1].strip()


if __name__ == "__main__":
    print(
        notes(sys.argv[1], (ROOT / "CHANGELOG.md").read_text("utf-8"), (ROOT / "src/potstill/__init__.py").read_text())
    )
