import io
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import psutil
import pytest

from potstill import cli
from potstill.core.errors import PotstillError
from potstill.engine import local, shards
from potstill.engine import ray as on_ray
from potstill.label.logits import FILE, label
from potstill.label.params import LabelParams
from potstill.scoring import inference, model, pretrained
from tests.conftest import make_texts
from tests.engine.lengths import Lengths
from tests.project import ENVIRONMENT, ROOT
from tests.runtime.test_fast import student

ENGINES = {
    "one": partial(local.each, processes=1),
    "two": partial(local.each, processes=2),
    "ray": partial(on_ray.each, actors=2, address=None, gpu=False),
}
everywhere = pytest.mark.parametrize(
    "engine", [pytest.param(ENGINES[name], id=name, marks=[pytest.mark.slow] * (name != "one")) for name in ENGINES]
)


@pytest.fixture(autouse=True)
def _actors_find_this_module(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}")


@pytest.fixture
def lengths(tmp_path):
    seen = tmp_path / "seen"
    seen.mkdir()
    return Lengths(seen)


def make_pool(path, texts, rows):
    pd.DataFrame({"text": texts}).to_parquet(path, index=False, row_group_size=rows)
    return str(path)


@everywhere
def test_every_engine_gives_the_same_results_and_does_no_shard_twice(lengths, tmp_path, engine):
    texts = ["x" * i for i in range(10)]
    first, second = make_pool(tmp_path / "a.parquet", texts[:7], 3), make_pool(tmp_path / "b.parquet", texts[7:], 3)
    jobs = shards.plan([first, second], "text")
    assert [job["rows"] for job in jobs] == [3, 3, 1, 3]
    task = shards.Task(lengths, "text", str(tmp_path / "out"), "mine")
    (tmp_path / "out").mkdir()  # by a run that was killed early
    counted = []
    done = shards.process(task, jobs, engine, counted.append)
    assert [facts["longest"] for facts in done] == [2, 5, 6, 9]
    assert sum(counted) == 10
    assert lengths.processed() == texts
    assert pd.read_parquet(tmp_path / "out")["length"].tolist() == list(range(10))  # ignores the markers
    shards.gather(task, done, tmp_path / "all.parquet")
    assert pd.read_parquet(tmp_path / "all.parquet")["length"].tolist() == list(range(10))

    # Only shards without a marker or without a result are done again.
    (tmp_path / "out/_000000.done").unlink()
    (tmp_path / "out/_000002.done").write_text('{"number": ')
    (tmp_path / "out/000003.parquet").write_bytes(b"")
    assert shards.process(task, jobs, engine) == done
    assert lengths.processed() == sorted(texts + texts[:3] + texts[6:])
    assert shards.process(task, jobs, engine) == done
    assert lengths.processed() == sorted(texts + texts[:3] + texts[6:])

    with pytest.raises(PotstillError, match="holds the results of another model or input"):
        shards.process(shards.Task(lengths, "text", task.folder, "another"), jobs, engine)


@pytest.mark.parametrize("name", ["000000.parquet", "000007.parquet"])
def test_a_folder_that_is_not_ours_is_not_written_to(name, lengths, tmp_path):
    pool = make_pool(tmp_path / "a.parquet", ["a", "b", "c"], 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    task = shards.Task(lengths, "text", str(tmp_path / "out"), "mine")
    with pytest.raises(PotstillError, match="in it would be overwritten"):
        shards.process(task, shards.plan([pool], "text"), ENGINES["one"])
    assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [(name, "precious")]
    file = shards.Task(lengths, "text", str(tmp_path / "out" / name), "mine")
    with pytest.raises(PotstillError, match="it is a file"):
        shards.process(file, shards.plan([pool], "text"), ENGINES["one"])


def test_a_run_that_was_killed_before_its_first_marker_goes_on(lengths, tmp_path):
    pool = make_pool(tmp_path / "a.parquet", ["a", "b", "c"], 1)
    task = shards.Task(lengths, "text", str(tmp_path / "out"), "mine")
    task.claim()
    (tmp_path / "out" / "000001.parquet").write_text("half")
    jobs = shards.plan([pool], "text")
    assert len(shards.process(task, jobs, ENGINES["one"])) == len(jobs)


def test_a_damaged_shard_is_done_again(lengths, tmp_path):
    texts = ["x" * i for i in range(6)]
    jobs = shards.plan([make_pool(tmp_path / "pool.parquet", texts, 3)], "text")
    task = shards.Task(lengths, "text", str(tmp_path / "out"), "mine")
    done = shards.process(task, jobs, ENGINES["one"])
    damaged = tmp_path / "out/000001.parquet"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:40] + bytes(8) + content[48:])
    with pytest.raises(PotstillError, match=r"000001\.parquet: it is damaged\. Run this again"):
        shards.gather(task, done, tmp_path / "all.parquet")
    assert shards.process(task, jobs, ENGINES["one"]) == done
    assert lengths.processed() == sorted(texts + texts[3:])
    shards.gather(task, done, tmp_path / "all.parquet")
    assert pd.read_parquet(tmp_path / "all.parquet")["length"].tolist() == list(range(6))


