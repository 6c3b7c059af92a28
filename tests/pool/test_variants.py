import random

from potstill.pool import variants


def test_variants_change_about_as_much_as_they_should():
    rng = random.Random(0)
    words = [f"w{i}" for i in range(1000)]
    replaced = variants.replace(words, 0.3, ["new"], rng)
    assert len(replaced) == 1000
    assert 250 < replaced.count("new") < 350
    assert 650 < len(variants.drop(words, 0.3, rng)) < 750
    spliced = variants.splice(["a"] * 10, ["b"] * 10, rng)
    assert spliced == sorted(spliced)
