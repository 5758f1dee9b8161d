"""The embedded Valkey answers on both its addresses and keeps what it was told."""

from pathlib import Path

from redis.asyncio import Redis

from storage.local.valkey import ValkeyServer


async def test_both_addresses_lead_to_the_same_server(valkey: ValkeyServer) -> None:
    assert valkey.url.startswith("unix://")
    async with Redis.from_url(valkey.url) as by_socket, Redis.from_url(valkey.tcp_url) as by_port:
        await by_socket.set("who", "me")
        assert await by_port.get("who") == b"me"


async def test_what_it_answered_is_there_after_a_stop(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    child = await server.start()
    async with Redis.from_url(server.tcp_url) as redis:
        await redis.set("job", "kept")
    await child.stop(5)

    child = await server.start()
    try:
        async with Redis.from_url(server.tcp_url) as redis:
            assert await redis.get("job") == b"kept"
    finally:
        await child.stop(5)


async def test_a_folder_too_deep_for_a_socket_is_served_by_port(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path / ("deep" * 30))
    child = await server.start()
    try:
        assert server.url == server.tcp_url
        async with Redis.from_url(server.url) as redis:
            assert await redis.ping()
    finally:
        await child.stop(5)
