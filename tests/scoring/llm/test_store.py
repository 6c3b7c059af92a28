import pytest

from potstill.core.errors import PotstillError
from potstill.scoring.llm.parse import Answer
from potstill.scoring.llm.store import Spent, Store


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "scratch/llm.sqlite")
    yield found
    found.close()


def test_an_answer_and_its_cost_are_there_for_the_next_process(store, tmp_path):
    answer = Answer("A\n", [[(" A", -0.1), ("B", -2.5)], []])
    assert store.get("one") is None
    store.put("one", answer, "mine", Spent(prompt_tokens=5, answer_tokens=2, prompt_bytes=20))
    other = Store(tmp_path / "scratch/llm.sqlite")
    assert other.get("one") == answer
    assert other.spent("mine") == Spent(0, 5, 2, 20)
    assert other.spent("mine").tokens == 7
    assert other.spent("another") == Spent()
    other.close()


def test_requests_are_counted_up_to_the_limit_by_preset(store):
    assert [store.count_request("mine", 2) for _ in range(4)] == [True, True, False, False]
    assert store.count_request("another", None)
    assert (store.spent("mine").requests, store.spent("another").requests) == (2, 1)


@pytest.mark.parametrize("content", [b"not a database at all", b"\x00" * 4096])
def test_a_damaged_file_is_named_and_stays(tmp_path, content):
    path = tmp_path / "llm.sqlite"
    path.write_bytes(content)
    with pytest.raises(PotstillError, match=r"llm\.sqlite: the kept answers cannot be read.*move it away"):
        Store(path).get("one")
    assert path.read_bytes() == content
