"""The page of a student in a browser, also with a keyboard only and on narrow screens."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from potstill import cli
from potstill.runtime.explain import explain
from potstill.runtime.model import Student
from tests.browser import requested
from tests.command import call
from tests.serving import serving
from tests.students import promising, student

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


def test_the_page_abstains_where_the_guarantee_does_not_hold(chromium, tmp_path):
    made = promising(student("bigru"), ["the not"], thresholds=[None] * 3)
    limits = [0.0 if label == made.predict("the not")[0] else None for label in made.labels]
    for thresholds, answer, facts in (
        (limits, made.predict("the not")[0], "Answers 75% of texts; on those it is right on at least 98%, with 95%"),
        ([None] * 3, "abstains (", "It abstains: there is no guarantee."),
    ):
        promising(made, ["the not"], thresholds=thresholds).save(tmp_path / "a.pot")
        cli.execute(["page", str(tmp_path / "a.pot"), "-o", str(tmp_path / f"{answer[0]}.html")])
        chromium.get((tmp_path / f"{answer[0]}.html").as_uri())
        chromium.find_element(By.ID, "text").send_keys("the not")
        assert text(chromium, "answer").startswith(answer)
        assert facts in text(chromium, "facts")


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


def test_the_title_is_text(opened):
    browser, _ = opened
    title = TITLE if browser.current_url.startswith("file:") else "Is it c0, c1 or c2?"
    assert browser.title == title
    assert browser.find_element(By.TAG_NAME, "h1").text == title


@pytest.mark.slow
def test_a_page_marks_every_label_of_a_text(chromium, multi_label_model, tmp_path, capsys):
    made = Student.load(multi_label_model)
    call(capsys, "page", multi_label_model, "-o", tmp_path / "a.html")
    chromium.get((tmp_path / "a.html").as_uri())
    area = chromium.find_element(By.ID, "text")
    seen = set()
    for typed in ("the ab not good", "ab", "ça", "!"):
        area.clear()
        area.send_keys(typed)
        [said] = made.predict(typed)
        np.testing.assert_allclose(shares(chromium), made.predict_proba(typed)[0], atol=6e-4)
        marked = [line.text.split("\n")[0] for line in chromium.find_elements(By.CSS_SELECTOR, ".class.best")]
        assert tuple(marked) == said
        told = chromium.find_element(By.ID, "answer").text
        assert [part.split(",")[0] for part in told.split("; ")] == list(said or ["none of them"])
        seen.add(len(said))
    assert len(seen) > 1
    assert chromium.title == "Which of c0, c1, c2?"