@everywhere
def test_an_error_of_a_worker_is_raised_as_one_line(lengths, tmp_path, engine):
    jobs = shards.plan([make_pool(tmp_path / "pool.parquet", ["a", "bad", "c"], 1)], "text")
    with pytest.raises(PotstillError, match=r"^a bad text$"):
        shards.process(shards.Task(lengths, "text", str(tmp_path / "out"), "mine"), jobs, engine)


@pytest.fixture
def deadly(lengths, tmp_path):
    """A task of five jobs, one of which kills the first process that does it; the jobs, and their texts."""
    texts = ["a", "b", "die", "d", "e"]
    jobs = shards.plan([make_pool(tmp_path / "pool.parquet", texts, 1)], "text")
    return shards.Task(lengths, "text", str(tmp_path / "out"), "mine"), jobs, texts


@pytest.mark.slow
@pytest.mark.faults
def test_an_actor_that_dies_is_replaced(lengths, tmp_path, deadly):
    task, jobs, texts = deadly
    shards.process(task, jobs, ENGINES["ray"])
    assert pd.read_parquet(tmp_path / "out")["length"].tolist() == [1, 1, 3, 1, 1]
    assert set(lengths.processed()) == set(texts)


@pytest.mark.slow
@pytest.mark.faults
def test_a_killed_process_is_reported_and_finished_shards_are_kept(lengths, tmp_path, deadly):
    task, jobs, texts = deadly
    with pytest.raises(PotstillError, match="one of 2 processes was killed"):
        shards.process(task, jobs, ENGINES["two"])
    before = task.done()
    shards.process(task, jobs, ENGINES["two"])
    assert pd.read_parquet(tmp_path / "out")["length"].tolist() == [1, 1, 3, 1, 1]
    again = [text for text in lengths.processed() if lengths.processed().count(text) > 1]
    assert not {texts[number] for number in before} & set(again)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (None, "no such file"),
        ({"body": ["a"]}, r"no column 'text' \(found: 'body'\)"),
        ({"text": [1]}, "holds int64, not strings"),
    ],
)
def test_a_pool_that_cannot_be_read(tmp_path, table, reason):
    path = tmp_path / "pool.parquet"
    if table:
        pd.DataFrame(table).to_parquet(path)
    with pytest.raises(PotstillError, match=reason):
        shards.plan([str(path)], "text")
    with pytest.raises(PotstillError, match=reason):
        shards.plan([path.as_uri()], "text")


@pytest.fixture(scope="session")
def teacher(bert, data, tmp_path_factory):
    """A folder as the stage `teacher` writes it; it has learnt nothing."""
    folder = tmp_path_factory.mktemp("teacher")
    network, tokenizer = pretrained.load(str(bert), data.labels)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.describe(folder, "checkpoint", data.labels, 16)
    return folder


def settings(**changes):
    found = LabelParams.load(ROOT / "params.yaml").model_dump() | {"workers": 2, "precision": "fp32"}
    return LabelParams(**found | changes)


