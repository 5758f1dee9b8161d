"""Law 5: a worker's death is not the client's problem while nothing has been sent to the client."""

import asyncio

import pytest

from schemas.topics import DEAD_LETTERS, lane_topic
from tests import upstream
from tests.asking import DONE, ask, error_of, streaming
from tests.lane_log import found, headers_of, reading, write
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("streamed", [False, True])
async def test_killed_before_the_first_chunk_the_client_still_gets_its_answer(
    breakable: Stack, account: str, streamed: bool
) -> None:
    key = await breakable.create_key(account)
    breakable.upstream.script(Reply([asyncio.Event()]), upstream.answer("second", " try"))
    async with breakable.client(key.secret) as http:
        asking = asyncio.create_task(ask(http, stream=streamed))
        await breakable.upstream.arrived(1)
        await breakable.kill("worker")
        await breakable.start("worker")
        response = await asking
    assert response.status_code == 200
    assert "second" in response.text
    assert (DONE in response.text) is streamed
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.attempt, charge.event.usage.output_tokens) == ("completed", 2, 2)


async def test_killed_in_a_stream_the_client_gets_an_error_and_no_clean_end(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    breakable.upstream.script(Reply([upstream.opening(), *map(upstream.text, "abc"), asyncio.Event()]))
    async with breakable.client(key.secret) as http, streaming(http) as stream:
        await stream.until_text("abc")
        await breakable.kill("worker")
        await breakable.start("worker")
        events = await stream.rest()
    assert stream.text == "abc"
    assert DONE not in events
    assert events[-1]["error"]["code"] == "worker_lost"
    assert len(breakable.upstream.asked) == 1, "what was sent is not generated again"
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.usage.estimated) == ("failed", True)
    # The dead worker noted the first piece at once, and its count once a second.
    assert 1 <= charge.event.usage.output_tokens <= 3


async def test_killed_with_fifty_in_flight_the_other_worker_answers_all(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    await breakable.start("worker-2")
    release = asyncio.Event()
    half = [upstream.text(" tok") for _ in range(16)]
    breakable.upstream.otherwise = Reply(
        [upstream.opening(), *half, release, *half, upstream.finish(), upstream.usage(10, 32), upstream.DONE]
    )
    async with breakable.client(key.secret, timeout_s=50) as http:
        asking = [asyncio.create_task(ask(http)) for _ in range(50)]
        await breakable.upstream.arrived(50)
        await breakable.kill("worker")
        release.set()
        answers = await asyncio.gather(*asking)
    contents = [answer.json()["choices"][0]["message"]["content"] for answer in answers]
    assert contents == [" tok" * 32] * 50
    assert len(breakable.upstream.asked) > 50, "the dead worker had some of them"
    charges = await breakable.charges(account, 50)
    assert len({charge.event.job_id for charge in charges}) == len(charges) == 50
    assert [charge.event.usage.output_tokens for charge in charges] == [32] * 50
    await breakable.until_free(account)


async def test_a_request_that_kills_every_worker_is_set_aside(breakable: Stack, account: str) -> None:
    """A poison message without a count of attempts blocks its partition for ever."""
    key = await breakable.create_key(account)
    breakable.upstream.otherwise = Reply([asyncio.Event()])
    async with breakable.client(key.secret, timeout_s=60) as http:
        asking = asyncio.create_task(ask(http))
        for attempt in range(1, 4):
            await breakable.upstream.arrived(attempt)
            await breakable.kill("worker")
            await breakable.start("worker")
        error = error_of(await asking, 503)
        assert error["code"] == "worker_lost"
        breakable.upstream.reset()
        assert (await ask(http)).status_code == 200
    charges = await breakable.charges(account, 2)
    assert [(charge.event.end, charge.cost_microusd > 0) for charge in charges] == [
        ("failed", False),
        ("completed", True),
    ]
    job_id = charges[0].event.job_id
    async with reading(breakable.bootstrap, DEAD_LETTERS) as letters, asyncio.timeout(10):
        letter = await found(letters, lambda message: headers_of(message).get("job_id") == job_id)
    assert headers_of(letter)["origin"].startswith("penstock.text.default/")
    assert headers_of(letter)["reason"]


async def test_a_message_that_cannot_be_read_is_set_aside_and_holds_nobody_up(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    lane = lane_topic("text.default")
    for partition in range(4):
        await write(breakable.bootstrap, lane, b"\xc1 is no envelope", partition, test=account)
    async with breakable.client(key.secret) as http:
        answers = await asyncio.gather(*[ask(http) for _ in range(20)])
    assert [answer.status_code for answer in answers] == [200] * 20
    origins = set()
    async with reading(breakable.bootstrap, DEAD_LETTERS) as letters, asyncio.timeout(10):
        while len(origins) < 4:
            letter = await found(letters, lambda message: headers_of(message).get("test") == account)
            assert letter.value == b"\xc1 is no envelope"
            origins.add(headers_of(letter)["origin"].rpartition("/")[0])
    assert origins == {f"{lane}/{partition}" for partition in range(4)}


async def test_the_client_of_a_message_that_cannot_be_read_is_told(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.script(Reply([release, *upstream.answer("nobody waits").steps]))
    lane = lane_topic("text.default")
    async with breakable.client(key.secret) as http, reading(breakable.bootstrap, lane) as messages:
        asking = asyncio.create_task(ask(http, user=account))
        await breakable.upstream.arrived(1)
        async with asyncio.timeout(10):
            mine = await found(messages, lambda message: account.encode() in message.value)
        # As if the log had kept another message in its place.
        await write(breakable.bootstrap, lane, b"\xc1", **headers_of(mine))
        error = error_of(await asking, 500)
    assert error["code"] == "internal_error"
    assert "nothing is charged" in error["message"]
    release.set()
    await breakable.until_free(account)
