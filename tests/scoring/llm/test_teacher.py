"""An LLM is asked as it should be, and answers become probabilities. The server is real, its model is not."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.core.labels import probabilities
from potstill.scoring import model
from potstill.scoring.llm import client
from potstill.scoring.llm.params import PROMPT
from potstill.scoring.llm.store import Store
from potstill.scoring.llm.teacher import store_path
from tests.llm import NOW

TEXTS = ["i feel glad today", "so gloomy at home", "furious again", "merry and so on"]
ANSWERS = [0, 1, 2, 0]


def score(teacher, texts=TEXTS):
    return probabilities(teacher.score(texts)[0], multi_label=False)


def spent():
    store = Store(store_path())
    found = store.spent("mine")
    store.close()
    return found


def test_log_probabilities_become_probabilities_in_the_order_of_the_labels(make, server):
    found = score(make())
    assert found.argmax(1).tolist() == ANSWERS
    sure, other = 0.9, 0.1 / 3
    np.testing.assert_allclose(found.max(1), sure / (sure + 2 * other), rtol=1e-3)
    assert len(server.bodies) == 2 * len(TEXTS)
    assert {(body["model"], body["temperature"], body["top_logprobs"]) for body in server.bodies} == {("fake", 0.0, 20)}


def test_a_bias_to_the_first_option_is_cancelled_by_the_reverse_order(make, server):
    server.knows = lambda text, names: [0.5 if name == "sadness" else 0.25 for name in names]
    fair = score(make(), ["what"])
    server.bias = 3.0
    biased = score(make(orders=1), ["why"])
    cancelled = score(make(orders=6), ["how"])
    assert biased.argmax() == 0
    assert cancelled.argmax() == 1
    np.testing.assert_allclose(fair, [[0.25, 0.5, 0.25]], atol=1e-3)
    # Each label is first in as many of six orders.
    np.testing.assert_allclose(cancelled, fair, atol=0.02)


def test_nothing_is_asked_twice(make, server):
    first = score(make(), [*TEXTS, TEXTS[0]])
    asked = len(server.bodies)
    assert server.texts == dict.fromkeys(TEXTS, 2)  # in two orders
    again = score(make(concurrency=3, max_retries=1, timeout=1), [TEXTS[2], TEXTS[0]])
    np.testing.assert_array_equal(again, first[[2, 4]])
    assert len(server.bodies) == asked


@pytest.mark.parametrize("changes", [{"model": "other"}, {"answer_tokens": 9}, {"extra_body": {"seed": 1}}, {}])
def test_what_changes_answers_asks_again(make, server, data, tmp_path, changes):
    score(make())
    asked = len(server.bodies)
    (tmp_path / "mine.txt").write_text(PROMPT.read_text().replace("Classify", "Please classify"))
    score(make(**changes or {"prompt": "mine.txt"}))
    assert len(server.bodies) == 2 * asked
    described = replace(data, descriptions={"joy": "happiness"})
    score(make(described, **changes))
    assert len(server.bodies) == 3 * asked


def test_a_server_without_log_probabilities_is_refused_with_what_to_do(make, server):
    server.logprobs = False
    with pytest.raises(
        PotstillError, match=r"fake gives no log-probabilities\. Set teacher\.presets\.mine\.llm\.sampl"
    ):
        make(concurrency=1).score(TEXTS)
    assert len(server.bodies) <= 2


def test_without_log_probabilities_one_answer_is_certain(make, server):
    server.logprobs = False
    found = score(make(samples=1))
    assert found.argmax(1).tolist() == ANSWERS
    assert found.max(1).min() > 0.999
    assert len(server.bodies) == len(TEXTS)
    assert all("logprobs" not in body and body["temperature"] == 0 for body in server.bodies)


def test_of_several_answers_the_shares_are_the_probabilities(make, server):
    said = iter("ABBBA" * 2)
    server.say = lambda code, name: next(said)
    (found,) = score(make(samples=5, orders=1, concurrency=1), ["what"])
    np.testing.assert_allclose(found, [0.4, 0.6, 0], atol=1e-4)
    assert {body["temperature"] for body in server.bodies} == {1.0}
    server.say = lambda code, name: name
    found = score(make(samples=4), TEXTS)  # which take turns in two orders
    assert found.argmax(1).tolist() == ANSWERS
    listed = Counter("A. joy" in body["messages"][0]["content"] for body in server.bodies[5:])
    assert listed == {True: 8, False: 8}


def test_answers_that_fit_no_label_are_left_out_and_said(make, server, capsys):
    server.say = lambda code, name: "No idea" if name == "anger" else f"It is {name}"
    found, _ = make(samples=1).score(TEXTS)
    assert np.isnan(found).all(1).tolist() == [False, False, True, False]
    assert "4 texts, 4 requests" in (said := capsys.readouterr().out)
    assert "1 texts without an answer that fits a label" in said


def test_it_stops_if_the_first_answers_all_fit_no_label(make, server):
    server.say = lambda code, name: "No idea"
    with pytest.raises(PotstillError, match=r"none of the first 20 answers fits a label.*potstill estimate mine"):
        make(samples=1, concurrency=4).score([f"text {i}" for i in range(200)])
    assert len(server.bodies) < 30


@pytest.mark.parametrize(("labels", "requests"), [(20, 1), (21, 3), (150, 9), (450, 26)])
def test_more_labels_than_log_probabilities_are_asked_about_in_rounds(make, server, data, labels, requests):
    names = [f"label {i}" for i in range(labels)]
    weights = {name: 1 / (1 + i % 37) ** 2 for i, name in enumerate(names)}
    server.knows = lambda text, shown: [weights[name] for name in shown]
    task = replace(data, labels=names)
    (found,) = score(make(task, orders=1), ["what"])
    assert len(server.bodies) == requests
    expected = np.array([weights[name] for name in names]) / sum(weights.values())
    # As the model is consistent, rounds change no more than rounding and the least probability do.
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_fewer_log_probabilities_make_smaller_groups(make, server, data):
    task = replace(data, labels=[f"label {i}" for i in range(12)])
    score(make(task, orders=1, extra_body={"top_logprobs": 5}), ["what"])
    assert {body["top_logprobs"] for body in server.bodies} == {5}
    assert len(server.bodies) == 4


def test_examples_come_from_train_and_no_text_is_its_own(make, server, data):
    teacher = make(examples=3, orders=1)
    train, held_out = data.train["text"].tolist(), {*data.validation["text"], *data.test["text"]}
    asked = [train[0].upper(), data.validation["text"].iloc[0]]
    teacher.score(asked)
    prompts = [body["messages"][0]["content"] for body in server.bodies]
    for prompt in prompts:
        shown = [line.removeprefix("Text: ") for line in prompt.splitlines() if line.startswith("Text: ")]
        assert len(shown) == 4
        assert set(shown[:-1]) <= set(train) - held_out
    assert not any(train[0] in prompt for prompt in prompts)


def test_it_is_the_same_after_it_was_saved_and_no_key_is_in_its_files(make, server, tmp_path, monkeypatch, data):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    server.key = "sk-very-secret"
    teacher = make(replace(data, descriptions={"joy": "good"}), examples=2, api_key_env="MY_KEY", input_price=0.1)
    folder = tmp_path / "mine"
    folder.mkdir()
    teacher.save(folder)
    before = score(teacher)
    loaded = model.load(folder)
    assert (loaded.labels, loaded.parameters) == (data.labels, None)
    np.testing.assert_array_equal(score(loaded), before)
    assert len(server.bodies) == 2 * len(TEXTS)  # the second time from the store
    assert set(server.authorization) == {"Bearer sk-very-secret"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert store_path().name in {path.name for path in written}
    assert not any(b"very-secret" in path.read_bytes() for path in written)
    # Texts are not in the database either.
    assert not any(
        TEXTS[0].encode() in path.read_bytes() for path in written if path.name.startswith(store_path().name)
    )


@pytest.mark.parametrize("name", ["llm.json", "prompt.txt", "examples.parquet"])
def test_a_damaged_teacher_is_named(make, tmp_path, name):
    folder = tmp_path / "mine"
    folder.mkdir()
    make().save(folder)
    (folder / name).write_bytes(b"\xff{")
    with pytest.raises(PotstillError, match=name.replace(".", r"\.")):
        model.load(folder).score(TEXTS)


def test_requests_overlap_up_to_the_limit(make, server):
    server.wait = 0.02
    make(concurrency=5).score([f"glad {i}" for i in range(20)])
    assert 2 <= server.busiest <= 5


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_storm_of_refusals_is_waited_out(make, server, status):
    server.fault = lambda number: (status, {"error": {"message": "slow down"}}, NOW) if number % 3 else None
    found = score(make(max_retries=20))
    assert found.argmax(1).tolist() == ANSWERS
    assert server.texts == dict.fromkeys(TEXTS, 2)
    assert spent().requests == len(server.bodies) > 2 * len(TEXTS)


def test_a_storm_without_end_is_one_line(make, server):
    server.fault = lambda number: (429, {"error": {"message": "slow down"}}, NOW)
    with pytest.raises(PotstillError, match=r"429: slow down.*asked 3 times.*are kept"):
        make(max_retries=2).score(TEXTS)


def test_answers_before_an_error_are_kept(make, server):
    server.fault = lambda number: (404, {"error": {"message": "no such model"}}, {}) if number == 5 else None
    with pytest.raises(PotstillError, match=r"refuses the request \(404: no such model\)"):
        make(concurrency=2).score(TEXTS)
    server.fault = lambda number: None
    assert score(make()).argmax(1).tolist() == ANSWERS
    assert server.texts == dict.fromkeys(TEXTS, 2)


def test_a_text_that_the_server_refuses_is_left_out_and_said(make, server, capsys):
    server.fault = lambda number: (400, {"error": {"message": "too long"}}, {}) if number in (0, 1) else None
    found, _ = make(concurrency=1).score(TEXTS)
    assert np.isnan(found).all(1).tolist() == [True, False, False, False]
    assert "2 requests were refused, such as:" in (said := capsys.readouterr().out)
    assert "(400: too long)" in said
    server.fault = lambda number: None
    assert score(make()).argmax(1).tolist() == ANSWERS


@pytest.mark.parametrize("texts", [3, 100])
def test_a_server_that_refuses_all_texts_is_an_error(make, server, texts):
    server.fault = lambda number: (400, {"error": {"message": "unknown key"}}, {})
    with pytest.raises(PotstillError, match=r"\(400: unknown key\)\. Correct teacher\.presets\.mine\.llm"):
        make().score([f"glad {i}" for i in range(texts)])
    assert len(server.bodies) < 70


def test_an_experiment_in_a_copy_shares_the_answers(make, server, tmp_path, monkeypatch):
    first = score(make())
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    np.testing.assert_array_equal(score(make()), first)
    assert len(server.bodies) == 2 * len(TEXTS)
    assert not list(copy.iterdir())


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"choices": [{"mess', {}),
        (b"<html>busy</html>", {"content-type": "text/html"}),
        (b"null", {}),
        (b'{"choices": []}', {}),
        (b'{"choices": [{"message": {"content": 7}}]}', {}),
        (b'{"choices": [{"message": {"content": "A"}, "logprobs": {"content": [{"top_logprobs": [{}]}]}}]}', {}),
    ],
)
def test_malformed_answers_are_asked_for_again_and_then_left_out(make, server, content, headers):
    server.fault = lambda number: (200, content, headers) if number == 1 else None
    assert score(make(concurrency=1)).argmax(1).tolist() == ANSWERS
    server.fault = lambda number: (200, content, headers)
    found, _ = make(concurrency=1).score([*TEXTS, "new"])
    assert np.isnan(found).all(1).tolist() == [False] * 4 + [True]
    server.fault = lambda number: None
    assert np.isfinite(make().score(["new"])[0]).all()  # what was malformed is not kept


def test_a_wrong_key_is_one_line_without_the_key(make, server, monkeypatch, capsys):
    server.key = "sk-right"
    monkeypatch.setenv("MY_KEY", "sk-wrong-one")
    with pytest.raises(
        PotstillError, match=r"\(401: Incorrect API key provided: …\.\)\. Set MY_KEY in the env"
    ) as caught:
        make(api_key_env="MY_KEY").score(TEXTS)
    assert "sk-wrong" not in str(caught.value) + "".join(capsys.readouterr())
    with pytest.raises(PotstillError, match=r"Set teacher\.presets\.mine\.llm\.api_key_env to the name"):
        make().score(TEXTS)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-place")
    with pytest.raises(PotstillError, match="401"):
        make().score(TEXTS)
    assert not any("another-place" in sent for sent in server.authorization)
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(PotstillError, match="api_key_env: the environment has no MY_KEY"):
        make(api_key_env="MY_KEY").score(TEXTS)


def test_a_redirection_is_not_followed(make, server):
    server.fault = lambda number: (307, b"", {"location": "http://127.0.0.1:9/v1/chat/completions"})
    with pytest.raises(PotstillError, match=r"refuses the request \(status 307\)"):
        make().score(TEXTS)


def test_a_server_that_is_not_there_is_one_line(make):
    with pytest.raises(PotstillError, match=r"^http://127\.0\.0\.1:9/v1: it cannot be reached \(.*Check the address"):
        make(endpoint="http://127.0.0.1:9/v1", max_retries=0).score(TEXTS)


def test_a_server_that_dies_half_way_is_asked_the_rest_later(make, server):
    server.fault = lambda number: (0, b"", {}) if number >= 3 else None
    with pytest.raises(PotstillError, match=r"cannot be reached \(.*Answers so far are kept"):
        make(max_retries=0, concurrency=1).score(TEXTS)
    assert server.texts.total() == 3
    server.fault = lambda number: (0, b"", {}) if number % 2 else None  # broken connections are tried again
    with_retries = make(max_retries=1, concurrency=1)
    assert score(with_retries).argmax(1).tolist() == ANSWERS
    assert server.texts == dict.fromkeys(TEXTS, 2)


def test_a_slow_server_is_given_up(make, server):
    server.wait = 0.5
    with pytest.raises(PotstillError, match=r"cannot be reached \(no answer in time\)"):
        make(timeout=0.05, max_retries=0).score(TEXTS[:1])


@pytest.mark.parametrize("fault", [None, 429])
def test_no_more_requests_are_sent_than_allowed(make, server, fault):
    server.fault = lambda number: (429, {}, NOW) if fault and number % 2 else None
    with pytest.raises(PotstillError, match=r"teacher\.presets\.mine\.llm\.max_requests: .*exceed 5\. Raise it"):
        make(max_requests=5).score(TEXTS)
    assert len(server.bodies) == 5
    with pytest.raises(PotstillError, match="max_requests"):
        make(max_requests=5).score(TEXTS)
    assert len(server.bodies) == 5
    server.fault = lambda number: None
    assert score(make(max_requests=100)).argmax(1).tolist() == ANSWERS
    assert server.texts == dict.fromkeys(TEXTS, 2)


def test_no_more_tokens_are_spent_than_allowed(make, server, monkeypatch):
    monkeypatch.setattr(client, "TEMPLATE_TOKENS", 0)
    teacher = make(concurrency=1)
    teacher.score(TEXTS[:1])
    used = spent().tokens
    size = len(server.bodies[0]["messages"][0]["content"].encode()) + 30
    limit = used + size + 8  # enough for one more, as no token is shorter than a byte
    with pytest.raises(PotstillError, match=r"llm\.max_tokens: .* tokens are spent, .*exceed"):
        make(max_tokens=limit, concurrency=4).score(TEXTS)
    assert used < spent().tokens <= limit


def test_where_texts_go_is_said_once_before_any_goes(make, server, capsys):
    server.fault = lambda number: (400, {}, {})
    for _ in range(2):
        with pytest.raises(PotstillError):
            make().score(TEXTS)
    assert capsys.readouterr().out == (f"texts are sent to {server.endpoint} (this machine), to be labelled by fake\n")


def test_other_keys_are_sent_as_they_are(make, server):
    make(extra_body={"max_completion_tokens": 50, "temperature": 1, "chat_template_kwargs": {"x": False}}).score(["a"])
    (body, _) = server.bodies
    assert "max_tokens" not in body
    assert (body["max_completion_tokens"], body["temperature"], body["chat_template_kwargs"]) == (50, 1, {"x": False})


def test_probabilities_of_zero_are_small_ones(make, server):
    server.knows = lambda text, names: [1 - 1e-12 if name == "joy" else 1e-12 for name in names]
    logits, _ = make().score(["a"])
    np.testing.assert_allclose(logits[0], [0, math.log(1e-6), math.log(1e-6)], atol=1e-3)
