"""A hook of MkDocs: pages made from files outside docs/, from params.yaml and from notebooks.

Links are written relative to a file's place in the repository, as GitHub follows them, and rewritten to where the site
has that file; `mkdocs build --strict` fails for one that it has not.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Files outside docs/ that are part of the site.
PUBLISHED = (
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "params.yaml", "conformance/*.*", "data/example/*", "recipes/*",
    "benchmarks/README.md", "benchmarks/*/*.md", "benchmarks/*/*.png",
)  # fmt: skip
INDEX = "index.md"  # of the site; README.md in the repository
LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    files.append(File.generated(config, INDEX, abs_src_path=str(ROOT / "README.md")))
    for pattern in PUBLISHED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    text = (ROOT / "params.yaml").read_text("utf-8")
    files.append(File.generated(config, "parameters.md", content=parameters(text)))
    for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        name = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, name, content=notebook(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page."""
    uri = page.file.src_uri
    outside = uri != INDEX and (ROOT / uri).is_file()
    folder = posixpath.dirname("README.md" if uri == INDEX else uri if outside else f"docs/{uri}")

    def rewrite(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[2]))
        target = INDEX if path == "README.md" else path.removeprefix("docs/")
        return link[1] + posixpath.relpath(target, posixpath.dirname(uri) or ".") + (link[3] or "")

    return LINK.sub(rewrite, markdown)


def parameters(text: str) -> str:
    """Return the page of the parameters: each with the comment above it in params.yaml, and its value there."""
    lines = ["# Parameters", "", "What [params.yaml](../params.yaml) says of each parameter, and its value there.", ""]
    section = ""
    parents: list[str] = []
    names: list[str] = []  # of the keys that share a comment
    values: list[str] = []
    comment: list[str] = []
    explained: list[str] = []

    def flush() -> None:
        if names:
            title = ", ".join(f"`{name}`" for name in names)
            attributes = f'{{: #{names[0]} data-toc-label="{names[0]}" }}'
            lines.extend([f"### {title} {attributes}", "", " ".join(explained), ""])
            lines.extend(["```yaml", *values, "```", ""])
        names.clear()
        values.clear()

    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
            continue
        key, _, value = line.strip().partition(":")
        if not indent:
            flush()
            section, parents, comment = key, [], []
            lines.extend([f"## {section}", ""])
            continue
        parents = [*parents[: indent // 2 - 1], key]
        if comment:
            flush()
            explained, comment = comment, []
        names.append(".".join((section, *parents)))
        values.append(f"{key}:{value}")
    flush()
    return "\n".join(lines)


def notebook(path: Path) -> str:
    """Return a notebook as a page: its cells, without outputs."""
    cells: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    pages = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            pages.append(source)
        else:
            language = "bash" if source.startswith("%%bash\n") else "python"
            pages.append(f"```{language}\n{source.removeprefix('%%bash').lstrip()}\n```")
    title, *rest = pages
    return "\n\n".join([title, f"[Download this notebook]({path.name})", *rest]) + "\n"
