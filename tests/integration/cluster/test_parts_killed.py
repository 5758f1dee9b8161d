"""Of each part there are two, or one that may be away for a while."""

import asyncio

import httpx2
import pytest

from storage.keys import NewKey
from tests import upstream as scripts
from tests.asking import DONE, ask, streaming
from tests.integration.cluster.cluster import Cluster
from tests.integration.cluster.load import CLIENTS, asking_on
from tests.upstream import Reply, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_one_ingress_dies_and_the_other_serves(
    cluster: Cluster, upstream: Upstream, key: NewKey, account: str
) -> None:
    release = asyncio.Event()
    held = Reply([scripts.opening(), scripts.text("a"), release, *scripts.answer("b").steps])
    upstream.script(held, held)
    doomed, other = (cluster.client(key.secret, cluster.door(f"ingress-{number}")) for number in (1, 2))
    async with doomed, other, streaming(doomed) as cut, streaming(other) as whole:
        await asyncio.gather(cut.until_text("a"), whole.until_text("a"))
        await cluster.kill("ingress-1")
        with pytest.raises(httpx2.TransportError):
            await cut.rest()
        async with asking_on(cluster, key.secret) as told:
            await told.until_more(60)
        release.set()
        events = await whole.rest()
    assert (whole.text, events[-1]) == ("ab", DONE)
    # The proxy sends what a dead ingress never took to the other one.
    assert not told.failures
    assert await cluster.check("ingress-1") != 0
    await cluster.start("ingress-1")
    assert await cluster.check("ingress-1") == 0
    ends = await cluster.ends(account, told.answers + 2)
    assert sorted(ends)[told.answers + 1 :] == [("completed", 2)]
    assert len(ends) == told.answers + 2


async def test_one_text_worker_dies_with_work_in_hand_and_the_other_does_it(
    cluster: Cluster, upstream: Upstream, key: NewKey, account: str
) -> None:
    release = asyncio.Event()
    half = [scripts.text(" tok") for _ in range(8)]
    upstream.otherwise = Reply(
        [scripts.opening(), *half, release, *half, scripts.finish(), scripts.usage(10, 16), scripts.DONE]
    )
    async with cluster.client(key.secret, timeout_s=60) as http:
        asking = [asyncio.create_task(ask(http)) for _ in range(40)]
        await upstream.arrived(40)
        await cluster.kill("text-worker-1")
        release.set()
        answers = await asyncio.gather(*asking)
    contents = [answer.json()["choices"][0]["message"]["content"] for answer in answers]
    assert contents == [" tok" * 16] * 40
    assert len(upstream.asked) > 40, "the dead worker had some of them"
    assert await cluster.ends(account, 40) == [("completed", 16)] * 40
    await cluster.until_free(account)


async def test_one_machine_of_three_is_gone_with_all_that_ran_on_it(
    cluster: Cluster, key: NewKey, account: str
) -> None:
    async with asking_on(cluster, key.secret) as told:
        await told.until_more(20)
        await cluster.kill("kafka-2", "ingress-2", "text-worker-2")
        await told.until_more(60)
        at_first = told.failures.total()
        await told.until_more(20)
    # What the dead ingress was answering, and a stream that the dead worker had begun: one a client at most.
    assert told.failures.total() == at_first <= CLIENTS
    ends = await cluster.ends(account, told.answers)
    assert told.answers <= ends.count(("completed", 2)) <= told.answers + at_first


async def test_valkey_is_killed_and_comes_back_with_what_it_had(cluster: Cluster, key: NewKey, account: str) -> None:
    async with asking_on(cluster, key.secret) as told:
        await told.until_more(20)
        await cluster.kill("valkey")
        await cluster.start("valkey")
        await told.until_more(60)
    # What was under way at that moment ends in an explicit error: its chunks had nowhere to go.
    assert all(failure.startswith(("503", "a stream that ended with {'error'")) for failure in told.failures)
    ends = await cluster.ends(account, told.answers)
    assert told.answers <= ends.count(("completed", 2)) <= told.answers + told.failures.total()
    await cluster.until_free(account, within_s=40)
