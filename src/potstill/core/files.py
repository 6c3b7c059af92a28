"""Write files atomically, read and hash them."""

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

from potstill.core import paths
from potstill.core.errors import PotstillError, exhausted, first_line, join_names, visible

# The folders that the stages of a project write.
OUTPUTS: tuple[Path, ...] = (paths.PREPARED, paths.POOL, paths.LABEL, paths.ENSEMBLE, paths.EVALUATE, paths.METRICS)
OUTPUTS += (paths.BASELINE, paths.TEACHER, paths.STUDENT, paths.EXPORT)


@contextmanager
def output(name: Path | str | bytes, *sources: Path | str | int) -> Iterator[BinaryIO]:
    """Open a file that the user names, to write bytes to it atomically.

    An existing file keeps its mode, owner and extended attributes; links are followed. A device, a pipe or /dev/stdout
    is written to directly. A file that cannot be replaced (it has other hard links or another owner, it is a mount, its
    folder is not writable) is overwritten in place, once its contents are complete and there is room for them.

    Args:
        name: the file. Missing folders are created.
        sources: paths or descriptors that are read meanwhile; the file must not be one of them.

    Raises:
        PotstillError: the file is a folder, a block device, write-protected or one of the sources, or cannot be
            created, or its name is invalid.
        OSError: from the operating system.
    """
    path = os.fsdecode(name)
    if os.path.basename(path) in ("", ".", "..") or os.path.isdir(path):
        raise PotstillError(f"{path}: it names a folder. Name a file." if path else "output: empty name. Name a file.")
    try:
        status = os.stat(path)
    except FileNotFoundError:
        status = None
    except ValueError as error:  # NUL, or a lone surrogate
        raise PotstillError(f"{path!r}: invalid file name ({error}). Choose another.") from None
    except NotADirectoryError:
        parent = next(parent for parent in Path(path).parents if parent.exists())
        raise PotstillError(f"{path}: {parent} is a file, not a folder. Name a file in a folder.") from None
    if (descriptor := _descriptor(path)) is not None:
        check_writable(descriptor, path, *sources)
        with open(os.dup(descriptor), "wb") as stream:
            yield stream
    elif status and not stat.S_ISREG(status.st_mode):
        if stat.S_ISBLK(status.st_mode):
            raise PotstillError(f"{path}: it is a block device. Name a file.")
        with open(os.open(path, os.O_WRONLY), "wb") as stream:
            yield stream
    else:
        if status:
            _refuse_source(status, path, sources)
        if status and not (status.st_mode & 0o222 and os.access(path, os.W_OK)):
            raise PotstillError(f"{path}: it is write-protected. Allow writing (`chmod u+w`), or choose another file.")
        with _replacing(Path(os.path.realpath(path)), path, status) as stream:
            yield stream


@contextmanager
def _replacing(place: Path, name: str, status: os.stat_result | None) -> Iterator[BinaryIO]:
    """Open a temporary file whose contents replace those of `place` at the end."""
    is_protected = place.parent.is_dir() and not os.access(place.parent, os.W_OK | os.X_OK)
    if is_protected and not status:
        raise PotstillError(f"{name}: its folder is not writable. Choose another.")
    elsewhere = is_protected or (status is not None and status.st_nlink > 1)
    with _temporary(Path(tempfile.gettempdir(), place.name) if elsewhere else place) as part:
        with part.open("wb") as stream:
            if status:
                part.chmod(stat.S_IMODE(status.st_mode))
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
            if status:
                os.chown(part, status.st_uid, status.st_gid)
                part.chmod(stat.S_IMODE(status.st_mode))  # writing and chown reset some bits
            os.replace(part, place)
        except OSError:
            if elsewhere or not status:
                raise
            _overwrite(part, place)  # it has another owner, or is a mount


def _overwrite(part: Path, place: Path) -> None:
    """Copy a file over an existing one, in place."""
    import fcntl

    with part.open("rb") as source, place.open("r+b") as target:
        fcntl.flock(target, fcntl.LOCK_EX)  # or the output of two writers would mix
        _reserve(target.fileno(), os.fstat(source.fileno()).st_size)
        shutil.copyfileobj(source, target)
        target.truncate()
        target.flush()
        os.fsync(target.fileno())


def _reserve(descriptor: int, size: int) -> None:
    """Allocate `size` bytes for a file, so that it is not overwritten in part on a full disk."""
    before = os.fstat(descriptor).st_size
    try:
        if size and hasattr(os, "posix_fallocate"):  # macOS has none
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        os.ftruncate(descriptor, before)
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # the file system cannot allocate
            raise


def check_writable(descriptor: int, name: str, *sources: Path | str | int) -> None:
    """Check that a descriptor of this process can be written to; messages call it `name`.

    Raises:
        PotstillError: it is closed, not writable, or a file that is one of the sources, see `output`.
    """
    import fcntl

    try:
        is_closed = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        status = os.fstat(descriptor)
    except OSError:
        is_closed = True
    if is_closed:
        raise PotstillError(f"{name}: it is closed, or not open for writing. Set a file with -o.")
    if stat.S_ISREG(status.st_mode):  # a terminal may be both
        _refuse_source(status, name, sources)


def _descriptor(path: str) -> int | None:
    """Return the descriptor of this process that a path such as /dev/stdout or /dev/fd/63 names; follow links."""
    own = os.path.realpath("/dev/fd")
    while True:
        folder, name = os.path.split(path)
        if name.isdecimal() and os.path.realpath(folder) == own:
            return int(name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))


