"""A service of several processes, and its access log."""

import re
import signal
import time
from urllib.parse import quote

import psutil
import pytest

from potstill.runtime.model import Student
from tests.serving import TEXTS, ask, serving

pytestmark = pytest.mark.slow


def workers(process):
    return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]


def wait(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def counted(place):
    return int(re.search(r'requests_total{path="/predict",status="200"} (\d+)', ask(place, "/metrics")[1])[1])


def test_workers_answer_together_are_replaced_and_stop(model):
    with serving(model, "--workers", "2") as (process, place):
        expected = Student.load(model).predict(TEXTS).tolist()
        for _ in range(20):
            status, found = ask(place, "/predict", {"texts": TEXTS})
            assert (status, [row["label"] for row in found["predictions"]]) == (200, expected)
        wait(lambda: counted(place) == 20)  # of both, whichever answers; a request is counted after its answer
        first, second = workers(process)
        first.kill()
        assert process.stderr.readline() == f"worker {first.pid} ended (exit status -9). Another one is started.\n"
        wait(lambda: len(workers(process)) == 2)
        assert ask(place, "/predict", {"texts": TEXTS})[0] == 200
        wait(lambda: counted(place) == 21)
        running = workers(process)
        assert second in running
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert not any(worker.is_running() for worker in running)
        assert process.stderr.read() == ""


def test_workers_do_not_outlive_the_process_that_started_them(model):
    with serving(model, "--workers", "2") as (process, place):
        assert ask(place, "/healthz")[0] == 200
        running = workers(process)
        process.kill()
        wait(lambda: not any(worker.is_running() for worker in running))


@pytest.mark.parametrize("count", ["1", "2"])
def test_the_access_log_has_a_line_per_request_and_no_text(model, count):
    secret = 'a "secret"\ntext'
    with serving(model, "--access-log", "--workers", count) as (process, place):
        ask(place, "/predict", {"texts": [secret]})
        ask(place, f"/nowhere%0A%22?text={quote(secret)}")
        ask(place, "/healthz", host="evil.example")
        lines = [process.stdout.readline() for _ in range(3)]
    if count == "2":  # each writes its own lines, after it has answered
        lines.sort(key=lambda line: ("POST" not in line, "nowhere" not in line))
    pattern = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(.*)" (\d+) (\d+) \d+\.\d{4}\n'
    requests, statuses, sizes = zip(*(re.fullmatch(pattern, line).groups() for line in lines), strict=True)
    assert requests == ("POST /predict HTTP/1.1", "GET /nowhere%0A%22 HTTP/1.1", "GET /healthz HTTP/1.1")
    assert statuses == ("200", "404", "400")
    assert all(int(size) > 10 for size in sizes)
    assert "secret" not in "".join(lines)
