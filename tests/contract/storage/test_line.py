import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest
from prometheus_client import REGISTRY

from schemas.errors import Undecidable
from storage.line import Line, Script
from storage.local.valkey import ValkeyServer
from tests.contract.storage.between import Between
from tests.waiting import eventually

COUNT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")


def sample(name: str) -> float:
    value = REGISTRY.get_sample_value(name)
    assert value is not None, name
    return value


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Line]:
    line = Line(url)
    await line.open()
    try:
        yield line
    finally:
        await line.close()


async def test_replies_come_to_their_callers_in_the_order_of_the_calls(line: Line) -> None:
    calls = [line.call("ECHO", str(i)) for i in range(5_000)]
    assert await asyncio.gather(*calls) == [str(i).encode() for i in range(5_000)]


async def test_a_caller_that_was_cancelled_does_not_shift_the_replies_of_others(line: Line) -> None:
    calls = [line.call("ECHO", str(i)) for i in range(10)]
    waiting = [asyncio.create_task(asyncio.wait_for(call, 5)) for call in calls]
    await asyncio.sleep(0)
    for cancelled in waiting[::2]:
        cancelled.cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert done[1::2] == [b"1", b"3", b"5", b"7", b"9"]
    assert await line.call("ECHO", "after") == b"after"


async def test_an_error_reply_is_its_own_callers_only(line: Line) -> None:
    before, wrong, after = line.call("ECHO", "a"), line.call("NOSUCHCOMMAND"), line.call("ECHO", "b")
    with pytest.raises(hiredis.ReplyError, match="unknown command"):
        await wrong
    assert (await before, await after) == (b"a", b"b")


async def test_an_error_inside_a_scripts_array_is_a_value(line: Line) -> None:
    inside = Script("return {'a', redis.pcall('NOSUCHCOMMAND'), 'b'}")
    reply = await line.run(inside, ("k",))
    assert (reply[0], type(reply[1]), reply[2]) == (b"a", hiredis.ReplyError, b"b")
    assert await line.call("ECHO", "after") == b"after"


async def test_a_reply_of_many_megabytes_arrives_whole(line: Line) -> None:
    size = 4 * 1024 * 1024
    reply = await line.run(Script("return string.rep('x', ARGV[1])"), ("k",), size)
    assert len(reply) == size


async def test_scripts_the_server_has_forgotten_are_sent_again_while_many_wait(line: Line) -> None:
    await line.call("SCRIPT", "FLUSH")
    await line.call("DEL", "test:count")
    counted = await asyncio.gather(*[line.run(COUNT, ("test:count",), 1) for _ in range(200)])
    assert sorted(counted) == list(range(1, 201))


async def test_every_call_that_a_lost_connection_leaves_is_undecidable_and_the_next_go_through(redis_url: str) -> None:
    async with Between(redis_url) as between, opened(between.url) as line:
        between.muted = True
        calls = [line.call("ECHO", str(i)) for i in range(100)]
        between.cut()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in done} == {Undecidable}
        between.muted = False
        async with asyncio.timeout(5):
            await line.connected.wait()
        assert await line.call("ECHO", "back") == b"back"


async def test_a_call_while_there_is_no_connection_fails_at_once(redis_url: str) -> None:
    async with Between(redis_url) as between, opened(between.url) as line:
        there, lost = sample("penstock_redis_connections"), sample("penstock_redis_connections_lost_total")
        await between.refuse()
        await eventually(lambda: not line.connected.is_set())
        assert sample("penstock_redis_connections") == there - 1
        assert sample("penstock_redis_connections_lost_total") == lost + 1
        started = time.perf_counter()
        with pytest.raises(Undecidable):
            await line.call("PING")
        assert time.perf_counter() - started < 0.1
        await between.listen()
        async with asyncio.timeout(5):
            await line.connected.wait()
        assert sample("penstock_redis_connections") == there
        assert await line.call("ECHO", "back") == b"back"


async def test_a_server_that_says_nothing_is_given_up(redis_url: str) -> None:
    async with Between(redis_url) as between, opened(between.url) as line:
        between.muted = True
        started = time.perf_counter()
        with pytest.raises(Undecidable):
            await line.call("PING")
        assert 2 <= time.perf_counter() - started < 4
        between.muted = False
        async with asyncio.timeout(6):
            await line.connected.wait()
        assert await line.call("ECHO", "back") == b"back"


async def test_a_pause_of_this_process_is_not_the_servers_silence(redis_url: str) -> None:
    async with Between(redis_url) as between, opened(between.url) as line:
        call = line.call("ECHO", "late")
        await asyncio.sleep(0)
        time.sleep(2.7)  # noqa: ASYNC251 - the event loop itself is held up
        assert await call == b"late"
        assert between.connections == 1


async def test_a_server_that_will_not_have_us_is_told_of_at_once(redis_url: str, valkey: ValkeyServer) -> None:
    for url in (
        "redis://127.0.0.1:1/0",
        f"redis://:wrong@127.0.0.1:{valkey.port}/0",
        f"redis://127.0.0.1:{valkey.port}/99",
    ):
        with pytest.raises(Undecidable):
            await Line(url).open()


async def test_a_valkey_that_is_killed_and_started_again_is_found_again(tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path)
    child = await server.start()
    try:
        async with opened(server.url) as line:
            assert await line.run(COUNT, ("n",), 5) == 5
            await line.call("BGREWRITEAOF")
            child._process.kill()
            await child.wait()
            with pytest.raises(Undecidable):
                await line.run(COUNT, ("n",), 1)
            child = await server.start()
            async with asyncio.timeout(5):
                await line.connected.wait()
            counted = await asyncio.gather(*[line.run(COUNT, ("m",), 1) for _ in range(50)])
            assert sorted(counted) == list(range(1, 51))
    finally:
        await child.stop(5)


async def test_a_disk_that_takes_no_more_is_undecidable_and_no_bug(line: Line) -> None:
    """MISCONF is what Redis answers to every write then; here a script says it."""
    refuse = Script("return redis.error_reply('MISCONF Errors writing to the AOF file')")
    with pytest.raises(Undecidable):
        await line.run(refuse, ("k",))


async def test_nothing_is_kept_of_calls_that_are_answered(line: Line) -> None:
    for _ in range(20):
        await asyncio.gather(*[line.call("ECHO", "x") for _ in range(1_000)])
    gc.collect()
    # Those of the last round at most.
    assert sum(isinstance(each, asyncio.Future) for each in gc.get_objects()) < 2_000
