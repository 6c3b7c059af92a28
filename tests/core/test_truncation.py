from potstill.core import truncation


def test_many_truncated_texts_are_reported(capsys):
    truncation.note("teacher.max_length", {"train": 0.01, "test": 0.0})
    assert not capsys.readouterr().out
    truncation.note("teacher.max_length", {"train": 0.123, "test": 0.002, "validation": 0.05})
    said = capsys.readouterr().out
    assert "`teacher.max_length`" in said
    assert "12.3% of the train texts, 5.0% of the validation texts." in said
