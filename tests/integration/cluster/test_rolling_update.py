"""A new release: every part is told to end and is started again, one after the other, under load."""

import pytest

from storage.keys import NewKey
from tests.integration.cluster.cluster import Cluster
from tests.integration.cluster.load import asking_on

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = ("ingress-1", "ingress-2", "text-worker-1", "text-worker-2", "streams")


async def test_nobody_notices(cluster: Cluster, key: NewKey, account: str) -> None:
    async with asking_on(cluster, key.secret) as told:
        for name in PARTS:
            await told.until_more(10)
            assert await cluster.stop(name) == 0
            await told.until_more(10)
            await cluster.start(name)
        await told.until_more(10)
    assert not told.failures
    assert await cluster.ends(account, told.answers) == [("completed", 2)] * told.answers
    await cluster.until_free(account)
