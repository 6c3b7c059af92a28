import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.data.clean import comparison_key
from potstill.data.dataset import Dataset
from potstill.pool.build import scale
from tests.languages import make
from tests.pools import pooled

NOTHING = {"replace": 0, "borrow": 0, "drop": 0, "splice": 0, "generated": 0}


def counts(data, **changes):
    return pooled(data, **changes)["source"].value_counts().to_dict()


def test_sources_are_sized_in_rows_per_real_text(data):
    real = 340
    rows = counts(data)
    assert rows["train"] + rows["unlabelled"] == real
    assert rows["replace"] == rows["drop"] == rows["splice"] == real / 2
    assert 0.8 * real < rows["generated"] <= real  # so small a corpus repeats itself


@pytest.mark.parametrize(
    ("texts", "share", "min_texts", "factor"),
    [(100, 2.0, 1000, 4.5), (100, 2.0, 300, 1.0), (100, 2.0, 200, 1.0), (1000, 0.5, 0, 1.0), (100, 0.0, 1000, 1.0)],
)
def test_the_factor_reaches_the_number_of_texts_and_is_at_least_one(texts, share, min_texts, factor):
    assert scale(texts, share, min_texts) == factor
    assert factor == 1 or texts + factor * share * texts == min_texts


def test_few_texts_have_more_variants(data):
    few, more = counts(data, generated=0), counts(data, generated=0, min_texts=1200)
    assert (more["train"], more["unlabelled"]) == (few["train"], few["unlabelled"])
    assert more["replace"] == more["drop"] == more["splice"] == round((1200 - 340) / 3) > few["replace"]
    assert counts(data, generated=0, min_texts=340) == few
    assert counts(data, **NOTHING, min_texts=1200) == {"train": 240, "unlabelled": 100}


def test_borrowed_texts_count_only_if_there_are_words_to_borrow(data):
    found = pooled(data, ["jubilant", "wistful"], generated=0, min_texts=1200)["source"].value_counts()
    assert abs(found["replace"] - (1200 - 340) / 4) <= 1
    assert 0.9 * found["replace"] < found["borrow"] <= found["replace"]


def test_every_source_can_be_switched_off(data):
    assert counts(data, **NOTHING) == {"train": 240, "unlabelled": 100}
    assert counts(data, **NOTHING, unlabelled=30) == {"train": 240, "unlabelled": 30}
    assert counts(data, **NOTHING, train=False) == {"unlabelled": 100}
    for source in ("replace", "drop", "splice", "generated"):
        assert source not in counts(data, **{source: 0})
    with pytest.raises(PotstillError, match=r"pool\.train"):
        counts(data, train=False, unlabelled=0)


def test_held_out_texts_are_unlabelled_ones_that_nothing_else_in_the_pool_repeats(data):
    pool = pooled(data, held_out=0.25, seed=5)
    held_out = pool[pool["source"] == "held_out"]
    assert len(held_out) == 25 == (pool["source"][-25:] == "held_out").sum()
    assert set(held_out["text"]) <= set(data.unlabelled["text"])
    assert pool["text"].map(comparison_key).is_unique
    assert set(pool["text"][pool["source"] == "unlabelled"]) == set(data.unlabelled["text"]) - set(held_out["text"])
    # No variant is made of one: its number, which no other text has, is nowhere else.
    own = {text.split()[-1] for text in held_out["text"]}
    own -= {word for text in pool["text"][pool["source"].isin(["train", "unlabelled"])] for word in text.split()}
    assert len(own) > 15
    assert not own & set(" ".join(pool["text"][pool["source"] != "held_out"]).split())
    assert set(held_out["text"]) != set(pooled(data, held_out=0.25, seed=6)["text"][-25:])


