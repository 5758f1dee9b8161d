"""Three nodes and three copies of everything: any one node may go, and nobody notices more than a wait."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from storage.keys import NewKey
from tests.asking import ask, error_of
from tests.integration.cluster.cluster import Cluster
from tests.integration.cluster.load import asking_on
from tests.running import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANE = "penstock.text.default"


async def partitions(cluster: Cluster, topic: str) -> list[dict[str, object]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        (told,) = await admin.describe_topics([topic])
        found: list[dict[str, object]] = told["partitions"]
        return found
    finally:
        await admin.close()


async def in_sync(cluster: Cluster) -> set[int]:
    """How many copies of the lane's partitions are in sync."""
    return {len(each["isr"]) for each in await partitions(cluster, LANE)}  # type: ignore[arg-type]


@pytest.mark.parametrize("node", [1, 2, 3])
async def test_one_node_dies_under_load_and_every_request_is_answered_and_charged_once(
    cluster: Cluster, key: NewKey, account: str, node: int
) -> None:
    await until(lambda: in_sync(cluster), lambda copies: copies == {3})
    async with asking_on(cluster, key.secret) as told:
        await told.until_more(50)
        await cluster.kill(f"kafka-{node}")
        await told.until_more(150)
        await cluster.start(f"kafka-{node}")
        await told.until_more(50)
    assert not told.failures
    # A job's charge stands in the ledger once or not at all, so too many would be jobs that nobody asked for.
    assert await cluster.ends(account, told.answers) == [("completed", 2)] * told.answers
    await cluster.until_free(account)


async def test_with_two_nodes_gone_requests_are_refused_in_time_and_served_when_one_is_back(
    cluster: Cluster, key: NewKey, account: str
) -> None:
    """What one node alone acknowledged could be lost with it."""
    await until(lambda: in_sync(cluster), lambda copies: copies == {3})
    async with cluster.client(key.secret, timeout_s=60) as http:
        assert (await ask(http)).status_code == 200
        await cluster.kill("kafka-1", "kafka-2")
        async with asyncio.timeout(20):
            refused = await ask(http)
        assert error_of(refused, 503)["code"] == "undecidable"
        assert int(refused.headers["retry-after"]) >= 1
        await cluster.start("kafka-1")
        served = 1

        async def status() -> int:
            return (await ask(http)).status_code

        await until(status, lambda code: code == 200, 60)
        served += 1
    await cluster.until_free(account)
    ends = await cluster.ends(account, served)
    assert [end for end in ends if end[0] == "completed"] == [("completed", 2)] * served, "who was refused pays nothing"
