"""Plots of DVC are drawn without a network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import requested
from tests.project import ROOT
from tools import offline

pytestmark = pytest.mark.slow


def test_plots_of_dvc_are_drawn_without_a_network(chromium, tmp_path):
    shutil.copytree(ROOT / ".dvc" / "plots", tmp_path / ".dvc" / "plots")
    points = "name,parameters,relative\nstudent,2991,0.99\nteacher,22700000,1.0\n"
    (tmp_path / "size.csv").write_text(points)
    command = ["dvc", "plots", "show", "size.csv", "--template", "scatter_log", "-x", "parameters", "-y", "relative"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    settings = (ROOT / ".dvc" / "config").read_text().replace("[core]\n", "[core]\n    no_scm = true\n")
    (tmp_path / ".dvc" / "config").write_text(settings)
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    chromium.get_log("browser")
    chromium.get_log("performance")
    url = (tmp_path / "dvc_plots" / "index.html").as_uri()
    chromium.get(url)
    drawn = ".vega-embed canvas, .vega-embed svg"
    WebDriverWait(chromium, 20).until(lambda browser: browser.find_elements(By.CSS_SELECTOR, drawn))
    assert len(chromium.find_elements(By.CSS_SELECTOR, ".vega-embed")) == 1
    assert requested(chromium) == {url}


def test_the_template_of_plots_is_up_to_date():
    if not offline.MODULES.is_dir():
        pytest.skip("npm's packages are missing: make test installs them")
    assert offline.TEMPLATE.read_text("utf-8") == offline.template()
