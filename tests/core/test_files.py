from potstill.core.start import run

import errno
import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from potstill import cli
from potstill.core import files
from potstill.core.errors import PotstillError
from potstill.runtime.model import Student
from tests.students import student


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_leaves_the_old_and_nothing_else(tmp_path, kind):
    target = tmp_path / "out"

    def write(content, fail=False):
        with files.atomic_write(target) as part:
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
    with pytest.raises(PotstillError, match="none: no such file"):
        files.read_json(tmp_path / "none")
    (tmp_path / "broken").write_text("{")
    with pytest.raises(PotstillError, match="broken: it cannot be read"):
        files.read_json(tmp_path / "broken")


def test_a_folders_hash_sees_names_and_contents(tmp_path):
    hashes = set()
    for name, content in (("a", "1"), ("b", "1"), ("a", "2")):
        folder = tmp_path / f"{name}{content}"
        folder.mkdir()
        (folder / name).write_text(content)
        hashes.add(files.sha256(folder))
    assert len(hashes) == 3


def test_folders_that_are_not_used_are_printed_and_kept(capsys, tmp_path):
    for name in ("a", "b", ".c.0123.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.csv").touch()
    (tmp_path / "link").symlink_to("b")
    (tmp_path / ".gitignore").touch()
    files.warn_unused(tmp_path, ["a", "d"], "label.teachers")
    assert capsys.readouterr().err == (
        f"note: `label.teachers` does not list {tmp_path}/b, {tmp_path}/link. "
        "Move away what is not needed, as DVC treats it as an input.\n"
    )
    assert all((tmp_path / name / "mine.csv").is_file() for name in ("a", "b", ".c.0123.part", "link"))
    files.warn_unused(tmp_path, ["a", "b", "link"], "label.teachers")
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("Failed to launch worker thread"), RuntimeError("std::bad_alloc")]
)
def test_a_file_is_not_damaged_where_memory_is_short(error):
    def read():
        with files.reading("a.parquet"):
            raise error

    with pytest.raises(SystemExit, match=r"^error: out of memory\. Free some"):
        run(read)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "student.pot"
    student("mlp").save(str(path))
    return path


def write(name, content=b"new"):
    with files.output(name) as stream:
        stream.write(content)