def check_is_no_source(path: Path, *sources: Path | str) -> None:
    """Check that a file to be written is not one of those that are read.

    Raises:
        PotstillError: it is one of these files, or one in these folders but for model files.
    """
    if path.exists():
        inside = [file for source in map(Path, sources) if source.is_dir() for file in source.iterdir()]
        _refuse_source(path.stat(), str(path), [*sources, *(file for file in inside if file.suffix != ".pot")])


def _refuse_source(status: os.stat_result, name: str, sources: Iterable[Path | str | int]) -> None:
    """Raise an error if a file is also read: it would be overwritten, or never end."""
    for source in sources:
        with suppress(OSError):  # missing or closed, which is reported when it is read
            if os.path.samestat(status, os.stat(source)):
                raise PotstillError(f"{name}: it is both input and output. Choose another output.")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path for a file or folder of the pipeline, which replaces `path` at the end.

    A folder replaces a folder and all its files. A link to a folder is followed: there, new files replace those of the
    same names, and other files stay, as they may not be the pipeline's. Files get the mode of the umask. If the block
    raises, `path` is unchanged; the last of several concurrent writers wins.

    Raises:
        PotstillError: a folder would replace a file, or a file a folder.
    """
    linked = path.is_symlink() and path.is_dir()
    place = Path(os.path.realpath(path)) if path.is_symlink() and not path.is_file() else path
    # The folder around `place` may be on another disk.
    with _temporary(place / place.name if linked else place) as part:
        mode = part.parent.stat().st_mode & 0o666  # of a new folder, so it follows the umask
        yield part
        for file in part.rglob("*") if part.is_dir() else [part]:
            if file.is_file() and not file.is_symlink():
                file.chmod(mode)  # safetensors sets 0600
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())  # so that a power cut cannot leave it incomplete
        pairs = [(new, place / new.relative_to(part)) for new in (part, *sorted(part.rglob("*") if linked else ()))]
        for new, old in pairs:
            if os.path.lexists(old) and old.is_dir() != new.is_dir():
                kinds = ("folder", "file") if old.is_dir() else ("file", "folder")
                raise PotstillError(f"{old}: it is a {kinds[0]}, but a {kinds[1]} is to be written. Move it away.")
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


@contextmanager
def _temporary(place: Path) -> Iterator[Path]:
    """Give the name of `place` in a new folder next to it, which is removed at the end.

    The folder is locked while its process lives, so that folders left by killed processes can be removed too.
    """
    missing = [folder for folder in (place.parent, *place.parent.parents) if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    prefix, token = f".{place.name[:40]}.", uuid4().hex[:8]
    for left in place.parent.glob(f"{glob.escape(prefix)}{'[0-9a-f]' * 8}.part"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = place.parent / f".{token}.part"  # until it is locked, under a name that the loop above does not match
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
    """Lock a folder during the block; without `must`, ignore file systems that cannot lock."""
    import fcntl  # here, since Windows does not have it and can still load model files

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(*(() if must else (OSError,))):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_write(path) as part:
        part.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def reading(path: Any) -> Iterator[None]:
    """Turn the errors of a block that reads and checks one file, of whatever type, into one that names the file.

    Raises:
        PotstillError: the block raised an error other than too little memory or a missing permission.
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
            f"{path}: it cannot be read ({first_line(error)}). If a stage wrote it, run `make verify`, then "
            "`dvc repro`."
        ) from None


def read_json(path: Path, *keys: str, kind: Any = dict) -> Any:
    """Read a JSON file, or the value of type `kind` under nested keys.

    Raises:
        PotstillError: the file is missing, not JSON, or has no value of this type there; the message names the file.
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
    """Read the JSON file that an interrupted run left, to resume from it.

    Returns:
        Its value; None if there is no file, or if it is damaged or not `valid`, which removes it.
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
    """Remove a checkpoint that cannot be resumed from, and print a note."""
    print(f"note: {path}: damaged or of another version, so its work is repeated")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def missing_file(path: Path | str, advice: str) -> PotstillError:
    """Return the error for a missing file; advise to run the stages if it is an output of a project, else `advice`."""
    place = Path(os.path.abspath(path))
    projects = (root for root in place.parents if (root / "dvc.yaml").is_file() and (root / "params.yaml").is_file())
    root = next(projects, None)
    if root and any(place.is_relative_to(root / folder) for folder in OUTPUTS):
        where = "" if root == Path.cwd() else f" in {root}"
        advice = f"Run `dvc repro` (or `dvc pull`){where} to create it."
    return PotstillError(f"{path}: no such file. {advice}")


def cache_key(*values: Any) -> str:
    """Return 16 hexadecimal digits of the hash of the values that a scratch file depends on."""
    return hashlib.sha256(" ".join(map(str, values)).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, or of a folder's file names and contents."""
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
    """Return the bytes of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def warn_unused(folder: Path, names: Sequence[str], key: str) -> None:
    """Print which folders of `folder` the parameter `key` does not list in `names`.

    DVC leaves the output of a stage that is no longer listed. It is not deleted, since it may be the user's.
    """
    others = sorted(str(path) for path in folder.glob("[!.]*") if path.is_dir() and path.name not in names)
    if others:
        advice = "Move away what is not needed, as DVC treats it as an input"
        print(visible(f"note: `{key}` does not list {join_names(others)}. {advice}."), file=sys.stderr)
