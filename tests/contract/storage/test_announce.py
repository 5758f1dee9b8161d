import asyncio

import pytest
from redis.asyncio import Redis

from schemas.access import KEYS_CHANNEL
from schemas.errors import Undecidable
from storage.keys import announce
from storage.local.valkey import ValkeyServer


@pytest.mark.parametrize("way_in", ["url", "tcp_url"])
async def test_every_listener_hears_of_each_key_that_changed(valkey: ValkeyServer, way_in: str) -> None:
    url = getattr(valkey, way_in)
    async with Redis.from_url(url, decode_responses=True) as redis, redis.pubsub() as listener:
        await listener.subscribe(KEYS_CHANNEL)
        assert (await listener.get_message(timeout=5))["type"] == "subscribe"
        await announce(url, "key_1", "key_2")
        async with asyncio.timeout(5):
            heard = [(await listener.get_message(timeout=5))["data"] for _ in range(2)]
    assert heard == ["key_1", "key_2"]


async def test_a_redis_that_is_away_is_told_of() -> None:
    with pytest.raises(Undecidable):
        await announce("redis://127.0.0.1:1/0", "key_1")
