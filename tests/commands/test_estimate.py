import pandas as pd
import pytest
from ruamel.yaml import YAML

from potstill.core import paths
from tests.command import call, refused
from tests.settings import TEACHER


@pytest.fixture
def project(server, data, tmp_path, monkeypatch):
    """A function that sets the keys of the LLM `mine`, in a project whose data are prepared."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").touch()
    data.save(paths.PREPARED)

    def write(**llm):
        preset = {"llm": {"endpoint": server.endpoint, "model": "fake", "orders": 1} | llm}
        section = TEACHER | {"presets": {"mine": preset, "bert": {"checkpoint": "bert"}}}
        YAML(typ="safe").dump({"teacher": section}, paths.PARAMS)
        return preset["llm"]

    write()
    return write


def pool(texts):
    paths.POOL.mkdir(parents=True)
    pd.DataFrame({"text": texts, "source": "train"}).to_parquet(paths.POOL / "pool.parquet", index=False)


def test_it_counts_requests_tokens_and_money_and_sends_nothing(project, server, data, capsys):
    project(input_price=2.0, output_price=10.0, answer_tokens=3)
    said = call(capsys, "estimate")
    held_out = {*data.validation["text"], *data.test["text"]}
    assert f"mine: fake at {server.endpoint} (this machine)\n" in said
    assert f"validation and test: {len(held_out)} texts, {len(held_out)} requests" in said
    assert f"at most {3 * len(held_out)} of answers" in said
    assert "pool: not made yet" in said
    pool(["one glad text", "another", "another"])
    said = call(capsys, "estimate", "mine")
    assert "pool: 2 texts, 2 requests" in said
    tokens = int(said.split("in all: ")[1].split("about ")[1].split(" tokens")[0].replace(",", ""))
    answers = 3 * (len(held_out) + 2)
    money = ((tokens - answers) * 2 + answers * 10) / 1e6
    assert f"at most about {money:,.2f} in the currency" in said
    assert said.endswith("nothing was sent\n")
    assert not server.bodies


@pytest.mark.parametrize(("labels", "orders", "multi_label"), [(3, 2, False), (50, 1, False), (50, 3, True)])
def test_it_counts_as_many_requests_as_are_then_sent(labels, orders, multi_label, project, server, data, mixed, capsys):
    pytest.importorskip("openai", reason="needs openai: the extra llm installs it")
    from dataclasses import replace

    from potstill.scoring.llm.params import LlmParams
    from potstill.scoring.llm.teacher import LlmTeacher

    base = mixed if multi_label else data
    task = replace(base, labels=[*base.labels, *(f"label {i}" for i in range(3, labels))], test=base.test[:5])
    task = replace(task, validation=base.validation[:5])
    task.save(paths.PREPARED)
    llm = project(orders=orders, examples=2)
    said = call(capsys, "estimate")
    promised = int(said.split("in all: ")[1].split(" requests")[0])
    if multi_label:
        assert promised == 10 * orders
        assert f"at most {promised * 8 * labels:,} of answers" in said
    teacher = LlmTeacher.make("mine", LlmParams(**llm), task)
    teacher.score(task.validation["text"].tolist())
    half = call(capsys, "estimate")
    assert f"{len(server.bodies)} answers are kept" in half
    assert "as measured" in half
    teacher.score(task.test["text"].tolist())
    assert len(server.bodies) == promised
    assert "in all: 0 requests, about 0 tokens" in call(capsys, "estimate")


def test_it_says_that_a_limit_will_stop_it(project, capsys):
    project(max_requests=10, max_tokens=100)
    said = call(capsys, "estimate")
    assert "it will probably stop at teacher.presets.mine.llm.max_requests, 10\n" in said
    assert "it will probably stop at teacher.presets.mine.llm.max_tokens, 100\n" in said


def test_it_shows_a_prompt(project, data, capsys):
    project(examples=1)
    said = call(capsys, "estimate", "--prompt")
    assert said.startswith("Classify the text. The labels are:\nA. joy\nB. sadness\nC. anger\n")
    assert said.endswith(f"Text: {data.validation['text'].iloc[0]}\nAnswer:\n")
    assert said.count("Text: ") == 2


def test_another_teacher_has_no_estimate(project):
    assert refused("estimate", "bert") == (
        "`potstill estimate`: name a preset of teacher.presets with an `llm` (found: mine)."
    )
