import asyncio
import socket
import sqlite3
from pathlib import Path

import pytest

from schemas.errors import InvalidValue, Undecidable
from storage.database import Database, database_address
from storage.keys import KeyStore
from storage.migrate import migrate


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("sqlite:///a/b.db", "sqlite+aiosqlite:///a/b.db"),
        ("sqlite:////a/b.db", "sqlite+aiosqlite:////a/b.db"),
        ("postgresql://u:p%40@h:1/d", "postgresql+asyncpg://u:p%40@h:1/d"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+asyncpg://h/d?ssl=require"),
    ],
)
def test_the_driver_is_chosen_here(url: str, address: str) -> None:
    assert database_address(url).render_as_string(hide_password=False) == address


@pytest.mark.parametrize("url", ["", "penstock.db", "mysql://h/d", "redis://h"])
def test_other_databases_are_refused_without_repeating_what_was_given(url: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        database_address(url)
    assert refused.value.param == "database"


async def test_a_database_that_is_not_there_cannot_be_asked(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder.db", "postgresql://u@127.0.0.1:1/d"):
        database = await Database.open(url)
        with pytest.raises(Undecidable):
            await KeyStore(database).list()
        await database.close()


async def test_a_server_that_takes_connections_and_answers_nothing_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = await Database.open(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d", answer_s=0.2)
        async with asyncio.timeout(10):
            with pytest.raises(Undecidable, match="does not answer"):
                await KeyStore(database).list()
        await database.close()


async def test_a_database_that_another_process_locks_cannot_be_asked_to_write_but_can_be_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/penstock.db"
    migrate(url)
    database = await Database.open(url, busy_timeout_s=0.05)
    keys = KeyStore(database)
    other = sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Undecidable):
        await keys.create("acme", "laptop")
    assert await keys.list() == []
    other.execute("ROLLBACK")
    await keys.create("acme", "laptop")
    other.close()
    await database.close()


async def test_a_writer_who_has_read_first_is_not_refused(tmp_path: Path) -> None:
    """SQLite refuses a transaction that turns from reading to writing after another process wrote."""
    url = f"sqlite:///{tmp_path}/penstock.db"
    migrate(url)
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.exec_driver_sql("SELECT * FROM accounts")
        other = sqlite3.connect(tmp_path / "penstock.db", timeout=0.05, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        await connection.exec_driver_sql("INSERT INTO accounts (id, created_at_ms) VALUES ('a', 1)")
    await database.close()
