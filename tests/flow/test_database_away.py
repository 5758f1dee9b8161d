"""Law 7: a database outage never turns a valid key into a 401 (LL#29986), nor does it stop what is known."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from storage.keys import NewKey
from tests.asking import ask, error_of
from tests.stack import Stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextmanager
def without_keys(stack: Stack) -> Iterator[None]:
    """The database cannot be asked for keys inside the block."""
    with closing(sqlite3.connect(stack.database_url.removeprefix("sqlite:///"))) as database:
        database.execute("ALTER TABLE access_keys RENAME TO hidden_keys")
        database.commit()
        try:
            yield
        finally:
            database.execute("ALTER TABLE hidden_keys RENAME TO access_keys")
            database.commit()


async def test_known_keys_go_on_and_unknown_ones_are_undecided(
    stack: Stack, tight_door: str, key: NewKey, account: str
) -> None:
    stranger = await stack.create_key(account)
    async with stack.client(key.secret, tight_door) as known, stack.client(stranger.secret, tight_door) as unknown:
        assert (await ask(known)).status_code == 200
        with without_keys(stack):
            refused = await ask(unknown)
            assert error_of(refused, 503)["code"] == "undecidable"
            assert "retry-after" in refused.headers
            asked = 0

            async def served_past_the_keys_age() -> int:
                nonlocal asked
                assert (await ask(known)).status_code == 200
                asked += 1
                return await stack.log_count("ingress-tight", "key_refresh_failed")

            # Half a second is how long this door takes a key for fresh.
            await until(served_past_the_keys_age, lambda failures: failures > 0, within_s=5)
            assert asked > 1
            assert (await known.get("/readyz")).status_code == 200
        assert (await ask(known)).status_code == 200

        async def status() -> int:
            return (await ask(unknown)).status_code

        await until(status, lambda code: code == 200, within_s=5)


async def test_usage_is_a_503_while_the_ledger_cannot_be_read(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        assert (await http.get("/v1/usage")).status_code == 200
        with closing(sqlite3.connect(stack.database_url.removeprefix("sqlite:///"))) as database:
            database.execute("ALTER TABLE ledger RENAME TO hidden_ledger")
            database.commit()
            try:
                assert error_of(await http.get("/v1/usage"), 503)["code"] == "undecidable"
                assert (await ask(http)).status_code == 200
            finally:
                database.execute("ALTER TABLE hidden_ledger RENAME TO ledger")
                database.commit()
        # What was used meanwhile is charged when the ledger is back.
        assert len(await stack.charges(key.key.account, 1)) == 1
