"""A teacher's tokenizer, cut to the tokens that texts use."""

import pytest

from potstill.core.errors import PotstillError
from potstill.scoring import pretrained
from potstill.student import tokens
from tests.students import ODD
from tests.tasks import make_checkpoint

KINDS = ("bert", "roberta", "xlm-roberta")


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, data, tmp_path_factory):
    folder = make_checkpoint(request.param, tmp_path_factory.mktemp("teacher"), data.train["text"].tolist())
    return pretrained.load_tokenizer(str(folder))


def originals(made, kept, texts):
    """The teacher's ids of the tokens of texts."""
    encoded = made.encode(texts)
    spans = zip(encoded.starts[:-1], encoded.starts[1:], strict=True)
    return [[kept[row] for row in encoded.ids[start:end]] for start, end in spans]


def test_a_text_of_tokens_that_stay_is_split_as_before(tokenizer, data):
    texts = data.train["text"].tolist()
    made, kept = tokens.cut(tokenizer, texts, 10_000, 32)
    assert originals(made, kept, texts) == tokenizer(texts, truncation=True, max_length=32)["input_ids"]


def test_the_length_fits_almost_all_texts(tokenizer):
    assert tokens.fit_length(tokenizer, ["happy"] * 10, 512) == 128
    found = tokens.fit_length(tokenizer, ["happy " * 150, "happy"], 1000)
    assert found == len(tokenizer("happy " * 150)["input_ids"])
    assert tokens.fit_length(tokenizer, ["happy " * 600, "happy"], 200) == 200


def test_other_words_are_split_into_tokens_that_stay(tokenizer, data):
    texts = ["happy sad i feel"] * 9 + data.train["text"].tolist()[:1]
    size = len(tokenizer.get_vocab()) // 2
    made, kept = tokens.cut(tokenizer, texts, size, 64)
    made.check(len(kept))
    assert len(kept) < len(tokenizer.get_vocab())
    assert len(set(kept)) == len(kept)
    found = originals(made, kept, ["gloomy furious"])[0]
    full = tokenizer(["gloomy furious"])["input_ids"][0]
    assert len(found) > len(full) or found == full
    joined = "".join(tokenizer.convert_ids_to_tokens(found[1:-1])).replace("##", "")
    whole = "".join(tokenizer.convert_ids_to_tokens(full[1:-1])).replace("##", "")
    assert joined == whole
    made.encode(ODD)


def test_frequent_tokens_stay(tokenizer):
    texts = ["happy"] * 5 + ["furious"] * 2 + ["again"]
    special = 300  # enough for the characters of a byte-pair encoding
    made, kept = tokens.cut(tokenizer, texts, special, 16)
    assert originals(made, kept, ["happy"]) == tokenizer(["happy"])["input_ids"]


def test_a_tokenizer_that_is_no_library_s_is_refused(tokenizer):
    class Slow:
        cls_token_id = sep_token_id = 0

    with pytest.raises(PotstillError, match="not one of the library tokenizers"):
        tokens.cut(Slow(), ["a"], 100, 16)
