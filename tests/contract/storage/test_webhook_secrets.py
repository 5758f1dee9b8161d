"""What holds for webhooks' secrets over both databases."""

import asyncio
import base64

import pytest

from schemas.errors import InvalidValue
from storage.database import Database
from storage.webhook_secrets import WebhookSecrets

DAY_MS = 86_400_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets(database: Database, clock: Clock) -> WebhookSecrets:
    return WebhookSecrets(database, now_ms=clock)


async def test_an_account_has_one_that_stays(secrets: WebhookSecrets) -> None:
    (first,) = await secrets.of("acme")
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32
    assert await secrets.of("acme") == (first,)
    assert await secrets.of("other") != (first,)


async def test_all_who_ask_first_are_given_the_same(secrets: WebhookSecrets) -> None:
    assert len(set(await asyncio.gather(*(secrets.of("acme") for _ in range(5))))) == 1


async def test_the_one_before_signs_for_a_day_more(secrets: WebhookSecrets, clock: Clock) -> None:
    (first,) = await secrets.of("acme")
    second = await secrets.rotate("acme")
    assert await secrets.of("acme") == (second, first)
    clock.now_ms += DAY_MS
    assert await secrets.of("acme") == (second,)
    third = await secrets.rotate("acme")
    assert await secrets.of("acme") == (third, second)


async def test_the_first_of_an_account_may_be_asked_for_by_rotating(secrets: WebhookSecrets) -> None:
    first = await secrets.rotate("acme")
    assert await secrets.of("acme") == (first,)


async def test_what_is_no_account_gets_none(secrets: WebhookSecrets) -> None:
    with pytest.raises(InvalidValue):
        await secrets.rotate("no account")