def everything(folder):
    """All that is in a folder: names, kinds, modes and contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[path.relative_to(folder).as_posix()] = (path.lstat().st_mode, content)
    return found


@pytest.mark.parametrize("name", ["folder", "folder/", "new/", ".", "..", "folder/.", "folder/..", "", "to folder"])
def test_a_folder_is_refused_and_kept(name, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis").write_text("precious")
    (tmp_path / "to folder").symlink_to("folder")
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(PotstillError, match=r"names a folder|empty name"):
        write(name)
    with pytest.raises(PotstillError, match=r"names a folder|empty name"):
        student("mlp").save(name)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl", "parquet"])
def test_every_command_keeps_a_folder(kind, model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis").write_text("precious")
    (tmp_path / "a.txt").write_text("the ab\n")
    before = everything(tmp_path)
    out = str(tmp_path / "out")
    predict = ["predict", str(model), str(tmp_path / "a.txt"), "-o", out, "--output-format", kind]
    for command in (predict, ["page", str(model), "-o", out]):
        with pytest.raises(PotstillError, match="names a folder"):
            cli.execute(command)
    assert everything(tmp_path) == before


def test_links_are_followed_to_what_is_there_and_what_is_not(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(tmp_path / "there")
    (tmp_path / "dangling").symlink_to("folder/not there")
    for link, target in (("first", "there"), ("dangling", "folder/not there")):
        write(tmp_path / link)
        assert (tmp_path / link).is_symlink()
        assert not (tmp_path / target).is_symlink()
        assert (tmp_path / target).read_text() == "new"
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a")


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755, 0o4755])
def test_the_mode_stays_and_a_new_file_has_that_of_the_umask(mode, tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "old").chmod(mode)
    before = os.umask(0o027)
    try:
        write(tmp_path / "old")
        write(tmp_path / "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_extended_attributes_stay_and_the_time_is_new(tmp_path):
    (tmp_path / "old").write_text("old")
    try:
        os.setxattr(tmp_path / "old", "user.origin", b"here")
    except OSError:
        pytest.skip("this file system has none")
    os.utime(tmp_path / "old", (0, 0))
    for content in (b"new", b""):
        write(tmp_path / "old", content)
        assert os.getxattr(tmp_path / "old", "user.origin") == b"here"
        assert (tmp_path / "old").stat().st_mtime > 1e9


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nothing can be made")
def test_a_file_that_cannot_be_made_is_named():
    with pytest.raises((OSError, PotstillError), match=r"/proc/x\.csv"), files.output("/proc/x.csv"):
        pass


def test_a_write_protected_file_is_kept(tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "old").chmod(0o444)
    with pytest.raises(PotstillError, match="write-protected"):
        write(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"


def test_what_cannot_be_replaced_is_overwritten_in_place(tmp_path, monkeypatch):
    """A file of two names, and one in a folder that is not writable."""
    (tmp_path / "one").write_text("old and longer")
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    write(tmp_path / "one")
    assert (tmp_path / "other").read_text() == "new"
    assert (tmp_path / "one").samefile(tmp_path / "other")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old and longer")
    access = os.access
    shut = str(tmp_path / "folder")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != shut and access(path, mode))
    number = (tmp_path / "folder" / "old").stat().st_ino
    write(tmp_path / "folder" / "old")
    assert (tmp_path / "folder" / "old").read_text() == "new"
    assert (tmp_path / "folder" / "old").stat().st_ino == number
    with pytest.raises(PotstillError, match="its folder is not writable"):
        write(tmp_path / "folder" / "none")
    assert len(everything(tmp_path)) == 4


@pytest.mark.parametrize("old", ["precious", "precious" * 20_000])
def test_what_is_overwritten_in_place_stays_where_there_is_no_room(old, tmp_path):
    (tmp_path / "one").write_text(old)
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    before = everything(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def grow():
        with files.output(tmp_path / "one") as stream:
            stream.write(b"x" * 200_000)
            stream.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, (190_000, hard))  # stands in for a full disk

    try:
        with pytest.raises(OSError, match="File too large"):
            grow()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert everything(tmp_path) == before


def test_what_is_overwritten_in_place_needs_no_promise_of_room(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EOPNOTSUPP, "")

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    (tmp_path / "one").write_text("old")
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    for content in (b"new and longer", b""):
        write(tmp_path / "one", content)
        assert (tmp_path / "other").read_bytes() == content


def test_what_is_of_another_owner_stays_so(tmp_path, monkeypatch):
    (tmp_path / "old").write_text("old")
    number = (tmp_path / "old").stat().st_ino

    def chown(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chown", chown)
    write(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"
    assert (tmp_path / "old").stat().st_ino == number


@pytest.mark.parametrize("there", [True, False])
def test_what_fails_leaves_what_was(there, tmp_path):
    if there:
        (tmp_path / "old").write_text("old")
    before = everything(tmp_path)

    def fail(name):
        with files.output(tmp_path / name) as stream:
            stream.write(b"half")
            raise RuntimeError

    for name in ("old", "new/folder/old"):
        with pytest.raises(RuntimeError):
            fail(name)
    assert everything(tmp_path) == before


def test_of_two_writers_one_wins(tmp_path):
    path = tmp_path / "a"
    with files.output(path) as first, files.output(path) as second:
        first.write(b"first")
        second.write(b"the second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_has_left_goes_and_what_is_not_ours_stays(tmp_path):
    for name in (".a.csv.01234567.part", ".a.csv.part", ".b.csv.01234567.part"):
        (tmp_path / name).mkdir()
    write(tmp_path / "a.csv")
    assert sorted(everything(tmp_path)) == [".a.csv.part", ".b.csv.01234567.part", "a.csv"]


def test_names_may_be_long_and_strange(tmp_path):
    for name in ("x" * 255, "ü" * 127, "[a]*?.csv", "-", " ", "a\nb"):
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"new"


def test_a_source_is_not_overwritten_by_any_name(model, tmp_path):
    (tmp_path / "a.txt").write_text("the ab\n")
    (tmp_path / "link.txt").symlink_to("a.txt")
    (tmp_path / "hard.txt").hardlink_to(tmp_path / "a.txt")
    (tmp_path / "link.pot").symlink_to(model)
    before = everything(tmp_path), model.read_bytes()
    predict = ["predict", str(model), str(tmp_path / "a.txt"), "--output-format", "jsonl", "-o"]
    for name in ("a.txt", "link.txt", "hard.txt", "link.pot"):
        with pytest.raises(PotstillError, match=r"is both input and output\. Choose another output"):
            cli.execute([*predict, str(tmp_path / name)])
    for name in (tmp_path / "link.pot", model):
        with pytest.raises(PotstillError, match="is both input and output"):
            cli.execute(["page", str(model), "-o", str(name)])
    assert (everything(tmp_path), model.read_bytes()) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", [os.O_APPEND | os.O_WRONLY, os.O_RDWR])
def test_a_source_is_not_written_through_a_descriptor(how, model, tmp_path):
    """As in `predict M a.txt >> a.txt`, which would read its own answers without end; also from standard input."""
    text = tmp_path / "a.txt"
    text.write_text("the ab\n")
    for file, source in ((text, str(text)), (text, "-"), (model, str(text))):
        before = file.read_bytes()
        code = f"from potstill import cli\nimport sys\nsys.argv[1:1] = 'predict', {str(model)!r}\ncli.main()"
        for name in ("-", "/dev/stdout", "/dev/fd/{}"):
            written = os.open(file, how)
            with text.open() as stream:
                done = subprocess.run(
                    [sys.executable, "-c", code, source, "--output-format", "csv", "-o", name.format(written)],
                    stdin=stream, stdout=written, stderr=subprocess.PIPE, pass_fds=[written], text=True, timeout=60,
                )  # fmt: skip
            os.close(written)
            assert done.returncode == 1
            assert done.stderr.endswith(" is both input and output. Choose another output.\n")
            assert done.stderr.count("\n") == 1
            assert file.read_bytes() == before


def test_a_device_may_be_read_and_written(model):
    """As a terminal is."""
    cli.execute(["predict", str(model), "/dev/null", "-o", "/dev/null"])
    with open("/dev/null", "r+b", buffering=0) as device:
        files.check_writable(device.fileno(), "it", device.fileno(), "/dev/null")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_pipe_gets_what_a_file_gets(kind, model, tmp_path):
    (tmp_path / "a.txt").write_text("the ab\nnot good\n" * 1000)
    predict = ["predict", str(model), str(tmp_path / "a.txt"), "--output-format", kind, "-o"]
    cli.execute([*predict, str(tmp_path / "file")])
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    cli.execute([*predict, str(tmp_path / "pipe")])
    reader.join()
    assert read == [(tmp_path / "file").read_bytes()]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    if kind == "parquet":
        assert pq.read_table(tmp_path / "file").num_rows == 2000


def test_descriptors_are_written_to_where_they_stand(tmp_path):
    """As in `command -o /dev/stdout >> log`; also by links to them."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    log = tmp_path / "log"
    log.write_text("old ")
    code = (
        "import sys; from potstill.core import files\n"
        "for name in sys.argv[1:]:\n with files.output(name) as stream: stream.write(b'new ')"
    )
    with log.open("ab") as stream:
        names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "link")]
        subprocess.run([sys.executable, "-c", code, *names], stdout=stream, check=True)
    assert log.read_text() == "old " + "new " * 4
    with pytest.raises(PotstillError, match="closed, or not open for writing"):
        write("/dev/fd/999")
    reading = os.open(log, os.O_RDONLY)
    with pytest.raises(PotstillError, match="closed, or not open for writing"):
        write(f"/dev/fd/{reading}")
    os.close(reading)


