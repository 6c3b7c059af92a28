"""Where a search keeps its trials: a journal file on a disk that machines share, or a PostgreSQL database.

Optuna guards each access. It does not guard what takes several of them, such as to count the trials and then to start
another, nor the making of a database's tables: that is what `turn` is for.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from potstill import files
from potstill.errors import PotstillError, missing_package


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have something alone, on any disk; `path` names it.

    The lock is one that any NFS since version 3 keeps. Who dies with it delays the others by half a minute.
    """
    lock = JournalFileOpenLock(str(path))
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # after a long pause, another has taken it
            lock.release()


class Journal:
    """Trials in a file."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> optuna.storages.BaseStorage:
        """Open it, or make it.

        Raises:
            PotstillError: this is no place for one, or the file is something else.
        """
        if not self.path.parent.is_dir():
            raise PotstillError(f"the folder {self.path.parent} is missing: make it, or mount the disk that has it")
        wrong = PotstillError(f"{self.path} is damaged, or no journal of a search: name another file")
        backend = JournalFileBackend(str(self.path), JournalFileOpenLock(str(self.path)))
        with locked(self.path):
            written = self.path.read_bytes()
            if not written.startswith(b'{"op_code":'[: len(written)]):
                raise wrong
            if not written.endswith(b"\n"):
                # Half a line, as a full disk leaves it: what is written next would be lost with it.
                with self.path.open("rb+") as file:
                    file.truncate(written.rfind(b"\n") + 1)
        try:
            return optuna.storages.JournalStorage(backend)
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
            raise wrong from None

    def turn(self) -> AbstractContextManager[None]:
        """Let no other process take its turn during the block."""
        return locked(self.path.with_name(f"{self.path.name}.turn"))


def mend(path: Path) -> None:
    """Discard a journal that is damaged or of another version; only one of potstill's own, which it can write again."""
    try:
        Journal(path).open()
    except PotstillError:
        files.discard(path)


class PostgreSQL:
    """Trials in a database."""

    def __init__(self, url: str):
        # Not a word of a URL that is not understood: it may be part of a password.
        wrong = PotstillError(
            "--storage is not like postgresql://user@host:5432/database (in a password, write %40 for @)"
        )
        try:
            self.url = sa.make_url(url).set(drivername="postgresql+psycopg")
        except (ValueError, sa.exc.ArgumentError):
            raise wrong from None
        if not self.url.database or "@" in (self.url.host or ""):
            raise wrong

    def __str__(self) -> str:
        return f"postgresql://{self.url.host or ''}{f':{self.url.port}' if self.url.port else ''}/{self.url.database}"

    def open(self) -> optuna.storages.BaseStorage:
        """Connect to it, and make its tables unless they are there.

        Raises:
            PotstillError: this is not possible.
        """
        with self.turn():
            try:
                # Tried before use, since a server may have been started anew during a training.
                return optuna.storages.RDBStorage(self.url.render_as_string(False), {"pool_pre_ping": True})
            except RuntimeError as error:  # tables of another version of Optuna
                raise PotstillError(f"{self}: {error}") from None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let no other process take its turn during the block; what goes wrong in it is a `PotstillError`."""
        try:
            with sa.create_engine(self.url, poolclass=sa.NullPool).connect() as connection:
                connection.execute(sa.text("SELECT pg_advisory_lock(hashtext('potstill'))"))
                yield
        except ModuleNotFoundError:
            raise missing_package("psycopg, which reaches PostgreSQL,", "postgresql") from None
        except (sa.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
            said = str(getattr(cause, "orig", None) or cause)
            for secret in filter(None, (self.url.password, self.url.query.get("password"))):
                said = said.replace(str(secret), "***")
            raise PotstillError(f"{self}: {said}") from None


def at(where: str) -> Journal | PostgreSQL:
    """The storage of this name: a file, or a URL that begins with `postgresql://`."""
    kind, colon, _ = where.partition("://")
    if not colon:
        return Journal(Path(where))
    if kind not in ("postgresql", "postgres"):
        raise PotstillError("--storage is a file, or a URL that begins with postgresql://")
    return PostgreSQL(where)
