"""The topology as it is when nothing is broken: what compose.yaml promises of it."""

import asyncio
import re
from typing import Final

import httpx2
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from storage.keys import NewKey
from tests.asking import DONE, PATH, ask, error_of, streaming
from tests.integration.cluster.cluster import PARTS, Cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")

OFFSETS: Final = "__consumer_offsets"


async def test_both_ingresses_answer_and_so_does_the_proxy(cluster: Cluster, key: NewKey, account: str) -> None:
    for url in (cluster.door("ingress-1"), cluster.door("ingress-2"), cluster.url):
        async with cluster.client(key.secret, url) as http:
            whole = await ask(http)
            assert whole.status_code == 200, whole.text
            assert whole.json()["choices"][0]["message"]["content"] == "Hello there"
            async with streaming(http) as stream:
                events = await stream.rest()
            assert (stream.text, events[-1]) == ("Hello there", DONE)
    assert await cluster.ends(account, 6) == [("completed", 2)] * 6
    await cluster.until_free(account)


async def test_the_proxy_has_both_ingresses_and_shares_out(cluster: Cluster, key: NewKey, account: str) -> None:
    before = {name: await asked_of(cluster, name) for name in ("ingress-1", "ingress-2")}
    async with cluster.client(key.secret) as http:
        await asyncio.gather(*[ask(http) for _ in range(20)])
    served = {name: await asked_of(cluster, name) - count for name, count in before.items()}
    assert sum(served.values()) == 20
    assert min(served.values()) > 0


async def asked_of(cluster: Cluster, name: str) -> float:
    return await cluster.metric("penstock_ingress_requests_total", cluster.metrics(name), route=PATH)


async def test_every_topic_has_three_copies_and_two_must_agree(cluster: Cluster) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        topics = {told["topic"]: told["partitions"] for told in await admin.describe_topics()}
        ours = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics if name != OFFSETS]
        answers = await admin.describe_configs(ours)
    finally:
        await admin.close()
    assert {"penstock.text.default", "penstock.usage", "penstock.submissions", OFFSETS} <= set(topics)
    assert {len(each["replicas"]) for partitions in topics.values() for each in partitions} == {3}
    lane = topics["penstock.text.default"]
    assert {each["replicas"][0] for each in lane} == {1, 2, 3}, "the nodes share its leadership"
    settings = [{entry[0]: entry[1] for entry in resource[4]} for answer in answers for resource in answer.resources]
    assert [each["min.insync.replicas"] for each in settings] == ["2"] * len(ours)


@pytest.mark.parametrize("name", PARTS)
async def test_a_part_is_well_by_the_check_that_compose_makes(cluster: Cluster, name: str) -> None:
    assert await cluster.check(name) == 0


async def test_a_key_that_is_bound_to_a_network_sees_the_client_and_not_the_proxy(
    cluster: Cluster, account: str
) -> None:
    inside, outside = cluster.address("migrate"), cluster.address("postgres")
    key = await cluster.create_key(account, networks=(f"{inside}/32",))
    statuses = {}
    for address in (inside, outside):
        async with httpx2.AsyncClient(
            base_url=cluster.url,
            headers={"authorization": f"Bearer {key.secret}", "x-forwarded-for": inside},
            transport=httpx2.AsyncHTTPTransport(local_address=address),
        ) as http:
            statuses[address] = (await ask(http)).status_code
    assert statuses == {inside: 200, outside: 403}


async def test_what_is_the_operator_s_is_not_the_public_s(cluster: Cluster) -> None:
    async with httpx2.AsyncClient(base_url=cluster.url, trust_env=False) as http:
        assert (await http.get("/metrics")).status_code == 404
        assert (await http.get("/penstock/?list-type=2")).status_code == 403
        assert (await http.put("/penstock/mine", content=b"x")).status_code == 404
        page = (await http.get(f"http://{cluster.address('proxy')}:9100/metrics")).text
    assert re.search(r'haproxy_server_status\{proxy="ingress",server="ingress-2",state="UP"\} 1', page)
    async with cluster.client("sk-ps-nobody") as http:
        assert error_of(await ask(http), 401)["code"] == "invalid_api_key"