def test_a_dash_is_standard_output_for_every_command(model, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.chdir(tmp_path)
    page = ["page", str(model), "-o"]
    cli.execute([*page, "a.html"])
    capfdbinary.readouterr()
    cli.execute([*page, "-"])
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == (tmp_path / "a.html").read_bytes()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.html"]


def test_a_device_stays_one():
    before = os.stat("/dev/null")
    write("/dev/null")
    assert os.stat("/dev/null").st_ino == before.st_ino
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_stage_replaces_its_like_only(kind, tmp_path):
    """`whole` is for the pipeline: it replaces a folder of its own, but never the one kind by the other."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("precious")
    (tmp_path / "file").write_text("precious")
    before = everything(tmp_path)
    with (
        pytest.raises(PotstillError, match=rf"it is a {kind}, but a .* is to be written"),
        files.atomic_write(tmp_path / kind) as part,
    ):
        part.mkdir() if kind == "file" else part.write_text("new")
    assert everything(tmp_path) == before


def test_a_stage_follows_links_to_folders(tmp_path):
    """Outputs may lie on another disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "old").mkdir()
    (tmp_path / "models").symlink_to(disk)
    (tmp_path / "there").symlink_to(disk / "old")
    (tmp_path / "dangling").symlink_to(disk / "new")
    for name in ("models/student", "there", "dangling"):
        with files.atomic_write(tmp_path / name) as part:
            part.mkdir()
            (part / "x").write_text("new")
        assert (tmp_path / name / "x").read_text() == "new"
    assert sorted(path.name for path in disk.iterdir()) == ["new", "old", "student"]
    assert [path.name for path in sorted(tmp_path.iterdir()) if path.is_symlink()] == ["dangling", "models", "there"]


