import pytest

from schemas.errors import Undecidable
from storage.async_record import JobName
from workers.long.queue import TASK_S, VISIBILITY_S, make_app, register, send, task_name
from workers.long.steps import STEP_S


@pytest.mark.parametrize(
    ("address", "broker"),
    [
        ("redis://127.0.0.1:6379/3", "redis://127.0.0.1:6379/3"),
        ("rediss://:secret@redis.internal:6380/0", "rediss://:secret@redis.internal:6380/0"),
        # https://docs.celeryq.dev/en/v5.6.0/getting-started/backends-and-brokers/redis.html, 2026-11
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock"),
        ("unix:///run/valkey.sock?db=1", "redis+socket:///run/valkey.sock?virtual_host=1"),
    ],
)
def test_the_broker_is_redis_wherever_it_is(address: str, broker: str) -> None:
    app = make_app(address)
    assert app.conf.broker_url == broker
    assert bool(app.conf.broker_use_ssl) == address.startswith("rediss")


def test_a_step_ends_before_its_task_and_a_task_before_another_gets_it() -> None:
    assert STEP_S < TASK_S < VISIBILITY_S


def test_a_task_brings_the_jobs_name() -> None:
    app = make_app("memory://")
    heard: list[str] = []
    register(app, "poll", heard.append)
    name = JobName("acme@example.org", "job_1")
    app.tasks[task_name("poll")].apply(args=(name.member,)).get()
    assert [JobName.of(member) for member in heard] == [name]


def test_a_broker_that_is_away_is_told_as_such() -> None:
    with pytest.raises(Undecidable):
        send(make_app("redis://127.0.0.1:1/0"), "start", JobName("acme", "job_1"))
