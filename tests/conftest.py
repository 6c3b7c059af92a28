"""Fixtures that tests share: tiny tasks, a tiny teacher, and projects that have run the pipeline."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock
from selenium import webdriver

from tests.project import ROOT
from tests.students import multi_label_student, student

# No test reaches for a hub, whatever the machine allows.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tests run side by side, a core each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start run the checkout too, whatever is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")

# Their assertions are explained as those of test files are.
pytest.register_assert_rewrite("tests.pools", "tests.prepare_project")

from potstill.core import start
from potstill.data.dataset import Dataset
from potstill.prepare import demo
from tests.project import make, run
from tests.tasks import FEELINGS, make_checkpoint, make_mixed_texts, make_texts

assert start  # imported here, so that it does not take Ctrl-C from pytest later
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Where nothing may be skipped (STRICT=1), a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("STRICT") == "1":
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(items):
    """What is slow comes first, so that at the end no core waits for another.

    One test of the pipeline comes before all, and the rest after others, which are run while it makes what they share.
    """
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path.name == "test_pipeline.py"))
    first = next((item for item in items if item.path.name == "test_pipeline.py"), None)
    if first:
        items.remove(first)
        items.insert(0, first)


@pytest.fixture(scope="session")
def data() -> Dataset:
    """A task of three classes, easy for anybody who reads."""
    return Dataset(
        labels=list(FEELINGS),
        train=make_texts(240, 0),
        validation=make_texts(60, 1),
        test=make_texts(60, 2),
        unlabelled=make_texts(100, 3)[["text"]],
    )


@pytest.fixture(scope="session")
def mixed() -> Dataset:
    """A task of three labels, of which a text may have several, or none."""
    return Dataset(
        labels=list(FEELINGS),
        train=make_mixed_texts(300, 0),
        validation=make_mixed_texts(80, 1),
        test=make_mixed_texts(80, 2),
        unlabelled=make_mixed_texts(100, 3)[["text"]],
    )


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> Path:
    """A tiny BERT."""
    return make_checkpoint("bert", tmp_path_factory.mktemp("bert"), data.train["text"].tolist())


@pytest.fixture(scope="session")
def origin(tmp_path_factory):
    """See `tests.project.make`. Processes that run tests side by side share it: nobody changes what is in it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "origin.lock"):
        if not (shared / "made").exists():
            texts = demo.generate(200, 50, 50, 50, seed=0).train["text"].tolist()
            checkpoint = make_checkpoint("bert", shared / "checkpoint", texts)
            for name in ("origin", "store"):
                (shared / name).mkdir()
            make(shared / "origin", shared / "store", checkpoint)
            (shared / "made").touch()
    return shared / "origin"


@pytest.fixture
def clone(origin, tmp_path):
    """A fresh clone, with nothing pulled."""
    run(tmp_path, "git", "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


@pytest.fixture
def pulled(clone):
    """A fresh clone that has pulled."""
    run(clone, "dvc", "pull")
    return clone


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The stage `prepare` in a scratch folder, the current one."""
    from tests.prepare_project import Project

    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "student.pot"
    student("bigru").save(path)
    return path


@pytest.fixture
def multi_label_model(tmp_path):
    path = tmp_path / "student.pot"
    multi_label_student().save(path)
    return path


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


SCRIPT = ROOT / "src" / "potstill" / "web" / "student.js"


PROGRAM = """
import { readFileSync } from "node:fs";
import { load } from %s;
const { files, texts, label, below } = JSON.parse(readFileSync(0, "utf8"));
const out = [];
for (const file of files) {
  try {
    const student = await load(new Uint8Array(readFileSync(file)));
    const some = texts.filter((text) => text.length < below);
    const explained = some.map((text) => student.explain(text, label ?? undefined));
    out.push([texts.map(student.predict), explained, student.labels]);
  } catch (error) {
    out.push(error.message);
  }
}
console.log(JSON.stringify(out));
"""


@pytest.fixture
def javascript(tmp_path):
    """A function that runs students in Node.js: predictions, explanations of texts shorter than `below`, labels."""
    if not (node := shutil.which("node")):
        pytest.skip("Node.js is missing")
    program = tmp_path / "program.mjs"
    program.write_text(PROGRAM % json.dumps(SCRIPT.as_uri()))

    def run(files, texts, label=None, below=1000):
        given = json.dumps({"files": list(map(str, files)), "texts": texts, "label": label, "below": below})
        done = subprocess.run([node, str(program)], input=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
