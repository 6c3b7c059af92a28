"""The profile of the validation texts."""

from potstill.export import profile


def test_the_profile_is_that_of_the_validation_texts(exported, data):
    found = profile.collect(exported, data)
    assert found.texts == len(data.validation)
    right = exported.predict(data.validation["text"]) == [data.labels[i] for i in data.validation["label"]]
    assert found.correct == right.sum()
    assert found.counts["class"].tolist() == [
        (exported.predict(data.validation["text"]) == label).sum() for label in data.labels
    ]
