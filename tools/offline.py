"""Write `.dvc/plots/offline.html`, in which `dvc plots` draws without a network. Run it with `make offline`.

DVC's own template loads Vega from a server; this one holds it, as the npm packages in `tests/js` have it.
"""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = ROOT / "tests" / "js" / "node_modules"
TEMPLATE = ROOT / ".dvc" / "plots" / "offline.html"
PACKAGES = ("vega", "vega-lite", "vega-embed")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<link rel="icon" href="data:,">
<!-- Made by `make offline`. Each script below is BSD-3-Clause, its text in the package's LICENSE. -->
SCRIPTS
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 1.5rem; }
  img { max-width: 100%; }
</style>
{plot_divs}
</html>
"""


def template() -> str:
    """The template, with placeholders for what DVC puts in."""
    scripts = []
    for name in PACKAGES:
        version = json.loads((MODULES / name / "package.json").read_text("utf-8"))["version"]
        source = (MODULES / name / "build" / f"{name}.min.js").read_text("utf-8")
        lines = [line for line in source.splitlines() if not line.startswith("//# sourceMappingURL=")]
        body = "\n".join(lines)
        scripts.append(f"<!-- {name} {version} -->\n<script>\n{body}\n</script>")
    return PAGE.replace("SCRIPTS", "\n".join(scripts))


if __name__ == "__main__":
    TEMPLATE.write_text(template(), "utf-8")
