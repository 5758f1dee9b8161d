import asyncio
import subprocess
import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from storage.database import Database
from storage.keys import KeyStore
from storage.migrate import migrate
from storage.tables import METADATA


async def test_migrations_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_second_migration_keeps_what_is_there(database: Database, database_url: str) -> None:
    await KeyStore(database).create("acme", "first")
    migrate(database_url)
    assert [key.name for key in await KeyStore(database).list()] == ["first"]


def test_processes_may_migrate_at_once(database_url: str) -> None:
    program = "import sys; from storage.migrate import migrate; sys.stdin.read(1); migrate(sys.argv[1])"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], errors
    assert asyncio.run(_names(database_url)) == []


async def _names(url: str) -> list[str]:
    database = await Database.open(url)
    names = [key.name for key in await KeyStore(database).list()]
    await database.close()
    return names
