import pytest

from potstill.scoring.llm.params import LlmParams
from potstill.scoring.llm.teacher import LlmTeacher


@pytest.fixture
def make(server, data, tmp_path, monkeypatch):
    """A function that makes a teacher with changes to its settings, in a folder of its own."""
    pytest.importorskip("openai", reason="needs openai: the extra llm installs it")
    monkeypatch.chdir(tmp_path)

    def make(task=data, **changes):
        params = LlmParams(**{"endpoint": server.endpoint, "model": "fake", "timeout": 5, **changes})
        return LlmTeacher.make("mine", params, task)

    return make
