"""Writing files so that they appear whole or not at all, and hashing them."""

import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from potstill.errors import PotstillError, exhausted, first_line, join_names, visible

MADE = ("data", "metrics", "models")  # the folders of a project that stages write to


@contextmanager
def output(name: Path | str | bytes, *sources: Path | str | int) -> Iterator[BinaryIO]:
    """Open a file that a person names, to write bytes to. Nothing else is removed or changed.

    It appears whole or not at all. If it was there, it keeps its mode, its owner and its extended attributes; links are
    followed. What is not a regular file, such as a device, a pipe or /dev/stdout, is written to as it is. A file that
    cannot be replaced without a loss (it has other hard links or another owner, it is a mount, its folder is not
    writable) is overwritten in place, once its contents are complete and there is room for them.

    Args:
        name: the file. Folders that it needs are made.
        sources: what is read meanwhile, as paths or descriptors; the file must not be one of them.

    Raises:
        PotstillError: it is a folder, a block device, write-protected or one of the sources, or cannot be made, or no
            file can have its name.
        OSError: the system refuses it.
    """
    path = os.fsdecode(name)
    if os.path.basename(path) in ("", ".", "..") or os.path.isdir(path):
        raise PotstillError(f"{path}: it names a folder. Name a file." if path else "the output's name is empty")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise PotstillError(f"{path!r}: no file can have this name ({error}). Name another.") from None
    except NotADirectoryError:
        held = next(parent for parent in Path(path).parents if parent.exists())
        raise PotstillError(f"{path}: {held} is a file, not a folder. Name a file in a folder.") from None
    if (descriptor := _descriptor(path)) is not None:
        check_writable(descriptor, path, *sources)
        with open(os.dup(descriptor), "wb") as stream:
            yield stream
    elif found and not stat.S_ISREG(found.st_mode):
        if stat.S_ISBLK(found.st_mode):
            raise PotstillError(f"{path}: it is a block device. Name a file.")
        with open(os.open(path, os.O_WRONLY), "wb") as stream:
            yield stream
    else:
        if found:
            _refuse_source(found, path, sources)
        if found and not (found.st_mode & 0o222 and os.access(path, os.W_OK)):
            raise PotstillError(f"{path}: it is write-protected. Allow writing (`chmod u+w`), or name another file.")
        with _replacing(Path(os.path.realpath(path)), path, found) as stream:
            yield stream


@contextmanager
def _replacing(place: Path, name: str, found: os.stat_result | None) -> Iterator[BinaryIO]:
    """Open a file whose contents become those of `place` at the end."""
    shut = place.parent.is_dir() and not os.access(place.parent, os.W_OK | os.X_OK)
    if shut and not found:
        raise PotstillError(f"{name}: its folder is not writable. Name a file elsewhere.")
    elsewhere = shut or (found is not None and found.st_nlink > 1)
    with _temporary(Path(tempfile.gettempdir(), place.name) if elsewhere else place) as part:
        with part.open("wb") as stream:
            if found:
                part.chmod(stat.S_IMODE(found.st_mode))
                with suppress(PermissionError):  # SELinux may keep its own attributes
                    shutil.copystat(place, part)
                os.utime(part)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        try:
            if elsewhere:
                _overwrite(part, place)
                return
            if found:
                os.chown(part, found.st_uid, found.st_gid)
                part.chmod(stat.S_IMODE(found.st_mode))  # of which writing, and another owner, take a part
            os.replace(part, place)
        except OSError:
            if elsewhere or not found:
                raise
            _overwrite(part, place)  # it is another's, or a mount


def _overwrite(part: Path, place: Path) -> None:
    import fcntl

    with part.open("rb") as source, place.open("r+b") as target:
        fcntl.flock(target, fcntl.LOCK_EX)  # or two writers would mix
        _reserve(target.fileno(), os.fstat(source.fileno()).st_size)
        shutil.copyfileobj(source, target)
        target.truncate()
        target.flush()
        os.fsync(target.fileno())


