"""Fixtures that tests share: tiny tasks, a tiny teacher, and projects that have run the pipeline."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

# No test reaches for a hub, whatever the machine allows.
os.environ["HF_HUB_OFFLINE"] = "1"
# Tests run side by side, a core each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start run the checkout too, whatever is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")

# Their assertions are explained as those of test files are.
pytest.register_assert_rewrite(
    "tests.browser", "tests.javascript", "tests.pools", "tests.prepare_project", "tests.serving", "tests.tables"
)

from potstill.core import start
from potstill.data.dataset import Dataset
from potstill.prepare import demo
from tests.llm import serving
from tests.project import make, run
from tests.students import multi_label_student, student
from tests.tasks import FEELINGS, make_checkpoint, make_mixed_texts, make_texts

assert start  # imported here, so that it does not take Ctrl-C from pytest later
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """With STRICT=1, report a skipped test as failed."""
    report = yield
    if report.skipped and os.environ.get("STRICT") == "1":
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(items):
    """Run slow tests first, so that no core is idle at the end.

    One test of test_pipeline.py comes first and makes the project that they share; the others come later, so that
    they need not wait for it.
    """
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path.name == "test_pipeline.py"))
    first = next((item for item in items if item.path.name == "test_pipeline.py"), None)
    if first:
        items.remove(first)
        items.insert(0, first)


@pytest.fixture
def server():
    """A server of an LLM that knows the task `data`."""
    with serving() as found:
        yield found


@pytest.fixture(scope="session")
def data() -> Dataset:
    """An easy task of three classes."""
    return Dataset(
        labels=list(FEELINGS),
        train=make_texts(240, 0),
        validation=make_texts(60, 1),
        test=make_texts(60, 2),
        unlabelled=make_texts(100, 3)[["text"]],
    )


@pytest.fixture(scope="session")
def mixed() -> Dataset:
    """A multi-label task of three labels."""
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
    """The repository of `tests.project.make`. Parallel test processes share it, so tests must not change it."""
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
    """A fresh clone without DVC's files."""
    run(tmp_path, "git", "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


@pytest.fixture
def pulled(clone):
    """A fresh clone with DVC's files."""
    run(clone, "dvc", "pull")
    return clone


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The stage `prepare` in a scratch folder, which is the working directory."""
    from tests.prepare_project import Project

    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The file of an untrained student."""
    path = tmp_path_factory.mktemp("model") / "student.pot"
    student("bigru").save(path)
    return path


@pytest.fixture
def multi_label_model(tmp_path):
    """The file of an untrained multi-label student."""
    path = tmp_path / "student.pot"
    multi_label_student().save(path)
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser without a window."""
    from tests.browser import start

    browser = start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def javascript(tmp_path):
    """See `tests.javascript.predict`."""
    from tests.javascript import predict

    return partial(predict, tmp_path)


@pytest.fixture
def teacher_folder(bert, tmp_path):
    """The folder of an untrained teacher of the labels a, b and c."""
    from tests.teachers import make_teacher

    return make_teacher(bert, tmp_path / "teacher", ["a", "b", "c"])