def test_at_most_so_many_texts_are_held_out(data, monkeypatch):
    assert counts(data, **NOTHING, held_out=0.99) == {"train": 240, "unlabelled": 1, "held_out": 99}
    assert counts(data, **NOTHING, held_out=0.5, unlabelled=30) == {"train": 240, "unlabelled": 15, "held_out": 15}
    assert counts(data, **NOTHING, held_out=0.5, unlabelled=0) == {"train": 240}
    assert counts(data, **NOTHING, held_out=0.5, train=False) == {"unlabelled": 50, "held_out": 50}
    monkeypatch.setattr("potstill.pool.build.MOST_HELD_OUT", 7)
    assert counts(data, **NOTHING, held_out=0.5) == {"train": 240, "unlabelled": 93, "held_out": 7}


def test_nothing_occurs_twice_or_in_validation_or_test(data):
    leaky = Dataset(
        data.labels,
        data.train,
        data.validation,
        data.test,
        pd.DataFrame({"text": [data.test["text"][0].upper(), f"  {data.train['text'][0]}", "new"]}),
    )
    texts = pooled(leaky)["text"].map(comparison_key)
    assert texts.is_unique
    assert not set(texts) & {comparison_key(text) for split in (data.validation, data.test) for text in split["text"]}


def test_the_same_seed_gives_the_same_pool(data):
    pools = [pooled(data, seed=seed) for seed in (1, 1, 2)]
    assert pools[0].equals(pools[1])
    assert not pools[0].equals(pools[2])


@pytest.mark.slow
def test_many_texts_make_the_pool_that_few_make(data, monkeypatch):
    whole = pooled(data)
    assert not whole["text"].map(comparison_key).duplicated().any()
    monkeypatch.setattr("potstill.pool.build.SHARD", 7)
    assert pooled(data).equals(whole)
    monkeypatch.setattr("potstill.pool.build.SAMPLE", 20)  # of the texts, to make others of
    sampled = pooled(data)
    real = whole["source"].isin(["train", "unlabelled"])
    assert sampled[: real.sum()].equals(whole[real])
    fewer = {text for text in whole["text"] if text not in set(sampled["text"])}
    assert fewer
    assert 100 < (sampled["source"] == "replace").sum() <= 170


def test_replacement_draws_rare_words_as_often_as_frequent_ones(data):
    rows = [f"the the the the the the the the word{i % 20}" for i in range(40)]
    texts = Dataset(
        data.labels,
        pd.DataFrame({"text": [f"{row} {i}" for i, row in enumerate(rows)], "label": 0}),
        data.validation,
        data.test,
        pd.DataFrame({"text": []}),
    )
    pool = pooled(texts, **NOTHING | {"replace": 10, "replace_rate": 0.9})
    drawn = " ".join(pool.loc[pool["source"] == "replace", "text"]).split()
    assert drawn.count("the") < 0.3 * len(drawn)


def test_borrowed_words_are_those_that_the_texts_lack(data):
    only = NOTHING | {"borrow": 1.0}
    pool = pooled(data, ["happy", "jubilant", "wistful"], **only)
    borrowed = pool.loc[pool["source"] == "borrow", "text"]
    assert 0.9 * 340 < len(borrowed) <= 340
    assert {"jubilant", "wistful"} <= set(" ".join(borrowed).split())
    own = set(" ".join([*data.train["text"], *data.unlabelled["text"]]).split())
    assert set(" ".join(borrowed).split()) <= own | {"jubilant", "wistful"}
    for nothing_new in ([], ["happy"]):
        assert "borrow" not in set(pooled(data, nothing_new, **only)["source"])


def test_the_pool_varies_words_in_scripts_without_spaces():
    texts = make("chinese", 50, 0)
    data = Dataset(["good", "bad"], texts[:46], texts[46:48], texts[48:], texts[:0][["text"]])
    pool = pooled(data, replace=1.0, replace_rate=0.5, borrow=0, drop=1.0, drop_rate=0.5, splice=1.0)
    known = set("".join(data.train["text"]))
    assert set(pool["source"]) == {"train", "replace", "drop", "splice", "generated"}
    assert {character for text in pool["text"] for character in text} == known  # and no space
