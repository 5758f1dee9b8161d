"""The topology as it is when nothing is broken."""

import pytest

from storage.keys import NewKey
from tests.asking import DONE, ask, streaming
from tests.integration.cluster.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_both_ingresses_answer(cluster: Cluster, key: NewKey, account: str) -> None:
    for url in (cluster.door("ingress-1"), cluster.door("ingress-2"), cluster.url):
        async with cluster.client(key.secret, url) as http:
            whole = await ask(http)
            assert whole.status_code == 200, whole.text
            assert whole.json()["choices"][0]["message"]["content"] == "Hello there"
            async with streaming(http) as stream:
                events = await stream.rest()
            assert (stream.text, events[-1]) == ("Hello there", DONE)
    charges = await cluster.charges(account, 6)
    assert [charge.event.usage.output_tokens for charge in charges] == [2] * 6
    await cluster.until_free(account)
