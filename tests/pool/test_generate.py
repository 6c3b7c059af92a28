import random

from potstill.pool.generate import NgramModel


def test_an_ngram_model_says_only_what_it_has_seen():
    texts = [["a", "b", "c"], ["b", "c", "d", "e"], ["c", "d"]]
    model = NgramModel(texts, order=2)
    rng = random.Random(0)
    samples = {tuple(model.sample(rng)) for _ in range(300)}
    assert ("a", "b", "c", "d", "e") in samples  # across texts
    seen = {pair for text in texts for pair in zip(["", *text], [*text, ""], strict=True)}
    assert all(pair in seen for s in samples for pair in zip(["", *s], [*s, ""], strict=True))
    assert len(model.sample(rng, max_words=1)) == 1
