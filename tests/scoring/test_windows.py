"""Long texts are read in windows."""

from itertools import pairwise

import numpy as np
import pytest
from transformers import ByT5Tokenizer

from potstill.scoring import inference, pretrained, windows

LONG = " ".join(f"happy {word}" for word in "abcdefghijklmnop")


@pytest.fixture(scope="module")
def teacher(bert):
    return pretrained.load(str(bert), ["a", "b"])


def bytes_tokenizer(_):
    tokenizer = ByT5Tokenizer()
    tokenizer.model_max_length = 1000
    return tokenizer


@pytest.mark.parametrize("make", [lambda teacher: teacher[1], bytes_tokenizer])
def test_windows_overlap_and_miss_no_token(make, teacher):
    tokenizer = make(teacher)
    whole = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    rows, counts, truncated = windows.encode(tokenizer, ["a", LONG, ""], 12, 99)
    assert counts[[0, 2]].tolist() == [1, 1]
    assert (counts.sum(), truncated) == (len(rows), 0)
    assert rows[0] == dict(tokenizer("a"))
    room = 12 - tokenizer.num_special_tokens_to_add()
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    parts = [[id_ for id_ in row["input_ids"] if id_ not in special] for row in rows[1:-1]]
    assert all(len(part) == room for part in parts[:-1])
    assert all(before[-(room // 4) :] == after[: room // 4] for before, after in pairwise(parts))
    assert [*parts[0], *(id_ for part in parts[1:] for id_ in part[room // 4 :])] == whole
    assert rows[1] == dict(tokenizer(LONG, truncation=True, max_length=12))


def test_texts_of_more_windows_are_truncated_and_counted(teacher):
    _, tokenizer = teacher
    texts = ["happy", LONG, "happy sad " * 1_000_000]
    rows, counts, truncated = windows.encode(tokenizer, texts, 12, 3)
    assert counts.tolist() == [1, 3, 3]
    assert (len(rows), truncated) == (7, 2)
    assert windows.encode(tokenizer, texts[:2], 12, 1).counts.tolist() == [1, 1]
    # Two tokens per window leave room for none of the text.
    assert windows.encode(tokenizer, texts[:2], 2, 3).counts.tolist() == [1, 1]


@pytest.mark.parametrize("batch_size", [1, 16])
def test_logits_are_the_mean_of_those_of_the_windows(teacher, batch_size):
    network, tokenizer = teacher
    texts = ["happy", LONG, "sad " * 30]

    def scored(texts, most):
        return inference.score(network, tokenizer, texts, 12, batch_size, "fp32", max_windows=most)

    found = scored(texts, 8)
    rows, counts, _ = windows.encode(tokenizer, texts, 12, 8)
    parts = tokenizer.batch_decode([row["input_ids"] for row in rows], skip_special_tokens=True)
    expected = np.split(scored(parts, 1).logits, counts.cumsum()[:-1])
    np.testing.assert_allclose(found.logits, [part.mean(0) for part in expected], atol=1e-5)
    assert found.logits.dtype == np.float32
    assert scored([], 8).logits.shape == (0, 2)
    np.testing.assert_array_equal(scored(texts[:1], 8).logits, scored(texts[:1], 1).logits)


def test_windows_are_chosen_where_many_texts_are_long(teacher):
    _, tokenizer = teacher
    assert windows.choose(tokenizer, ["happy"] * 95 + [LONG] * 5, 12) == 1
    assert windows.choose(tokenizer, ["happy"] * 94 + [LONG] * 6, 12) == windows.MAX_WINDOWS
