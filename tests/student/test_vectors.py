"""Word vectors of teachers of all kinds."""

import numpy as np
import pytest
import torch

from potstill.scoring import pretrained
from potstill.student.vectors import TeacherVectors, reduce
from tests.tasks import CHECKPOINTS, FEELINGS, make_checkpoint

ENTRIES = ["feel", "happy", "##s", "gloomy", "unheardof", "a", "!", "so", "xyzzy" * 30]


def vectors_of(kind, folder, data):
    network, tokenizer = pretrained.load(str(make_checkpoint(kind, folder, data.train["text"].tolist())), data.labels)
    return network, tokenizer, TeacherVectors(network, tokenizer)


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_every_kind_of_teacher_has_vectors(kind, data, tmp_path):
    network, _, vectors = vectors_of(kind, tmp_path, data)
    found = vectors.embed(ENTRIES)
    width = network.get_input_embeddings().embedding_dim
    assert found.shape == (len(ENTRIES), 2 * width)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    for half in (found[:, :width], found[:, width:]):
        np.testing.assert_allclose(half.mean(0), 0, atol=1e-5)
        assert np.square(half).mean() == pytest.approx(1, abs=1e-4)
    backwards = vectors.embed(ENTRIES[::-1])[::-1]
    np.testing.assert_allclose(found, backwards, atol=1e-4)


def test_vectors_are_of_the_input_embeddings_and_of_the_last_layer(data, tmp_path):
    network, tokenizer, vectors = vectors_of("bert", tmp_path, data)
    words = [word for words in FEELINGS.values() for word in words]
    found = vectors.embed(words)
    expected = [[], []]
    with torch.inference_mode():
        for word in words:
            encoded = tokenizer(word, return_tensors="pt")
            inputs = network.get_input_embeddings()(encoded["input_ids"])
            states = network.base_model(**encoded).last_hidden_state
            for half, tokens in zip(expected, (inputs, states), strict=True):
                half.append(tokens[0, 1:-1].mean(0).numpy())  # without [CLS] and [SEP]
    for half, part in zip(expected, np.split(found, 2, axis=1), strict=True):
        centred = np.array(half) - np.mean(half, axis=0)
        np.testing.assert_allclose(part, centred / np.sqrt(np.square(centred).mean()), atol=1e-4)


def test_a_piece_has_the_vector_of_its_token(data, tmp_path):
    network, _, vectors = vectors_of("roberta", tmp_path, data)
    known = [piece for piece in vectors.pieces if piece.removeprefix("##").isalpha()]
    assert len({piece.startswith("##") for piece in known}) == 2
    found = vectors.embed(known)[:, :32]
    rows = network.get_input_embeddings().weight.detach().numpy()[[vectors.pieces[piece] for piece in known]]
    centred = rows - rows.mean(0)
    np.testing.assert_allclose(found, centred / np.sqrt(np.square(centred).mean()), atol=1e-4)


def test_reduced_vectors_keep_what_differs_most():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 6)).astype(np.float32) * [9, 5, 0.1, 0.1, 0.1, 0.1] + 3
    table = reduce(vectors, np.zeros(200), 2)
    assert table.shape == (201, 2)
    assert table.dtype == np.float32
    assert not table[0].any()
    assert np.square(table[1:]).mean() == pytest.approx(1, abs=1e-4)
    for i in range(2):
        assert abs(np.corrcoef(table[1:, i], vectors[:, i])[0, 1]) > 0.99


def test_frequent_words_count_more_in_the_reduction():
    rng = np.random.default_rng(0)
    vectors = np.zeros((200, 2), np.float32)
    vectors[:100, 0], vectors[100:, 1] = rng.normal(size=100), rng.normal(size=100)
    for frequent, axis in ((slice(100), 0), (slice(100, None), 1)):
        occurrences = np.zeros(200)
        occurrences[frequent] = 1000
        reduced = reduce(vectors, occurrences, 1)[1:, 0]
        assert abs(np.corrcoef(reduced, vectors[:, axis])[0, 1]) > 0.95


def test_a_width_beyond_that_of_the_vectors_is_filled_with_zeros():
    table = reduce(np.eye(3, dtype=np.float32), np.ones(3), 5)
    assert table.shape == (4, 5)
    assert not table[:, 3:].any()
    assert np.isfinite(table).all()


def test_a_single_entry_has_zeros(data, tmp_path):
    vectors = vectors_of("bert", tmp_path, data)[2].embed(["feel"])
    assert not vectors.any()
    assert not reduce(vectors, np.ones(1), 4).any()
