"""Law 3: each job is charged once, whatever dies in between."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.topics import DEAD_LETTERS
from storage.migrate import migrate
from tests.charging import Charging, until


@pytest.fixture
async def charging(kafka: str, tmp_path: Path) -> AsyncIterator[Charging]:
    async with Charging(kafka, tmp_path) as running:
        migrate(running.url)
        yield running


async def test_an_event_that_comes_twice_is_charged_once(charging: Charging) -> None:
    await charging.start()
    await charging.publish(["a", "b", "a"])
    await charging.charged_to(2)
    await charging.publish(["b", "a", "c"])
    (day,) = await charging.charged_to(3)
    assert (day.requests, day.input_tokens, day.output_tokens, day.cost_microusd) == (3, 300, 30, 1350)


@pytest.mark.slow
async def test_streams_killed_again_and_again_charge_every_job_once(charging: Charging) -> None:
    await charging.start()
    publishing = asyncio.create_task(charging.publish(f"{job}" for job in range(2_000)))
    for killed_at in (1, 700, 1_400):
        await charging.charged_to(killed_at)
        await charging.kill()
        await charging.start()
    await publishing
    (day,) = await charging.charged_to(2_000)
    assert (day.requests, day.cost_microusd) == (2_000, 900_000)


@pytest.mark.slow
async def test_a_second_process_takes_over_from_one_that_is_killed(charging: Charging) -> None:
    await charging.start("one")
    await charging.publish(f"a{job}" for job in range(500))
    await charging.start("two")
    await charging.publish(f"b{job}" for job in range(500))
    await charging.kill("one")
    await charging.publish(f"c{job}" for job in range(500))
    (day,) = await charging.charged_to(1_500)
    assert (day.requests, day.cost_microusd) == (1_500, 675_000)
    assert await charging.end("two", signal.SIGTERM) == 0, charging.log("two")


async def test_nothing_is_lost_while_the_database_is_locked(charging: Charging) -> None:
    await charging.start()
    await charging.publish(["before"])
    await charging.charged_to(1)
    locked = charging.lock()
    await charging.publish(f"{job}" for job in range(100))
    await until(lambda: charging.metric("penstock_streams_retries_total"), lambda retries: retries >= 1)
    assert await charging.charged() == 1
    locked.close()
    (day,) = await charging.charged_to(101)
    assert day.requests == 101


async def test_events_wait_for_a_database_that_is_not_there_yet(kafka: str, tmp_path: Path) -> None:
    async with Charging(kafka, tmp_path) as charging:
        await charging.start()
        await charging.publish(["a", "b"])
        await until(lambda: charging.metric("penstock_streams_retries_total"), lambda retries: retries >= 2)
        await asyncio.to_thread(migrate, charging.url)
        (day,) = await charging.charged_to(2)
        assert day.requests == 2


async def test_a_message_that_is_no_event_goes_to_the_dead_letters_and_holds_nobody_up(charging: Charging) -> None:
    nonsense = f"{charging.account} is no event".encode()
    await charging.start()
    await charging.publish(["a", nonsense, "b"])
    (day,) = await charging.charged_to(2)
    assert day.requests == 2
    headers = await _dead_letter(charging.kafka, nonsense)
    assert headers["reason"].startswith("Not a usage event")
    assert headers["origin"].startswith("penstock.usage/")


async def _dead_letter(kafka: str, value: bytes) -> dict[str, str]:
    consumer = AIOKafkaConsumer(DEAD_LETTERS, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            async for message in consumer:
                if message.value == value:
                    return {name: text.decode() for name, text in message.headers}
    finally:
        await consumer.stop()
    raise AssertionError("the consumer ended")


async def test_streams_stop_when_told_and_go_on_where_they_were(charging: Charging) -> None:
    await charging.start()
    await charging.publish(f"a{job}" for job in range(300))
    await charging.charged_to(1)
    async with asyncio.timeout(3):
        assert await charging.end("streams", signal.SIGTERM) == 0
    events = [json.loads(line)["event"] for line in charging.log().splitlines()]
    assert (events[0], events[-1]) == ("ready", "stopped")
    assert "failed" not in events
    await charging.publish(f"b{job}" for job in range(300))
    await charging.start()
    (day,) = await charging.charged_to(600)
    assert day.requests == 600
