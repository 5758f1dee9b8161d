"""A Kafka node that hangs, or whose machine is cut off: its connections stay open, and nothing comes back."""

import asyncio
from typing import Final

import pytest

from storage.keys import NewKey
from tests.integration.cluster.cluster import Cluster
from tests.integration.cluster.load import CLIENTS, asking_on

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTICED_S: Final = 20.0
"""A consumer waits 8 s for a node; two in a row if what it asks next is asked of the same one."""


async def test_what_it_led_goes_on_elsewhere_and_each_request_ends_once(
    cluster: Cluster, key: NewKey, account: str
) -> None:
    async with asking_on(cluster, key.secret) as told:
        await told.until_more(20)
        cluster.freeze("kafka-1")
        try:
            await told.until_more(40)
            async with asyncio.timeout(30):
                await told.until_more(60)
        finally:
            cluster.thaw("kafka-1")
        await told.until_more(40)
    assert told.slowest_s < NOTICED_S
    # A job that waited for the node in one process may run out of another's patience with it.
    assert told.failures.total() <= CLIENTS
    assert all(failure.startswith("503 ") and '"undecidable"' in failure for failure in told.failures)
    ends = await cluster.ends(account, told.answers, within_s=60)
    assert told.answers <= ends.count(("completed", 2)) <= told.answers + told.failures.total()