@pytest.mark.slow
def test_a_teacher_labels_alike_on_both_engines_and_through_a_store(teacher, tmp_path):
    texts = make_texts(300, 5)["text"].tolist()
    pool = Path(make_pool(tmp_path / "pool.parquet", texts, 64))
    found = {}
    for name, params in {
        "one": settings(workers=1),
        "two": settings(),
        "ray": settings(engine="ray"),
        "store": settings(storage=str(tmp_path / "shared")),
    }.items():
        counted = []
        label(teacher, pool, tmp_path / name, params, tmp_path / "scratch", counted.append)
        assert sum(counted) == len(texts)
        assert not list(Path(params.storage or tmp_path / "scratch").iterdir())
        found[name] = (tmp_path / name / FILE).read_bytes()
    assert len(set(found.values())) == 1
    logits = pd.read_parquet(tmp_path / "one").to_numpy()
    np.testing.assert_allclose(logits, model.load(teacher, precision="fp32").logits(texts), atol=1e-5)


@pytest.mark.parametrize(("precision", "share"), inference.ROUNDING.items())
def test_another_cut_of_the_pool_moves_logits_by_no_more_than_is_promised(teacher, tmp_path, precision, share):
    texts = make_texts(300, 5)["text"].tolist()
    found = []
    for rows in (17, 64, 300):
        pool = Path(make_pool(tmp_path / f"{rows}.parquet", texts, rows))
        label(teacher, pool, tmp_path / str(rows), settings(workers=1, precision=precision), tmp_path / "scratch")
        found.append(pd.read_parquet(tmp_path / str(rows)).to_numpy())
    limit = share * np.abs(found).max()
    for cut in found[1:]:
        np.testing.assert_allclose(cut, found[0], atol=limit, rtol=0)


DRIVER = """
import sys
from functools import partial
from pathlib import Path
from tests.engine.lengths import Lengths
from potstill.engine import local, ray, shards
import time
class Slow(Lengths):
    def __call__(self, texts):
        time.sleep(0.2)
        return super().__call__(texts)
if __name__ == "__main__":
    pool, out, seen, engine = sys.argv[1:]
    engine = {
        "two": partial(local.each, processes=2),
        "ray": partial(ray.each, actors=2, address=None, gpu=False),
    }[engine]
    shards.process(shards.Task(Slow(Path(seen)), "text", out, "mine"), shards.plan([pool], "text"), engine)
"""


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("engine", ["two", "ray"])
def test_a_driver_that_dies_loses_nothing(lengths, tmp_path, engine):
    texts = [f"text {i:02d}" for i in range(40)]
    pool, out = make_pool(tmp_path / "pool.parquet", texts, 1), tmp_path / "out"
    (tmp_path / "driver.py").write_text(DRIVER)
    process = subprocess.Popen(
        [sys.executable, tmp_path / "driver.py", pool, out, lengths.seen, engine],
        env=ENVIRONMENT | {"PYTHONPATH": os.environ["PYTHONPATH"]},
        start_new_session=True,
    )
    while process.poll() is None and len(list(out.glob("*.done"))) < 5:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in children if "Agent" not in child.name()]  # those of Ray end a minute later
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive, "the workers outlived the driver"
    task = shards.Task(lengths, "text", str(out), "mine")
    before = {texts[number] for number in task.done()}
    assert 5 <= len(before) < len(texts)
    shards.process(task, shards.plan([pool], "text"), ENGINES["two"])
    assert pd.read_parquet(out)["length"].tolist() == [7] * len(texts)
    assert not {text for text in before if lengths.processed().count(text) > 1}


