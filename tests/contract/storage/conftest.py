"""One suite over both databases: SQLite always, PostgreSQL where PENSTOCK_TEST_POSTGRES is the URL of a server."""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from storage.database import Database, database_address
from storage.migrate import migrate

POSTGRES = os.environ.get("PENSTOCK_TEST_POSTGRES", "")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/penstock.db"
        return
    if not POSTGRES:
        pytest.skip("PENSTOCK_TEST_POSTGRES is not set")
    server = create_async_engine(database_address(POSTGRES), isolation_level="AUTOCOMMIT")
    name = f"penstock_test_{secrets.token_hex(6)}"
    async with server.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield database_address(POSTGRES).set(database=name).render_as_string(hide_password=False)
        await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    await server.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    migrate(database_url)
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
