"""The documentation's site: no dead link, no request to the network, every parameter."""

import re

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from potstill.core.params import SECTIONS, section
from potstill.student.params import NetworkParams
from tests.project import ROOT
from tools import docs


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the source distribution holds no results, which the site shows")
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)  # raises for a dead link
    return folder


@pytest.mark.slow
def test_no_page_requests_anything_from_the_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        html = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?([^\"' >]+)", html)
        loaded += re.findall(r"<link\b[^>]*\bhref=[\"']?([^\"' >]+)", html)
        assert not [url for url in loaded if re.match(r"(https?:)?//", url)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text("utf-8")), sheet


@pytest.mark.slow
def test_docstrings_and_notebooks_are_part_of_the_site(site):
    assert "predict_proba" in (site / "python/index.html").read_text("utf-8")
    for notebook in (ROOT / "docs/notebooks").glob("*.ipynb"):
        assert "Download this notebook" in (site / f"notebooks/{notebook.stem}/index.html").read_text("utf-8")
        assert (site / "notebooks" / notebook.name).read_bytes() == notebook.read_bytes()


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_of_parameters_explains_each(name):
    page = docs.parameters((ROOT / "params.yaml").read_text("utf-8"))
    headings = re.findall(r"^### (.+?) \{.*\}\n\n(.+)$", page, re.MULTILINE)
    explained = {key for heading, text in headings if len(text) > 10 for key in re.findall(r"`(.+?)`", heading)}
    assert explained >= {f"{name}.{key}" for key in section(name).model_fields}
    assert f"student.{next(iter(NetworkParams.model_fields))}" in explained
