"""Law 7: the request path touches no database. PostgreSQL may be away; what was used meanwhile is charged after."""

import asyncio

import pytest

from schemas.errors import Undecidable
from storage.database import Database
from storage.keys import KeyStore, NewKey
from tests.asking import ask, error_of
from tests.integration.cluster.cluster import Cluster
from tests.integration.cluster.load import asking_on

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def warm(cluster: Cluster, secret: str) -> None:
    """Let both ingresses know the key."""
    for name in ("ingress-1", "ingress-2"):
        async with cluster.client(secret, cluster.door(name)) as http:
            assert (await ask(http)).status_code == 200


async def test_stopped_for_a_while_requests_go_on_and_the_ledger_catches_up(
    cluster: Cluster, key: NewKey, account: str
) -> None:
    stranger = await cluster.create_key(account)
    await warm(cluster, key.secret)
    async with asking_on(cluster, key.secret) as told:
        await told.until_more(20)
        await cluster.stop("postgres")
        await told.until_more(60)
        async with cluster.client(stranger.secret) as http:
            refused = await ask(http)
            assert error_of(refused, 503)["code"] == "undecidable"
        await cluster.start("postgres")
        await told.until_more(20)
        async with cluster.client(stranger.secret) as http:
            assert (await ask(http)).status_code == 200
    assert not told.failures
    count = told.answers + 3
    assert await cluster.ends(account, count, within_s=60) == [("completed", 2)] * count


async def test_killed_and_recovered_it_has_every_charge(cluster: Cluster, key: NewKey, account: str) -> None:
    await warm(cluster, key.secret)
    async with asking_on(cluster, key.secret) as told:
        await told.until_more(20)
        await cluster.kill("postgres")
        await told.until_more(20)
        await cluster.start("postgres")
        await told.until_more(20)
    assert not told.failures
    count = told.answers + 2
    assert await cluster.ends(account, count, within_s=60) == [("completed", 2)] * count


async def test_frozen_it_holds_up_nobody_whose_key_is_known(cluster: Cluster, key: NewKey, account: str) -> None:
    """It takes connections and never answers: the refusals of a server that is gone come at once, these never."""
    stranger = await cluster.create_key(account)
    await warm(cluster, key.secret)
    impatient = await Database.open(cluster.database_url, answer_s=1)
    assert await KeyStore(impatient).list()
    cluster.freeze("postgres")
    try:
        async with asyncio.timeout(10):
            with pytest.raises(Undecidable):
                await KeyStore(impatient).list()
        async with asking_on(cluster, key.secret) as told:
            await told.until_more(40)
        async with cluster.client(stranger.secret, timeout_s=30) as http:
            assert error_of(await ask(http), 503)["code"] == "undecidable"
    finally:
        cluster.thaw("postgres")
    assert await KeyStore(impatient).list()
    await impatient.close()
    assert not told.failures
    count = told.answers + 2
    assert await cluster.ends(account, count, within_s=90) == [("completed", 2)] * count