def _reserve(descriptor: int, size: int) -> None:
    """Have room for `size` bytes in a file, or leave it as it is: a full disk must not be met half-way."""
    before = os.fstat(descriptor).st_size
    try:
        if size and hasattr(os, "posix_fallocate"):  # macOS has none
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        os.ftruncate(descriptor, before)
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # which say that the file system knows no such thing
            raise


def check_writable(descriptor: int, name: str, *sources: Path | str | int) -> None:
    """Check that a descriptor can be written to.

    Args:
        descriptor: of this process.
        name: what a message calls it.
        sources: see `output`.

    Raises:
        PotstillError: it cannot, is closed, or is a file that is one of the sources.
    """
    import fcntl

    try:
        shut = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        found = os.fstat(descriptor)
    except OSError:
        shut = True
    if shut:
        raise PotstillError(f"{name}: it is closed, or not open for writing. Name a file, with -o.")
    if stat.S_ISREG(found.st_mode):  # a terminal may be both
        _refuse_source(found, name, sources)


def _descriptor(path: str) -> int | None:
    """The descriptor of this process that a path such as /dev/stdout or /dev/fd/63 names, links followed."""
    own = os.path.realpath("/dev/fd")
    while True:
        folder, name = os.path.split(path)
        if name.isdecimal() and os.path.realpath(folder) == own:
            return int(name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))


def _refuse_source(found: os.stat_result, name: str, sources: Iterable[Path | str | int]) -> None:
    """What reads what it writes would overwrite it, or have no end."""
    if any(_same(found, source) for source in sources):
        raise PotstillError(f"{name} is read and written: name another output")


