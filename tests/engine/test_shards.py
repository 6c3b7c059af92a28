import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

from potstill.core.errors import PotstillError
from potstill.engine import local, shards
from tests.engine.engines import ENGINES, everywhere
from tests.project import ENVIRONMENT
from tests.tables import make_pool


@everywhere
def test_every_engine_gives_the_same_results_and_does_no_shard_twice(lengths, tmp_path, engine):
    texts = ["x" * i for i in range(10)]
    first, second = make_pool(tmp_path / "a.parquet", texts[:7], 3), make_pool(tmp_path / "b.parquet", texts[7:], 3)
    jobs = shards.plan([first, second], ["text"])
    assert [job["rows"] for job in jobs] == [3, 3, 1, 3]
    task = shards.Task(lengths, ["text"], str(tmp_path / "out"), "mine")
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
        shards.process(shards.Task(lengths, ["text"], task.folder, "another"), jobs, engine)


@pytest.mark.parametrize("name", ["000000.parquet", "000007.parquet"])
def test_a_folder_that_is_not_ours_is_not_written_to(name, lengths, tmp_path):
    pool = make_pool(tmp_path / "a.parquet", ["a", "b", "c"], 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    task = shards.Task(lengths, ["text"], str(tmp_path / "out"), "mine")
    with pytest.raises(PotstillError, match="in it would be overwritten"):
        shards.process(task, shards.plan([pool], ["text"]), ENGINES["one"])
    assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [(name, "precious")]
    file = shards.Task(lengths, ["text"], str(tmp_path / "out" / name), "mine")
    with pytest.raises(PotstillError, match="it is a file"):
        shards.process(file, shards.plan([pool], ["text"]), ENGINES["one"])


def test_a_run_that_was_killed_before_its_first_marker_goes_on(lengths, tmp_path):
    pool = make_pool(tmp_path / "a.parquet", ["a", "b", "c"], 1)
    task = shards.Task(lengths, ["text"], str(tmp_path / "out"), "mine")
    task.claim()
    (tmp_path / "out" / "000001.parquet").write_text("half")
    jobs = shards.plan([pool], ["text"])
    assert len(shards.process(task, jobs, ENGINES["one"])) == len(jobs)


def test_a_damaged_shard_is_done_again(lengths, tmp_path):
    texts = ["x" * i for i in range(6)]
    jobs = shards.plan([make_pool(tmp_path / "pool.parquet", texts, 3)], ["text"])
    task = shards.Task(lengths, ["text"], str(tmp_path / "out"), "mine")
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
    jobs = shards.plan([make_pool(tmp_path / "pool.parquet", ["a", "bad", "c"], 1)], ["text"])
    with pytest.raises(PotstillError, match=r"^a bad text$"):
        shards.process(shards.Task(lengths, ["text"], str(tmp_path / "out"), "mine"), jobs, engine)


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
        shards.plan([str(path)], ["text"])
    with pytest.raises(PotstillError, match=reason):
        shards.plan([path.as_uri()], ["text"])


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
    shards.process(shards.Task(Slow(Path(seen)), ["text"], out, "mine"), shards.plan([pool], ["text"]), engine)
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
    task = shards.Task(lengths, ["text"], str(out), "mine")
    before = {texts[number] for number in task.done()}
    assert 5 <= len(before) < len(texts)
    shards.process(task, shards.plan([pool], ["text"]), ENGINES["two"])
    assert pd.read_parquet(out)["length"].tolist() == [7] * len(texts)
    assert not {text for text in before if lengths.processed().count(text) > 1}


@pytest.mark.parametrize("change", ["", "null", "[]", "{}", "no cut", "other rows", "null number"])
def test_the_work_of_a_damaged_marker_is_repeated(teacher_folder, tmp_path, change):
    pool = tmp_path / "pool.parquet"
    pd.DataFrame({"text": [f"happy {i}" for i in range(6)]}).to_parquet(pool, index=False, row_group_size=3)
    jobs = shards.plan([str(pool)], ["text"])
    task = shards.Task(lambda texts: (pq.read_table(pool), {"cut": 0}), ["text"], str(tmp_path), "m", ("cut",))
    done = shards.process(task, jobs, lambda task, jobs: local.each(task, jobs, 1))
    marker = tmp_path / "_000001.done"
    marked = json.loads(marker.read_text())
    changed = {
        "no cut": {key: value for key, value in marked.items() if key != "cut"},
        "other rows": marked | {"rows": 4},
        "null number": marked | {"number": None},
    }
    marker.write_text(json.dumps(changed[change]) if change in changed else change)
    counted = []
    again = shards.process(task, jobs, lambda task, jobs: local.each(task, jobs, 1), counted.append)
    assert again == done
    assert counted == [3, 3]
    assert json.loads(marker.read_text()) == marked
