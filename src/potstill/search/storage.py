"""Storage of a search's trials: a journal file on a disk that machines share, or a PostgreSQL database.

Optuna locks single accesses. What takes several, such as counting the trials before another one starts, or creating a
database's tables, needs the storage's `lock`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from potstill.core import files
from potstill.core.errors import PotstillError, missing_package


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock named after a path during the block, on any disk, NFS since version 3 included.

    The lock of a process that has died is removed after half a minute.
    """
    lock = JournalFileOpenLock(str(path))
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # after a long pause, another process has removed it
            lock.release()


@dataclass(frozen=True)
class Journal:
    """Trials in a file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> optuna.storages.BaseStorage:
        """Open the journal, or create it.

        Raises:
            PotstillError: its folder is missing, or the file is damaged or not a journal.
        """
        if not self.path.parent.is_dir():
            raise PotstillError(f"{self.path.parent}: no such folder. Create it, or mount the disk that has it.")
        invalid = PotstillError(f"{self.path}: damaged, or not the journal of a search. Name another file.")
        backend = JournalFileBackend(str(self.path), JournalFileOpenLock(str(self.path)))
        with file_lock(self.path):
            content = self.path.read_bytes()
            if not content.startswith(b'{"op_code":'[: len(content)]):
                raise invalid
            if not content.endswith(b"\n"):
                # A partial line, as a full disk leaves it, would be joined with the next line and make that unreadable.
                with self.path.open("rb+") as file:
                    file.truncate(content.rfind(b"\n") + 1)
        try:
            return optuna.storages.JournalStorage(backend)
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
            raise invalid from None

    def lock(self) -> AbstractContextManager[None]:
        """Exclude other processes during the block."""
        return file_lock(self.path.with_name(f"{self.path.name}.turn"))


def discard_if_damaged(path: Path) -> None:
    """Delete a journal of potstill's own, which it can write again, if it is damaged or of another version."""
    try:
        Journal(path).open()
    except PotstillError:
        files.discard(path)


class PostgreSQL:
    """Trials in a database."""

    def __init__(self, url: str):
        # The message quotes nothing of an invalid URL, since any part of it may belong to a password.
        form = "postgresql://user@host:5432/database"
        invalid = PotstillError(f"--storage: must be like {form}. In a password, write %40 for @.")
        try:
            self.url = sa.make_url(url).set(drivername="postgresql+psycopg")
        except (ValueError, sa.exc.ArgumentError):
            raise invalid from None
        if not self.url.database or "@" in (self.url.host or ""):
            raise invalid

    def __str__(self) -> str:
        return f"postgresql://{self.url.host or ''}{f':{self.url.port}' if self.url.port else ''}/{self.url.database}"

    def open(self) -> optuna.storages.BaseStorage:
        """Connect to the database, and create the tables unless they exist.

        Raises:
            PotstillError: the connection fails, or the tables are of another version of Optuna.
        """
        with self.lock():
            try:
                # The server may restart during a training, which makes connections in the pool stale.
                return optuna.storages.RDBStorage(self.url.render_as_string(False), {"pool_pre_ping": True})
            except RuntimeError as error:
                raise PotstillError(f"{self}: {error}") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Exclude other processes during the block; errors of the database become a `PotstillError`."""
        try:
            with sa.create_engine(self.url, poolclass=sa.NullPool).connect() as connection:
                connection.execute(sa.text("SELECT pg_advisory_lock(hashtext('potstill'))"))
                yield
        except ModuleNotFoundError:
            raise missing_package("psycopg, which reaches PostgreSQL,", "postgresql") from None
        except (sa.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
            message = str(getattr(cause, "orig", None) or cause)
            for secret in filter(None, (self.url.password, self.url.query.get("password"))):
                message = message.replace(str(secret), "***")
            raise PotstillError(f"{self}: {message}") from None


def from_name(name: str) -> Journal | PostgreSQL:
    """Return the storage with this name: the path of a file, or a URL that begins with `postgresql://`.

    Raises:
        PotstillError: the URL is of another kind, or invalid.
    """
    scheme, separator, _ = name.partition("://")
    if not separator:
        return Journal(Path(name))
    if scheme not in ("postgresql", "postgres"):
        raise PotstillError("--storage: must be a file, or a URL that begins with postgresql://")
    return PostgreSQL(name)