@pytest.mark.slow
def test_predict_on_ray_answers_as_predict_does_and_goes_on_where_it_stopped(tmp_path, capsys):
    student("bigru").save(tmp_path / "student.pot")
    texts = [f"the ab not good {i}" for i in range(50)]
    (tmp_path / "in").mkdir()
    make_pool(tmp_path / "in/a.parquet", texts[:30], 8)
    make_pool(tmp_path / "in/b.parquet", texts[30:], 8)
    make_pool(tmp_path / "all.parquet", texts, 50)
    model, one, many = (str(tmp_path / name) for name in ("student.pot", "one.parquet", "many"))
    options = ["--top-k", "2", "--threshold", "0.3"]
    cli.execute(["predict", model, str(tmp_path / "all.parquet"), "-o", one, *options])
    command = ["predict", model, str(tmp_path / "in/*.parquet"), "-o", many, *options, "--engine", "ray"]
    cli.execute([*command, "--workers", "2"])
    assert "50 texts classified" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_parquet(many), pd.read_parquet(one))
    (tmp_path / "many/_000003.done").unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "many").glob("*.parquet")}
    cli.execute(command)
    written = [path.name for path, time_ in before.items() if path.stat().st_mtime_ns != time_]
    assert written == ["000003.parquet"]
    with pytest.raises(PotstillError, match="holds the results of another model or input"):
        cli.execute([*command[:-4], "--engine", "ray"])


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A server of S3, whose key whoever is started from here has, and its file system."""
    pytest.importorskip("s3fs", reason="needs s3fs: make test-faults installs it")
    from tests.commands.test_remotes import S3

    (tmp_path / "server").mkdir()
    server = S3(tmp_path / "server")
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.secret["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret["secret_access_key"])
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.faults
def test_labels_and_answers_go_through_a_store(bucket, teacher, tmp_path, monkeypatch):
    texts = make_texts(200, 5)["text"].tolist()
    pool = Path(make_pool(tmp_path / "pool.parquet", texts, 64))
    label(teacher, pool, tmp_path / "here", settings(), tmp_path / "scratch")
    for engine in ("local", "ray"):
        params = settings(engine=engine, storage=f"s3://bucket/{engine}")
        label(teacher, pool, tmp_path / engine, params, tmp_path / "unused")
        assert (tmp_path / engine / FILE).read_bytes() == (tmp_path / "here" / FILE).read_bytes()
        assert not [path for path in bucket.files.find(f"bucket/{engine}") if teacher.name in path]

    student("attention").save(tmp_path / "student.pot")
    bucket.files.put_file(str(pool), "bucket/in/pool.parquet")
    monkeypatch.chdir(tmp_path)
    command = ["predict", "student.pot", "s3://bucket/in/*.parquet", "-o", "s3://bucket/out", "--engine", "ray"]
    cli.execute(command)
    cli.execute(["predict", "student.pot", str(pool), "-o", "here.parquet"])
    written = sorted(path for path in bucket.files.find("bucket/out") if path.endswith(".parquet"))
    found = pd.concat([pd.read_parquet(io.BytesIO(bucket.files.cat_file(path))) for path in written])
    pd.testing.assert_frame_equal(found.reset_index(drop=True), pd.read_parquet("here.parquet"))

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-barley")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(
        PotstillError, match=r"s3://bucket/in/\*.parquet: it cannot be reached \(.*signature"
    ) as refused:
        cli.execute(command)
    assert "open-barley" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), r"not - \(a stream\)"),
        (("in.parquet", "-o", "out", "--skip-bad"), "does not support --fallback and --skip-bad"),
        (("in.parquet", "-o", "out"), "in.parquet: no such file"),
        (("*.parquet", "-o", "out"), "no Parquet file. Name one"),
        (("nowhere://in.parquet", "-o", "out"), "Protocol not known: nowhere"),
        (("in", "-o", "in"), "in: it is part of the input"),
        (("in", "-o", "./in/answers/new"), "is part of the input"),
        (("in/*.parquet", "-o", "in/"), "is part of the input"),
        (("in", "-o", "file"), "it is a file"),
        (("in/*.parquet", "-o", "in/a.parquet"), "it is a file"),
    ],
)
def test_predict_on_ray_says_what_is_wrong(tmp_path, monkeypatch, options, reason):
    (tmp_path / "in").mkdir()
    for name in ("file", "in/a.parquet"):
        make_pool(tmp_path / name, ["a"], 1)
    student("mlp").save(tmp_path / "student.pot")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PotstillError, match=reason):
        cli.execute(["predict", "student.pot", *options, "--engine", "ray"])
