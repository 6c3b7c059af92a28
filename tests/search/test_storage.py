import sys

import optuna
import pytest

from potstill.core.errors import PotstillError
from potstill.search.storage import Journal, discard_if_damaged, from_name


def test_a_partial_line_is_removed(tmp_path):
    journal = Journal(tmp_path / "journal")
    optuna.create_study(storage=journal.open(), study_name="one")
    with journal.path.open("a") as file:
        file.write('{"op_code":0,"wor')  # the disk was full
    optuna.create_study(storage=journal.open(), study_name="two")
    assert set(optuna.get_all_study_names(journal.open())) == {"one", "two"}


@pytest.mark.parametrize("text", ["seed: 1\nepochs: 2\n", '{"accuracy": 0.9}\n', '{"half": ', "\x00\n\n"])
def test_another_file_is_refused_and_left_as_it_is(tmp_path, text):
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(PotstillError, match="damaged, or not the journal of a search\\. Name another file"):
        from_name(str(path)).open()
    assert path.read_text() == text


@pytest.mark.parametrize("line", ["null", "[]", "{}", '{"op_code": 99}', '{"op_code": null}'])
def test_a_damaged_journal_of_potstills_own_is_replaced(tmp_path, capsys, line):
    path = tmp_path / "journal"
    optuna.create_study(storage=from_name(str(path)).open(), study_name="one")
    discard_if_damaged(path)
    assert optuna.get_all_study_names(from_name(str(path)).open()) == ["one"]
    assert not capsys.readouterr().out
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(PotstillError, match="damaged, or not the journal of a search"):
        from_name(str(path)).open()
    discard_if_damaged(path)
    assert optuna.get_all_study_names(from_name(str(path)).open()) == []
    assert capsys.readouterr().out == f"note: {path}: damaged or of another version, so its work is repeated\n"


def test_a_missing_folder_is_not_created(tmp_path):
    with pytest.raises(PotstillError, match=r"/shared: no such folder\. Create it, or mount the disk"):
        from_name(str(tmp_path / "shared" / "journal")).open()


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PotstillError, match=r"pip install -e '\.\[postgresql\]'"):
        from_name("postgresql://me@127.0.0.1/search").open()
