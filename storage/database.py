"""One relational database, SQLite or PostgreSQL, behind one door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import Table

from schemas.errors import InvalidValue, Undecidable

STATEMENTS_KEPT: Final = 8
"""Prepared statements that a SQLite connection keeps; each size of batch is one of its own, half a megabyte large."""

BUSY_TIMEOUT_S: Final = 5
"""How long SQLite waits for another process's write before it says that the database is locked."""

ANSWER_S: Final = 30.0
"""How long a transaction may take: a server that has vanished, or hangs, closes no connection and answers nothing."""

DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}

WRITING: Final = "penstock_writing"
"""Execution option that marks a connection whose transactions write."""


class Database:
    """A pool of connections to a database that `storage.migrate` has brought up to date.

    `reading` and `writing` raise Undecidable when the database cannot be asked: out of reach, locked by another
    process for longer than the busy timeout, not migrated, or silent for longer than a transaction may take.
    """

    def __init__(self, engine: AsyncEngine, answer_s: float | None) -> None:
        self._engine = engine
        self._answer_s = answer_s

    @classmethod
    async def open(
        cls, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S, answer_s: float | None = ANSWER_S
    ) -> "Database":
        """Takes no connection yet: the first transaction does. Without `answer_s` one may take as long as it takes."""
        return cls(_engine(database_address(url), busy_timeout_s), answer_s)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads."""
        async with _translated(self._answer_s), self._engine.connect() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed when the block ends and undone when it raises."""
        async with _translated(self._answer_s), self._engine.connect() as connection:
            await connection.execution_options(**{WRITING: True})
            async with connection.begin():
                yield connection

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An INSERT with the dialect's own `on_conflict_…`, which SQLAlchemy's common language lacks."""
        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


def database_address(url: str) -> URL:
    """`url` with the asynchronous driver's name in it; libpq's `sslmode` is `ssl` to asyncpg."""
    try:
        address = make_url(url)
        address = address.set(drivername=DRIVERS[address.drivername.partition("+")[0]])
    except (ArgumentError, KeyError) as exc:
        message = "The database must be given as sqlite:///path or postgresql://user:password@host/name."
        raise InvalidValue(message, param="database") from exc
    if mode := address.query.get("sslmode"):
        address = address.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return address


@asynccontextmanager
async def _translated(answer_s: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(answer_s):
            yield
    except TimeoutError as exc:
        raise Undecidable("The database does not answer.") from exc
    except (SQLAlchemyError, OSError) as exc:
        # The driver's own words; SQLAlchemy's would repeat the statement and its parameters.
        raise Undecidable(f"The database cannot be asked: {getattr(exc, 'orig', None) or exc}.") from exc


def _engine(address: URL, busy_timeout_s: float) -> AsyncEngine:
    if address.get_backend_name() == "postgresql":
        return create_async_engine(address, pool_pre_ping=True)
    arguments = {"timeout": busy_timeout_s, "cached_statements": STATEMENTS_KEPT}
    engine = create_async_engine(address, connect_args=arguments)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Transactions are begun by `_begin_sqlite`, so the driver must begin none of its own.

    WAL lets readers go on while one process writes; in it, `synchronous=NORMAL` could lose the last commits of
    a machine that loses power, and a charge that is gone after its offset was committed is gone for good.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes SQLite's one write lock at once.

    Having read first, it would be refused whatever the busy timeout if another process wrote in between.
    """
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
