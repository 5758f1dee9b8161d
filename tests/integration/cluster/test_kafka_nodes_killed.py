"""Three nodes and three copies of everything: any one node may go, and nobody notices more than a wait."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from storage.keys import NewKey
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
        await told.until_more(300)
        await cluster.start(f"kafka-{node}")
        await told.until_more(100)
    print(told)
    assert not told.failures
    charges = await cluster.charges(account, told.answers)
    assert len({charge.event.job_id for charge in charges}) == len(charges) == told.answers
    assert {(charge.event.end, charge.event.usage.output_tokens) for charge in charges} == {("completed", 2)}
    await cluster.until_free(account)
