"""`potstill verify` and `potstill push`: damage is noticed, and nothing that a user owns is destroyed."""

from potstill.core.start import run

import errno
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo

from potstill import cli
from potstill.commands import dvc_internals

pytestmark = pytest.mark.slow

ONE, TWO, DATA, NOTES = map(Path, ("models/one", "models/two/b", "data/mine/train.csv", "elsewhere/notes.txt"))
CACHE, REMOTE = Path(".dvc/cache"), Path("remote")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A project whose stage writes a file and a folder, and in which there are data too."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for path in (DATA, NOTES):
        path.parent.mkdir(parents=True)
        path.write_text(f"{path}\n")
    command = "mkdir -p models/two && echo 1 > models/one && echo 2 > models/two/b"
    stages = {"train": {"cmd": command, "outs": ["models/one", "models/two"]}}
    Path("dvc.yaml").write_text(json.dumps({"stages": stages}))
    Path("params.yaml").touch()
    Repo.init(no_scm=True).close()


def begin(link="copy", cache=None):
    """Run the stage, add the data, and push."""
    with Repo() as repo, repo.config.edit() as config:
        config["cache"] |= {"type": [link]} | ({"dir": str(cache)} if cache else {})
        config["remote"]["shelf"] = {"url": str(REMOTE.absolute())}
        config["core"]["remote"] = "shelf"
    with Repo() as repo:
        repo.reproduce()
        repo.add([str(DATA.parent), str(NOTES)])
        repo.push()


@pytest.fixture
def says(capsys):
    """What a command prints, and its status."""

    def script(command, *arguments):
        said = ""
        try:
            run(lambda: cli.execute([command, *arguments]))
        except SystemExit as error:
            said = error.code
        return capsys.readouterr().out + said, int(bool(said))

    return script


