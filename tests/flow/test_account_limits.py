"""Limits hold for an account, on every process at once, and cost nothing when they refuse."""

import asyncio

import pytest

from schemas.access import Limits
from storage.keys import NewKey
from tests import upstream
from tests.asking import ask, error_of
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_requests_per_minute_and_what_the_headers_say(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=3))
    async with stack.client(key.secret) as http:
        answers = [await ask(http) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    told = [
        (answer.headers["x-ratelimit-limit-requests"], answer.headers["x-ratelimit-remaining-requests"])
        for answer in answers
    ]
    assert told == [("3", "2"), ("3", "1"), ("3", "0"), ("3", "0")]
    assert answers[0].headers["x-ratelimit-reset-requests"] == "0"
    assert int(answers[3].headers["x-ratelimit-reset-requests"]) > 1_700_000_000
    error = error_of(answers[3], 429)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    # One of three a minute takes 20 s to come back.
    assert 0 < int(answers[3].headers["retry-after"]) <= 20
    assert len(stack.upstream.asked) == 3


async def test_a_stream_carries_the_headers_as_well(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=10, tokens_per_min=100_000))
    async with stack.client(key.secret) as http:
        headers = (await ask(http, stream=True)).headers
    assert headers["x-ratelimit-remaining-requests"] == "9"
    assert headers["x-ratelimit-limit-tokens-per-minute"] == "100000"


async def test_tokens_are_reserved_before_the_work_and_settled_after_it(stack: Stack, key: NewKey) -> None:
    """EAG#680, EAG#2394, HG#2464: a limit that bites only the next request."""
    await stack.set_limits(key.key.account, Limits(tokens_per_min=1_000))
    release = asyncio.Event()
    stack.upstream.script(Reply([release, *upstream.answer("a", "b", input_tokens=48).steps]))
    async with stack.client(key.secret) as http:
        first = asyncio.create_task(ask(http, max_tokens=900))
        await stack.upstream.arrived(1)
        refused = await ask(http, max_tokens=900)
        assert error_of(refused, 429)["code"] == "rate_limit_exceeded"
        assert int(refused.headers["x-ratelimit-remaining-tokens-per-minute"]) < 200
        release.set()
        assert (await first).status_code == 200
        await stack.until_free(key.key.account)
        # Fifty of the nine hundred and more that were reserved were used; the rest came back.
        again = await ask(http, max_tokens=900)
        assert again.status_code == 200


async def test_check_then_increment_does_not_let_concurrent_requests_through(stack: Stack, key: NewKey) -> None:
    """LL#18730, LL#22002: five at once used 663 of 100."""
    await stack.set_limits(key.key.account, Limits(tokens_per_min=250))
    async with stack.client(key.secret) as http:
        answers = await asyncio.gather(*[ask(http, max_tokens=80) for _ in range(20)])
    assert [answer.status_code for answer in answers].count(200) <= 20
    assert len(stack.upstream.asked) < 20
    assert {answer.status_code for answer in answers} == {200, 429}


async def test_a_request_that_no_minute_has_room_for_says_so(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(tokens_per_min=100))
    async with stack.client(key.secret) as http:
        refused = await ask(http, max_tokens=500)
    assert "Ask for fewer output tokens" in error_of(refused, 429)["message"]


async def test_requests_in_flight(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(in_flight=2))
    release = asyncio.Event()
    stack.upstream.otherwise = Reply([release, *upstream.answer("served").steps])
    async with stack.client(key.secret) as http:
        open_ones = [asyncio.create_task(ask(http, stream=number == 0)) for number in range(2)]
        await stack.upstream.arrived(2)
        refused = await ask(http)
        assert "2 requests at once" in error_of(refused, 429)["message"]
        assert refused.headers["retry-after"] == "1"
        release.set()
        assert {answer.status_code for answer in await asyncio.gather(*open_ones)} == {200}
        await stack.until_free(key.key.account)
        assert (await ask(http)).status_code == 200


async def test_a_failed_request_gives_its_slot_back(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(in_flight=1))
    stack.upstream.otherwise = upstream.refusal(400, {"message": "No."})
    async with stack.client(key.secret) as http:
        for _ in range(3):
            assert (await ask(http)).status_code == 400
            await stack.until_free(key.key.account)


async def test_limits_on_a_model_hold_beside_the_accounts(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=3))
    await stack.set_limits(key.key.account, Limits(requests_per_min=1), model="brief")
    async with stack.client(key.secret) as http:
        statuses = [
            (await ask(http, model)).status_code for model in ("brief", "brief", "scripted", "scripted", "scripted")
        ]
        refused = await ask(http, "brief")
    # What the model's limit refused cost the account nothing: LL#39309.
    assert statuses == [200, 429, 200, 200, 429]
    assert refused.status_code == 429


async def test_an_account_that_is_limited_to_nothing_gets_nothing(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=0))
    async with stack.client(key.secret) as http:
        assert (await ask(http)).status_code == 429
    assert stack.upstream.asked == []


async def test_limits_are_one_for_all_processes_and_all_keys(
    stack: Stack, tight_door: str, key: NewKey, account: str
) -> None:
    """LL#16011: limits per process, not global."""
    other = await stack.create_key(account)
    await stack.set_limits(account, Limits(requests_per_min=4))
    async with stack.client(key.secret) as here, stack.client(other.secret, tight_door) as there:
        statuses = [(await ask(http)).status_code for http in (here, there) * 3]
    assert statuses == [200] * 4 + [429] * 2


async def test_what_is_refused_at_the_door_costs_no_request(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=1))
    async with stack.client(key.secret) as http:
        for _ in range(3):
            assert (await ask(http, temperature=9)).status_code == 400
        assert (await ask(http)).status_code == 200


async def test_a_changed_limit_holds_at_once(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=1))
    async with stack.client(key.secret) as http:
        assert [(await ask(http)).status_code for _ in range(2)] == [200, 429]
        await stack.set_limits(key.key.account, Limits(requests_per_min=6_000))
        await asyncio.sleep(0.05)
        assert (await ask(http)).status_code == 200
