"""Bring a database to the newest schema."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from storage.database import Database, database_address

PATIENCE_S: Final = 60
"""How long a migration waits for one that another process runs."""

LOCK: Final = 0x70656E73
"""PostgreSQL's advisory lock that lets one migration run at a time: any number that nothing else uses."""


def migrate(url: str) -> None:
    """Run the migrations that the database lacks, making SQLite's file and its folder where there are none.

    May be run again, and by several processes at once: one migrates, the others wait and find nothing to do.
    Blocks its caller, in a running event loop too.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _migrate(url)).result()


async def _migrate(url: str) -> None:
    address = database_address(url)
    if address.get_backend_name() == "sqlite" and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    # A large ledger takes its time, and on PostgreSQL so does another process's migration.
    database = await Database.open(url, busy_timeout_s=PATIENCE_S, answer_s=None)
    try:
        async with database.writing() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await database.close()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
