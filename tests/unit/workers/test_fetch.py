"""Fetching from a real server on this machine, which is allowed only where a test says so."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest

from schemas.errors import BodyTooLarge, InvalidRequest
from tests.upstream import CUT, Reply, Upstream
from workers.fetch import Fetcher
from workers.job_engine import OnlyWhole

HERE = ip_network("127.0.0.0/8")
MOST = 1000


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """One that may fetch from this machine, and waits for no more than a fifth of a second."""
    made = Fetcher([HERE], http=True, limit_s=0.2)
    yield made
    await made.close()


@pytest.fixture
async def strict() -> AsyncIterator[Fetcher]:
    """One that may fetch from the public Internet alone."""
    made = Fetcher(http=True)
    yield made
    await made.close()


def reply(*pieces: bytes, status: int = 200, **headers: str) -> Reply:
    return Reply(list(pieces), status, {name.replace("_", "-"): value for name, value in headers.items()})


async def test_what_is_there_comes_whole(server: Upstream, fetcher: Fetcher) -> None:
    server.script(reply(b"ab", b"cd"))
    assert await fetcher.get(server.url + "/a?b=c", MOST) == b"abcd"
    asked = server.asked[0]
    assert asked.target == "/v1/a?b=c"
    assert not {"cookie", "authorization", "referer"} & asked.headers.keys()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
async def test_this_machine_is_not_led_to_by_any_of_its_names(server: Upstream, strict: Fetcher, host: str) -> None:
    with pytest.raises(InvalidRequest, match=r"not on the public Internet|could not be fetched"):
        await strict.get(f"http://{host}:{server.port}/", MOST)
    assert server.asked == []


@pytest.mark.parametrize("url", ["http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/"])
async def test_private_addresses_are_not_led_to(strict: Fetcher, url: str) -> None:
    with pytest.raises(InvalidRequest, match="not on the public Internet"):
        await strict.get(url, MOST)


async def test_a_name_with_a_public_and_a_private_address_is_not_led_to(
    strict: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(InvalidRequest, match=r"'both\.example' leads to an address"):
        await strict.get("http://both.example/", MOST)


async def test_the_connection_goes_to_the_address_that_was_checked(
    server: Upstream, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        """The second answer would lead elsewhere."""
        looked_up.append(host)
        address = "127.0.0.1" if len(looked_up) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    server.script(reply(b"x"))
    assert await fetcher.get(f"http://rebinding.example:{server.port}/", MOST) == b"x"
    assert looked_up == ["rebinding.example"]
    assert server.asked[0].headers["host"] == f"rebinding.example:{server.port}"


async def test_the_rest_of_a_file_is_asked_for_and_nothing_else_is_taken_for_it(
    server: Upstream, fetcher: Fetcher
) -> None:
    server.script(
        reply(status=302, Location="/elsewhere"),
        reply(b"cd", status=206, Content_Range="bytes 2-3/4"),
        reply(status=416, Content_Range="bytes */2"),
        reply(b"abcd"),
        reply(b"bcd", status=206, Content_Range="bytes 1-3/4"),
    )
    assert [piece async for piece in fetcher.read(server.url + "/a", MOST, 2)] == [b"cd"]
    assert [each.headers["range"] for each in server.asked] == ["bytes=2-", "bytes=2-"]
    assert [piece async for piece in fetcher.read(server.url + "/a", MOST, 2)] == [], "it had ended there"
    for _ in range(2):
        with pytest.raises(OnlyWhole):
            await anext(fetcher.read(server.url + "/a", MOST, 2))


async def test_a_redirect_is_followed(server: Upstream, fetcher: Fetcher) -> None:
    server.script(reply(status=302, Location="/there"), reply(b"x"))
    assert await fetcher.get(server.url + "/here", MOST) == b"x"
    assert [asked.target for asked in server.asked] == ["/v1/here", "/there"]


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd", "ftp://a/", "http://["]
)
async def test_a_redirect_is_a_url_like_the_first(server: Upstream, fetcher: Fetcher, location: str) -> None:
    server.script(reply(status=301, Location=location))
    with pytest.raises(InvalidRequest):
        await fetcher.get(server.url, MOST)
    assert len(server.asked) == 1


async def test_redirects_end(server: Upstream, fetcher: Fetcher) -> None:
    server.otherwise = reply(status=307, Location="/again")
    with pytest.raises(InvalidRequest, match="redirected more than 3 times"):
        await fetcher.get(server.url, MOST)
    assert len(server.asked) == 4


async def test_without_leave_only_tls_is_spoken(server: Upstream) -> None:
    fetcher = Fetcher([HERE])
    with pytest.raises(InvalidRequest, match="should begin with https://"):
        await fetcher.get(server.url, MOST)
    await fetcher.close()


@pytest.mark.parametrize("url", ["http://user:secret@a.example/", "http://", "nonsense", "http://a:b/", "data:,x"])
async def test_what_is_no_plain_url_is_refused(strict: Fetcher, url: str) -> None:
    with pytest.raises(InvalidRequest):
        await strict.get(url, MOST)


async def test_what_announces_that_it_is_too_large_is_refused_at_once(fetcher: Fetcher) -> None:
    async def announce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(announce, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BodyTooLarge, match="larger than 1000 bytes"):
            await fetcher.get(f"http://127.0.0.1:{port}/", MOST)


async def test_what_is_too_large_is_refused_as_soon_as_it_is(server: Upstream, fetcher: Fetcher) -> None:
    server.script(Reply([b"x" * (MOST + 1), asyncio.Event()], 200, {}))
    with pytest.raises(BodyTooLarge, match="larger than 1000 bytes"):
        await fetcher.get(server.url, MOST)


async def test_a_server_that_is_silent_costs_no_more_than_the_limit(server: Upstream, fetcher: Fetcher) -> None:
    server.mute = True
    with pytest.raises(InvalidRequest, match=r"within 0\.2 s"):
        await fetcher.get(server.url, MOST)
    await asyncio.wait_for(server.asked[0].gone.wait(), 5)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b"no", status=404), "answered 404"),
        (reply(status=302), "answered 302"),
        (Reply([b"x", CUT], 200, {}), "could not be fetched"),
    ],
)
async def test_what_cannot_be_had_is_said(server: Upstream, fetcher: Fetcher, answer: Reply, words: str) -> None:
    server.script(answer)
    with pytest.raises(InvalidRequest, match=words):
        await fetcher.get(server.url, MOST)


async def test_a_url_of_a_megabyte_is_not_repeated_in_full(fetcher: Fetcher) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await fetcher.get("http://127.0.0.1:1/" + "x" * 1_000_000, MOST)
    assert len(caught.value.message) < 400
