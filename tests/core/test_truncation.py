from potstill.core import truncation


def test_many_truncated_texts_are_reported(capsys):
    truncation.note("teacher.max_length", {"train": 0.01, "test": 0.0})
    assert not capsys.readouterr().out
    truncation.note("teacher.max_length", {"train": 0.123, "test": 0.002, "validation": 0.05})
    said = capsys.readouterr().out
    assert "`teacher.max_length`" in said
    assert "12.3% of the train texts, 5.0% of the validation texts." in said


def test_windows_are_reported(capsys):
    truncation.note_windows(16, 0.123)
    assert "12.3% of the train texts" in (said := capsys.readouterr().out)
    assert "up to 16 windows. Set `teacher.max_windows`" in said
