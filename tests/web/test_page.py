"""The page of a student and the report in a browser, also with a keyboard only, on narrow screens and in the dark."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from potstill import cli
from potstill.runtime.explain import explain
from potstill.runtime.model import Student
from tests.project import ROOT
from tests.report.test_report import page as reported_page
from tests.service.test_app import serving
from tests.students import student
from tools import offline

pytestmark = pytest.mark.slow


TITLE = "<b>Demo</b> & more"


@pytest.fixture(scope="module", params=["file", "served"])
def page(request, tmp_path_factory):
    """Return the address of a page with a student, and the student."""
    folder = tmp_path_factory.mktemp("page")
    path, html = folder / "student.pot", folder / "demo.html"
    student("bigru").save(path)
    if request.param == "served":
        with serving(path) as (_, place):
            yield f"http://{place}/", Student.load(path)
    else:
        cli.execute(["page", str(path), "-o", str(html), "--title", TITLE])
        yield html.as_uri(), Student.load(path)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("Chromium with its driver is missing: Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    quiet = (
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-quic",
    )
    for flag in ("headless", "disable-gpu", *quiet, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{flag}")
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield running
    running.quit()


def requested(browser):
    """Return the addresses requested since the logs were last read; fail if the browser logged an error."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith("data:")}


@pytest.fixture
def opened(chromium, page):
    url, made = page
    chromium.set_window_size(1000, 900)
    chromium.get_log("performance")  # what came before
    chromium.get(url)
    yield chromium, made
    assert requested(chromium) <= {url}  # nothing leaves the page


def text(browser, name):
    return browser.find_element(By.ID, name).text


def shares(browser):
    return [float(output.text.rstrip("%")) / 100 for output in browser.find_elements(By.CSS_SELECTOR, "output")]


def test_probabilities_change_while_typing(opened):
    browser, made = opened
    area = browser.find_element(By.ID, "text")
    typed = ""
    for part in ("The", " not", " good", " ab ☕"):
        area.send_keys(part)
        typed += part
        np.testing.assert_allclose(shares(browser), made.predict_proba(typed)[0], atol=6e-4)
    assert text(browser, "answer").startswith(made.predict(typed)[0])
    _, _, parts = explain(made, typed)
    words = browser.find_elements(By.CSS_SELECTOR, "#words span")
    assert [word.text for word in words] == [part.word for part in parts]
    assert [word.get_attribute("class") == "unknown" for word in words] == [not part.known for part in parts]
    tints = [word.value_of_css_property("background-color") for word in words]
    strengths = [float(tint.removesuffix(")").split(",")[3]) if tint.startswith("rgba") else 1.0 for tint in tints]
    expected = np.abs([part.score for part in parts])
    np.testing.assert_allclose(strengths, 0.6 * expected / max(1, expected.max()), atol=0.01)


def test_the_page_works_with_a_keyboard_only(opened):
    browser, made = opened
    browser.switch_to.active_element.send_keys("the ab", Keys.TAB)  # the text has the focus at the start
    radio = browser.switch_to.active_element
    assert radio.get_attribute("type") == "radio"
    assert radio.get_attribute("value") == made.predict("the ab")[0]
    radio.send_keys(Keys.ARROW_DOWN)
    chosen = browser.switch_to.active_element.get_attribute("value")
    assert chosen == made.labels[(made.labels.index(made.predict("the ab")[0]) + 1) % 3]
    _, _, parts = explain(made, "the ab", chosen)
    titles = [word.get_attribute("title") for word in browser.find_elements(By.CSS_SELECTOR, "#words span")]
    np.testing.assert_allclose([float(title) for title in titles], [part.score for part in parts], atol=0.006)


@pytest.mark.parametrize("width", [320, 1000])
def test_the_page_fits_the_screen(opened, width):
    browser, _ = opened
    browser.set_window_size(width, 700)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.find_element(By.ID, "text").send_keys("the ab " * 40 + "x" * 300)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Return the address of a report."""
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(reported_page(), "utf-8")
    return path.as_uri()


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_report_fits_the_screen_and_no_names_overlap(chromium, reported, width):
    chromium.get_log("browser")
    chromium.get_log("performance")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chromium.get(reported)
    assert requested(chromium) == {reported}
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    overlaps = """
        const found = [];
        for (const svg of document.querySelectorAll("svg")) {
          const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim());
          const boxes = texts.map((text) => text.getBoundingClientRect());
          boxes.forEach((a, i) => boxes.slice(0, i).forEach((b, j) => {
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (a.width && wide > 1 && high > 2) found.push([texts[i].textContent, texts[j].textContent]);
          }));
        }
        return found;
    """
    assert chromium.execute_script(overlaps) == []
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_mark_in_the_report_has_a_tooltip(chromium, reported):
    chromium.set_window_size(1000, 900)
    chromium.get(reported)
    mark = chromium.find_element(By.CSS_SELECTOR, "[data-tip^='bigru-2.5K: 9']")
    tip = chromium.find_element(By.ID, "tip")
    assert not tip.is_displayed()
    ActionChains(chromium).move_to_element(mark).perform()
    assert tip.is_displayed()
    assert tip.text == mark.get_attribute("data-tip")
    assert "2,500 parameters" in tip.text
    ActionChains(chromium).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


def test_the_report_is_readable_in_the_dark(chromium, reported):
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    chromium.get(reported)
    colours = "return [...document.querySelectorAll('body, svg text')].map((e) => getComputedStyle(e))"
    back, *inks = chromium.execute_script(f"{colours}.map((s, i) => i ? s.fill : s.backgroundColor)")
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in inks]
    assert sum(map(int, re.findall(r"\d+", back)[:3])) < 150
    assert min(brightness) > 250
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


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


def test_the_title_is_text(opened):
    browser, _ = opened
    title = TITLE if browser.current_url.startswith("file:") else "Is it c0, c1 or c2?"
    assert browser.title == title
    assert browser.find_element(By.TAG_NAME, "h1").text == title