@pytest.mark.parametrize("writes", [["notes.txt"], ["photos/b", "new/deep"]])
def test_a_folder_behind_a_link_keeps_what_else_it_holds(writes, tmp_path):
    disk = tmp_path / "disk"
    (disk / "photos").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("precious")
    (disk / "notes.txt").symlink_to("../elsewhere")  # as DVC links to its cache
    (disk / "photos" / "a").write_text("precious")
    (tmp_path / "export").symlink_to("disk")
    before = everything(disk)
    with files.atomic_write(tmp_path / "export") as part:
        assert disk in part.parents  # which may be a disk of its own
        for name in writes:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text("new")
    for name in writes:
        assert (disk / name).read_text() == "new"
    after = everything(disk)
    assert {name: after[name] for name in before if name not in writes} == {
        name: found for name, found in before.items() if name not in writes
    }
    assert {name for name, found in after.items() if found[1] is not None} == {*writes, "notes.txt", "photos/a"}
    assert (tmp_path / "elsewhere").read_text() == "precious"


@pytest.mark.parametrize(
    ("writes", "says"),
    [
        (["a", "photos"], "photos: it is a folder, but a file is to be written"),
        (["a", "notes/b"], "notes: it is a file, but a folder is to be written"),
        (["a", "dangling/b"], "dangling: it is a file, but a folder is to be written"),
        (["a"], None),
    ],
)
def test_a_folder_behind_a_link_is_as_it_was_if_it_cannot_be_written(writes, says, tmp_path):
    disk = tmp_path / "disk"
    (disk / "photos").mkdir(parents=True)
    for name in ("a", "notes"):
        (disk / name).write_text("precious")
    (disk / "dangling").symlink_to("nowhere")
    (tmp_path / "export").symlink_to("disk")
    before = everything(disk)

    def stage():
        with files.atomic_write(tmp_path / "export") as part:
            for name in writes:
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).write_text("new")
            if not says:
                raise RuntimeError

    with pytest.raises(PotstillError if says else RuntimeError, match=says):
        stage()
    assert everything(disk) == before


def test_a_stage_gives_its_files_the_umasks_mode(tmp_path):
    before = os.umask(0o022)
    try:
        with files.atomic_write(tmp_path / "folder") as part:
            (part / "deep").mkdir(parents=True)
            with tempfile.NamedTemporaryFile(dir=part / "deep", delete=False) as private:  # as safetensors writes
                pass
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "folder").rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert Path(private.name).name in {path.name for path in (tmp_path / "folder" / "deep").iterdir()}


def test_a_student_is_saved_by_a_string_as_it_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    student("mlp").save("a.pot")
    assert Student.load("a.pot").labels == ["c0", "c1", "c2"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.pot"]
    student("mlp").save(b"b.pot")
    assert Student.load(b"b.pot").labels == ["c0", "c1", "c2"]
    for name, says in ((b".", "it is a folder. Give"), (b"none.pot", r"^none.pot: no such file")):
        with pytest.raises(PotstillError, match=says):
            Student.load(name)


@pytest.mark.parametrize(
    ("where", "name", "advice"),
    [
        (".", "none.pot", "none.pot: no such file. Give the path of a model file"),
        (".", "models/export/student.pot", "student.pot: no such file. Give the path of a model file"),
        ("project", "models/export/student.pot", "no such file. Run `dvc repro` (or `dvc pull`) to create it."),
        ("project", "none.pot", "none.pot: no such file. Give the path of a model file"),
        ("project", "data/mine/none.pot", "none.pot: no such file. Give the path of a model file"),
        (".", "project/models/export/student.pot", "Run `dvc repro` (or `dvc pull`) in "),
    ],
)
def test_only_a_project_is_told_to_make_what_is_missing(where, name, advice, tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    for file in ("dvc.yaml", "params.yaml"):
        (tmp_path / "project" / file).touch()
    monkeypatch.chdir(tmp_path / where)
    with pytest.raises(PotstillError) as caught:
        Student.load(name)
    assert advice in str(caught.value)
