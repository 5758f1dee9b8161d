"""What a webhook's caller does with receivers, good and bad, and where it never goes."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from tests.receiver import Receiver
from workers.webhooks.caller import Caller, NotHeard

LOCAL = [ip_network("127.0.0.1/32")]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    opened = Caller(LOCAL, http=True, limit_s=1)
    yield opened
    await opened.close()


async def test_a_receiver_is_given_body_and_headers(caller: Caller, receiver: Receiver) -> None:
    await caller.call(receiver.url, b"{}", {"webhook-id": "evt_1"})
    (call,) = receiver.calls
    assert (call.body, call.headers["webhook-id"]) == (b"{}", "evt_1")
    assert call.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 500, 503])
async def test_only_2xx_is_an_answer_and_redirects_lead_nowhere(
    caller: Caller, receiver: Receiver, status: int
) -> None:
    receiver.statuses.append(status)
    with pytest.raises(NotHeard) as refused:
        await caller.call(receiver.url, b"{}", {})
    assert refused.value.final == (status == 410)
    assert len(receiver.calls) == 1


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"]
)
async def test_nothing_that_is_not_public_is_called(receiver: Receiver, host: str) -> None:
    guarded = Caller([], http=True, limit_s=2)
    with pytest.raises(NotHeard, match="may not be called"):
        await guarded.call(f"http://{host}:{receiver.port}/hook", b"{}", {})
    await guarded.close()
    assert receiver.calls == []


async def test_https_alone_is_spoken_unless_set_otherwise(receiver: Receiver) -> None:
    strict = Caller(LOCAL, http=False, limit_s=1)
    with pytest.raises(NotHeard, match="may not be called"):
        await strict.call(receiver.url, b"{}", {})
    await strict.close()
    assert receiver.calls == []


async def test_a_silent_receiver_is_left(caller: Caller) -> None:
    left = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(NotHeard, match="no answer within 1 s"):
        await caller.call(f"http://127.0.0.1:{port}/", b"{}", {})
    await asyncio.wait_for(left.wait(), 5)
    server.close()


async def test_a_receiver_that_talks_for_ever_is_heard_and_left(caller: Caller) -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()
            gone.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await caller.call(f"http://127.0.0.1:{port}/", b"{}", {})
    await asyncio.wait_for(gone.wait(), 5)
    server.close()


async def test_nobody_there_is_not_heard(caller: Caller) -> None:
    with pytest.raises(NotHeard, match="could not be called"):
        await caller.call("http://127.0.0.1:9/", b"{}", {})
