import subprocess
import sys

import pytest

from potstill import files
from potstill.errors import PotstillError, run
from project import ROOT


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_leaves_the_old_and_nothing_else(tmp_path, kind):
    target = tmp_path / "out"

    def write(content, fail=False):
        with files.whole(target) as part:
            if kind == "folder":
                part.mkdir()
                (part / "x").write_text(content)
            else:
                part.write_text(content)
            if fail:
                raise RuntimeError

    write("one")
    with pytest.raises(RuntimeError):
        write("two", fail=True)
    read = (target / "x" if kind == "folder" else target).read_text()
    assert read == "one"
    assert list(tmp_path.iterdir()) == [target]
    write("three")
    assert (target / "x" if kind == "folder" else target).read_text() == "three"


def test_json_is_the_same_for_the_same_value(tmp_path):
    files.write_json(tmp_path / "a", {"b": 1, "a": "ü"})
    files.write_json(tmp_path / "b", {"a": "ü", "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert files.read_json(tmp_path / "a") == {"a": "ü", "b": 1}


def test_a_missing_or_broken_json_file_is_named(tmp_path):
    with pytest.raises(PotstillError, match="none is missing: run"):
        files.read_json(tmp_path / "none")
    (tmp_path / "broken").write_text("{")
    with pytest.raises(PotstillError, match="broken is not valid JSON"):
        files.read_json(tmp_path / "broken")


def test_a_folders_hash_sees_names_and_contents(tmp_path):
    hashes = set()
    for name, content in (("a", "1"), ("b", "1"), ("a", "2")):
        folder = tmp_path / f"{name}{content}"
        folder.mkdir()
        (folder / name).write_text(content)
        hashes.add(files.sha256(folder))
    assert len(hashes) == 3


def test_only_the_named_folders_stay(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / ".gitignore").touch()
    files.keep_only(tmp_path, ["a", "c"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "a"]


def test_a_mistake_is_one_line_and_a_defect_a_traceback(capsys, tmp_path):
    def mistake():
        raise PotstillError("this is wrong:\n do that")

    def full():
        (tmp_path / "none" / "file").write_text("")

    def defect():
        raise ValueError

    for main, says in ((mistake, "error: this is wrong: do that"), (full, "none/file: No such file")):
        with pytest.raises(SystemExit, match=says):
            run(main)
    with pytest.raises(ValueError):  # noqa: PT011
        run(defect)


@pytest.mark.parametrize("script", sorted((ROOT / "src").glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.slow
def test_a_stage_in_the_wrong_folder_says_so(script, tmp_path):
    needed = ["--budget", "1000"] if script.stem == "search" else []
    done = subprocess.run([sys.executable, script, *needed], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