def _same(found: os.stat_result, source: Path | str | int) -> bool:
    try:
        return os.path.samestat(found, os.stat(source))
    except OSError:  # missing or closed, which whoever reads it says
        return False


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path to write a file or a folder of the pipeline's own to; it takes the place of `path` at the end.

    A folder replaces a folder, with all that it holds, and a file a file. A link to a folder is followed: there the new
    files replace those of the same names, and what else the folder holds stays, as it may be anybody's. Files get the
    mode that the umask gives. If the block raises, `path` stays as it was; of several that write at once, the last to
    end wins.

    Raises:
        PotstillError: a file is where a folder is to be, or the other way round.
    """
    linked = path.is_symlink() and path.is_dir()
    place = Path(os.path.realpath(path)) if path.is_symlink() and not path.is_file() else path
    with _temporary(place / place.name if linked else place) as part:  # the folder around `place` may be another disk's
        mode = part.parent.stat().st_mode & 0o666  # of a folder just made, which tells the umask
        yield part
        for file in part.rglob("*") if part.is_dir() else [part]:
            if file.is_file() and not file.is_symlink():
                file.chmod(mode)  # safetensors lets nobody but the owner read
                _sync(file)
        pairs = [(new, place / new.relative_to(part)) for new in (part, *sorted(part.rglob("*") if linked else ()))]
        for new, old in pairs:
            if os.path.lexists(old) and old.is_dir() != new.is_dir():
                kinds = ("folder", "file") if old.is_dir() else ("file", "folder")
                raise PotstillError(f"{old}: it is a {kinds[0]}, and a {kinds[1]} is to be written. Move it away.")
        if linked:
            for new, old in pairs:
                old.mkdir(exist_ok=True) if new.is_dir() else os.replace(new, old)
            return
        old = part.with_name(f"old {part.name}")
        try:
            if place.is_dir():
                os.rename(place, old)
            os.replace(part, place)
        except BaseException:
            if old.exists() and not place.exists():
                os.rename(old, place)
            raise


def _sync(file: Path) -> None:
    """Have it on the disk, so that not even a power cut leaves a name without its contents."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _temporary(place: Path) -> Iterator[Path]:
    """Give the name of `place` in a new folder beside it, which is removed at the end.

    The folder is locked as long as its process lives: those that killed processes have left are removed too.
    """
    missing = [folder for folder in (place.parent, *place.parent.parents) if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    prefix, token = f".{place.name[:40]}.", uuid4().hex[:8]
    for left in place.parent.glob(f"{glob.escape(prefix)}{'[0-9a-f]' * 8}.part"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = place.parent / f".{token}.part"  # until it is locked, under a name that is not looked for
    try:
        folder.mkdir()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from None
    try:
        with _locked(folder, must=False):
            folder = folder.rename(place.parent / f"{prefix}{token}.part")
            yield folder / place.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for empty in missing:
            with suppress(OSError):
                empty.rmdir()


@contextmanager
def _locked(folder: Path, must: bool = True) -> Iterator[None]:
    """Lock a folder during the block; without `must`, only where the file system can."""
    import fcntl  # here, since Windows has none, and loads students

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(*(() if must else (OSError,))):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file of the pipeline's own."""
    with atomic_write(path) as part:
        part.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def reading(path: Any) -> Iterator[None]:
    """Name the file that is missing, damaged or of another shape, of which libraries say so by errors of many types.

    Args:
        path: the file. All that the block does is to read it, and to check what it holds.

    Raises:
        PotstillError: the block has raised anything but a lack of memory or of a permission.
    """
    try:
        yield
    except (PotstillError, PermissionError):
        raise
    except FileNotFoundError:
        raise missing_file(path, "Run this in a project's folder, or name another file.") from None
    except Exception as error:
        if exhausted(error):
            raise
        raise PotstillError(
            f"{path} cannot be read ({first_line(error)}): if a stage wrote it, run `make verify`, then `dvc repro`"
        ) from None


def read_json(path: Path, *keys: str, kind: Any = dict) -> Any:
    """Read a JSON file, or what it holds under some keys, one inside the other, a value of type `kind`.

    Raises:
        PotstillError: the file is missing, not JSON, or holds no value of this kind there; all say which file.
    """
    with reading(path):
        value = json.loads(path.read_text("utf-8"))
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"no key {key!r}")
            value = value[key]
        if not isinstance(value, kind):
            raise ValueError(f"{type(value).__name__} instead of {getattr(kind, '__name__', kind)}")
        return value


def read_names(path: Path, *keys: str) -> list[str]:
    """Read a list of strings from a JSON file, as `read_json` does."""
    names = read_json(path, *keys, kind=list)
    with reading(path):
        if not all(isinstance(name, str) for name in names):
            raise ValueError("a name that is not a string")
    return names


def read_checkpoint(path: Path, valid: Callable[[Any], bool]) -> Any:
    """Read the JSON file that an earlier run left to go on from.

    Returns:
        What it holds; None where there is none, or one that is damaged or not `valid`, which is said, and removed.
    """
    if not path.exists():
        return None
    with suppress(PotstillError):
        value = read_json(path, kind=object)
        if valid(value):
            return value
    discard(path)
    return None


def discard(path: Path) -> None:
    """Remove what an earlier run left to go on from, and say that it is made again."""
    print(f"note: {path} is damaged, or of another version, and is made again")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def missing_file(path: Path | str, otherwise: str) -> PotstillError:
    """Give the error for a file that is not there: a stage makes it if it is one of a project's, else `otherwise`."""
    place = Path(os.path.abspath(path))
    for root in place.parents:
        if (root / "dvc.yaml").is_file() and (root / "params.yaml").is_file():
            if place.relative_to(root).parts[0] in MADE:
                where = "" if root == Path.cwd() else f" in {root}"
                return PotstillError(f"{path} is missing: run `dvc repro` (or `dvc pull`){where} to make it")
            break
    return PotstillError(f"{path}: no such file. {otherwise}")


def cache_key(*facts: Any) -> str:
    """Name a scratch folder or file by what the work in it depends on: 16 hexadecimal digits."""
    return hashlib.sha256(" ".join(map(str, facts)).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Hash a file, or a folder's file names and contents, as hexadecimal SHA-256."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def warn_unused(folder: Path, names: Sequence[str], key: str) -> None:
    """Print which folders of `folder` are not called one of `names`, which the parameter `key` lists.

    DVC leaves the output of a stage that is no longer listed. It stays, since the folder may as well be the user's.
    """
    others = sorted(str(path) for path in folder.glob("[!.]*") if path.is_dir() and path.name not in names)
    if others:
        told = (
            f"not used, since `{key}` does not list them: {join_names(others)}. Move away what nobody needs: DVC counts"
        )
        print(visible(f"{told} it as an input"), file=sys.stderr)
