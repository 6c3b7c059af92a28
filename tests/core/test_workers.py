import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from potstill.core.errors import PotstillError
from potstill.core.workers import workers


def die(number):
    if number:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_a_mistake_of_size_and_noticed_at_once(monkeypatch):
    start = ProcessPoolExecutor._adjust_process_count

    def slowly(pool):
        time.sleep(0.2)  # by now the pool's thread watches what is there
        start(pool)

    monkeypatch.setattr(ProcessPoolExecutor, "_adjust_process_count", slowly)
    began = time.monotonic()
    killed = pytest.raises(PotstillError, match="one of 2 processes was killed, most likely for lack of memory")
    with killed, workers(2) as pool:
        list(pool.map(die, range(2)))
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('main')\nfrom potstill.core.workers import workers\n"
        "with workers(2) as pool:\n    print(list(pool.map(abs, [-1])))"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["main", "[1]", ""], done.stderr