def at(digest, store=CACHE):
    """Where a store has what has that hash."""
    return store / "files/md5" / digest[:2] / digest[2:]


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def spoil(path, content=None):
    """Change a file as a bad disk does: behind DVC's back, or so that `content` is in it, as a user does."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(content or path.read_bytes()[::-1])
    if content is None:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        path.chmod(before.st_mode)


def everything(*folders):
    """The contents of all files, by path."""
    return {path: path.read_bytes() for folder in folders for path in Path(folder).rglob("*") if path.is_file()}


def test_what_is_whole_stays(says):
    begin()
    before = everything(".", REMOTE)
    assert says("verify") == ("10 files checked\n", 0)
    assert {path: content for path, content in everything(".", REMOTE).items() if path in before} == before


@pytest.mark.parametrize("script", ["verify", "push"])
@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_an_edit_is_kept_wherever_it_is_made_and_however_it_is_linked(says, script, link):
    begin(link)
    for path in (ONE, TWO, DATA, NOTES):
        spoil(path, f"an edit of {path}\n".encode())
    said, status = says(script)
    whole = script == "push" and link == "copy"  # a push looks at the cache only
    assert status == (0 if whole else 1)
    for path in (ONE, TWO, DATA, NOTES):
        assert path.read_text() == f"an edit of {path}\n"
        assert whole or str(path) in said
    with Repo() as repo:
        for value in repo.cache.local.all():
            assert md5(at(value)) == value.removesuffix(".dir")
        repo.add([str(DATA.parent), str(NOTES)])
    assert DATA.read_text() == f"an edit of {DATA}\n"


def test_a_file_more_in_a_folder_is_named_and_kept(says):
    begin()
    (DATA.parent / "notes").write_text("mine")
    said, status = says("verify")
    assert "new in a folder that DVC tracks, and kept: data/mine/notes. `dvc add FOLDER` records" in said
    assert "checkout" not in said  # it would delete the file
    assert status == 1
    assert (DATA.parent / "notes").read_text() == "mine"
    with Repo() as repo:
        repo.add(str(DATA.parent))
    assert says("verify")[1] == 0


@pytest.mark.parametrize("path", [ONE, TWO, DATA], ids=str)
def test_damage_outside_the_cache_is_noticed_until_it_is_mended(says, path):
    begin()
    right = path.read_bytes()
    spoil(path)
    with Repo() as repo:
        assert not repo.status()  # nor would a checkout or a repro replace it
    for _ in range(2):
        said, status = says("verify")
        assert f"and kept: {path}. `dvc add` records an edit of data" in said
        assert status == 1
    with Repo() as repo:
        assert repo.status()
        repo.checkout(str(path), force=True)
    assert path.read_bytes() == right
    assert says("verify")[1] == 0


@pytest.mark.parametrize("path", [ONE, TWO, DATA, DATA.parent], ids=str)
def test_damage_in_the_cache_is_moved_out_of_it_and_pulled_again(says, path):
    begin()
    with Repo() as repo:
        (out,) = (out for out in repo.index.outs if path.is_relative_to(os.path.relpath(out.fs_path)))
        damaged = at(out.hash_info.value if path.is_dir() else md5(path))
    right = everything("models", "data")
    spoil(damaged)
    wrong = damaged.read_bytes()
    said, status = says("verify")
    assert f"error: damaged in the cache, and moved to .dvc/cache/damaged: {path}. Restore them with `dvc p" in said
    assert status == 1
    assert not damaged.exists()
    assert [file.read_bytes() for file in (CACHE / "damaged").iterdir()] == [wrong]
    with Repo() as repo:
        repo.pull()
    assert says("verify")[1] == 0
    assert everything("models", "data") == right


def test_damage_that_was_checked_out_is_noticed_and_pulled_again(says):
    begin()
    right = ONE.read_bytes()
    spoil(at(md5(ONE)))
    ONE.unlink()
    with Repo() as repo:
        repo.checkout()
        assert not repo.status()
    assert ONE.read_bytes() != right
    said, _ = says("verify")
    assert "moved to .dvc/cache/damaged: models/one" in said
    assert "and kept: models/one." in said
    with Repo() as repo:
        repo.pull(str(ONE), force=True)
    assert ONE.read_bytes() == right
    assert says("verify")[1] == 0


def test_a_folder_whose_list_is_gone_is_compared_all_the_same(says):
    begin()
    with Repo() as repo:
        (value,) = (out.hash_info.value for out in repo.index.outs if out.def_path == "models/two")
    at(value).unlink()
    assert says("verify")[1] == 0
    TWO.rename(TWO.with_name("renamed"))
    said, status = says("verify")
    assert "and kept: models/two." in said
    assert status == 1


def test_a_list_with_other_names_is_noticed_and_pulled_again(says):
    begin()
    right = everything("models", "data")
    with Repo() as repo:
        (value,) = (out.hash_info.value for out in repo.index.outs if out.def_path == "models/two")
    there = at(value, REMOTE)
    listing = there.read_bytes()
    there.chmod(0o644)
    there.write_bytes(listing.replace(b'relpath": "', b'relpath":"x'))
    at(value).unlink()
    TWO.unlink()
    with Repo() as repo:
        repo.pull()
    assert not TWO.exists()
    assert "moved to .dvc/cache/damaged: models/two." in says("verify")[0]
    there.write_bytes(listing)
    with Repo() as repo:
        repo.pull()
    assert says("verify")[1] == 0
    assert everything("models", "data") == right


@pytest.mark.parametrize("linked", [False, True])
def test_a_cache_elsewhere_is_checked_but_for_what_is_of_others(says, tmp_path, linked):
    shared = tmp_path / "shared"
    begin(cache=None if linked else shared)
    if linked:
        CACHE.rename(shared)
        CACHE.symlink_to(shared)
    theirs = at("0" * 32, shared)
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("an edit through a link of another project")
    assert says("verify") == ("10 files checked\n", 0)
    spoil(at(md5(TWO), shared))
    said, status = says("verify")
    assert f"moved to {CACHE if linked else '../shared'}/damaged: models/two/b." in said
    assert status == 1
    assert theirs.exists()


def test_what_is_no_longer_recorded_is_checked_in_a_cache_of_ones_own(says):
    begin()
    old = md5(NOTES)
    NOTES.write_text("newer")
    with Repo() as repo:
        repo.add(str(NOTES))
    spoil(at(old))
    said, status = says("verify")
    assert f"moved to .dvc/cache/damaged: {old}." in said
    assert status == 1


def test_two_damaged_objects_of_one_hash_are_both_kept(says):
    begin()
    place = at(md5(ONE))
    for content in (b"?", b"!", b"?"):
        place.write_bytes(content)
        assert says("verify")[1] == 1
        assert not place.exists()
    assert sorted(path.read_bytes() for path in (CACHE / "damaged").iterdir()) == [b"!", b"?"]


def test_what_is_damaged_in_the_remote_is_kept_once_and_said_to_be_mended_there(says):
    begin()
    spoil(at(md5(ONE), REMOTE))
    at(md5(ONE)).unlink()
    for _ in range(2):
        ONE.unlink(missing_ok=True)
        with Repo() as repo:
            repo.pull()
        said, status = says("verify")
        assert "If a pull brings the damage back, the remote is damaged: run `potstill push --hash`" in said
        assert status == 1
    assert [path.read_bytes() for path in (CACHE / "damaged").iterdir()] == [b"\n1"]


def test_forged_paths_and_hashes_lead_nowhere(says, tmp_path):
    begin()
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_text("precious")
    folder.mkdir()
    (folder / "file").write_text("precious")
    listing = json.dumps([{"md5": "0" * 32, "relpath": "../../victim"}]).encode()
    forged = hashlib.md5(listing).hexdigest() + ".dir"
    at(forged).parent.mkdir(exist_ok=True)
    at(forged).write_bytes(listing)
    Path("link").symlink_to(folder)
    outs = {
        "models/x": "../../../../../../victim",
        "models/y": "a" * 32,
        "models/z": forged,
        "../folder": "b" * 32 + ".dir",
        "link/file": "c" * 32,
        str(victim): "d" * 32,
    }
    Path("models/x").write_text("mine")
    Path("models/y").write_text("mine")
    for number, (path, value) in enumerate(outs.items()):
        Path(f"{number}.dvc").write_text(json.dumps({"outs": [{"path": path, "hash": "md5", "md5": value}]}))
    with Path("dvc.lock").open("a") as lock:
        lock.write("  gone:\n    cmd: x\n    outs:\n    - {path: ../victim, hash: md5, md5: aaaa}\n")
    before = everything(folder, "models", "data", CACHE, REMOTE)
    for script in ("verify", "push"):
        says(script)
        assert everything(folder, "models", "data", CACHE, REMOTE) == before
        assert victim.read_text() == "precious"


def test_text_that_dvc_2_added_is_hashed_as_it_did(says):
    begin()
    NOTES.write_bytes(b"one\r\ntwo\r\n")
    value = hashlib.md5(b"one\ntwo\n").hexdigest()
    Path(f"{NOTES}.dvc").write_text(json.dumps({"outs": [{"path": NOTES.name, "md5": value}]}))
    assert says("verify")[1] == 0
    NOTES.write_bytes(b"another\r\n")
    assert "and kept: elsewhere/notes.txt." in says("verify")[0]


def test_what_the_disk_does_not_give_back_is_damaged(says, monkeypatch):
    begin()

    def read(path, **_):
        if path.endswith(at(md5(ONE)).name):
            raise OSError(errno.EIO, "Input/output error")
        return real(path, **_)

    real = dvc_internals.file_md5
    monkeypatch.setattr(dvc_internals, "file_md5", read)
    assert "moved to .dvc/cache/damaged: models/one." in says("verify")[0]


def test_a_push_replaces_what_is_damaged_there_and_nothing_else(says):
    begin()
    right = everything(REMOTE)
    theirs = at("0" * 32, REMOTE)
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("of another project")
    half, turned, gone = (at(md5(path), REMOTE) for path in (ONE, TWO, DATA))
    half.chmod(0o644)
    half.write_bytes(b"")
    spoil(turned)
    gone.unlink()
    said, status = says("push")
    assert status == 0
    assert f"and replaced: {', '.join(sorted([md5(ONE), md5(DATA)]))}\n" in said
    said, status = says("push", "--hash")
    assert f"and replaced: {md5(TWO)}\n" in said
    assert everything(REMOTE) == right | {theirs: b"of another project"}


def test_a_push_from_a_damaged_cache_leaves_the_remote_alone(says):
    begin()
    right = everything(REMOTE)
    spoil(at(md5(ONE)))
    at(md5(TWO)).chmod(0o644)
    at(md5(TWO)).write_bytes(b"longer than it was")
    said, status = says("push", "--hash")
    assert status == 1
    assert "moved to .dvc/cache/damaged: models/one, models/two/b." in said
    assert everything(REMOTE) == right


def test_a_list_is_not_removed_from_the_remote_for_what_nobody_has(says):
    begin()
    place = at(md5(TWO), REMOTE)
    place.unlink()
    at(md5(TWO)).unlink()
    right = everything(REMOTE)
    says("push")
    assert everything(REMOTE) == right


@pytest.mark.parametrize("value", ["one", None])
def test_a_parameter_that_dvc_cannot_take_is_one_line(says, value):
    Path("params.yaml").write_text(json.dumps({"names": value}))
    stage = {"matrix": {"name": "${names}"}, "cmd": "true", "deps": ["${names}"], "outs": ["${item.name}"]}
    Path("dvc.yaml").write_text(json.dumps({"stages": {"train": stage}}))
    for script in ("verify", "push"):
        said, status = says(script)
        assert said.startswith("error: ")
        assert status == 1


def test_outside_a_project_there_is_one_line(says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for script in ("verify", "push"):
        said, status = says(script)
        assert said.startswith("error: ")
        assert status == 1


@pytest.mark.parametrize("content", [b"{", b"<<<<<<< HEAD", b"stages: 3", b"\0", b"\xff"])
@pytest.mark.parametrize("name", ["dvc.lock", f"{NOTES}.dvc"])
def test_a_damaged_record_is_restored_from_git(says, name, content):
    begin()
    Path(name).write_bytes(content)
    for script in ("verify", "push"):
        said, status = says(script)
        assert said.startswith("error: ")
        assert said.count("\n") == 0
        assert said.endswith(f". Restore it with `git checkout {name}`.")
        assert status == 1


@pytest.mark.parametrize("plugin", ["s3", "gs"])
def test_a_remote_whose_plugin_is_not_installed_is_one_line(says, monkeypatch, plugin):
    begin()
    with Repo() as repo, repo.config.edit() as config:
        config["remote"]["cloud"] = {"url": f"{plugin}://bucket/folder"}
    monkeypatch.setitem(sys.modules, f"dvc_{plugin}", None)
    said, status = says("push", "--remote", "cloud")
    assert said == f"error: the remote cloud: dvc-{plugin} is not installed. Run `pip install dvc-{plugin}`."
    assert status == 1
