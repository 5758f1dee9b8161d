"""The ledger's process dies: requests do not notice, and each is charged exactly once."""

import asyncio

import pytest

from tests.asking import ask
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_killed_while_requests_run_each_is_charged_once(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    async with breakable.client(key.secret) as http:
        assert {answer.status_code for answer in await asyncio.gather(*[ask(http) for _ in range(20)])} == {200}
        await breakable.kill("streams")
        assert {answer.status_code for answer in await asyncio.gather(*[ask(http) for _ in range(20)])} == {200}
        await breakable.start("streams")
        assert (await ask(http)).status_code == 200
    charges = await breakable.charges(account, 41)
    assert len(charges) == 41
    assert {charge.cost_microusd for charge in charges} == {7 * 1 + 2 * 2}
