"""Results are recognized by what they were made of."""

from functools import partial

import pytest

from potstill.estimator.cache import Cache, code_key

SCALE = 1.0


def double(texts):
    return [len(text) * 2 * SCALE for text in texts]


class Client:
    def __init__(self, model):
        self.model = model
        self.calls = []

    def __call__(self, texts):
        self.calls.append(texts)
        return double(texts)


def test_a_function_is_known_by_its_code_and_constants(monkeypatch):
    client = Client("a")
    before = code_key(client)
    client(["x"])
    assert code_key(client) == before == code_key(Client("a"))
    assert code_key(Client("b")) != before
    assert code_key(double) == code_key(double) != code_key(lambda texts: texts)
    assert code_key(partial(double, 1)) == code_key(partial(double, 1)) != code_key(partial(double, 2))
    assert code_key(len) != code_key(len)
    scaled = code_key(double)
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert code_key(double) != scaled


def test_a_result_is_made_once_and_never_half(tmp_path):
    cache, made = Cache(tmp_path / "cache"), []

    def write(folder):
        made.append(folder)
        folder.mkdir()
        (folder / "a").write_text("x")
        if len(made) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get("step", write, "key")
    assert not cache.place("step", "key").exists()
    folder = cache.get("step", write, "key")
    assert cache.get("step", write, "key") == folder == cache.place("step", "key")
    assert cache.get("step", write, "other") != folder
    assert len(made) == 3
    assert (folder / "a").read_text() == "x"


def test_a_temporary_folder_goes_with_the_cache():
    cache = Cache(None)
    folder = cache.folder
    assert folder.is_dir()
    del cache
    assert not folder.exists()
