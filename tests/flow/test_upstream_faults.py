"""An upstream that fails: the caller hears of it in the platform's words, or not at all."""

import asyncio
import time

import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import DONE, ask, error_of, streaming
from tests.stack import Stack
from tests.upstream import Reply, Step

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [401, 403])
async def test_the_platforms_own_401_and_403_are_never_the_callers(
    stack: Stack, key: NewKey, status: int, streamed: bool
) -> None:
    stack.upstream.script(upstream.refusal(status, {"message": "Incorrect API key provided: sk-platform-secret"}))
    async with stack.client(key.secret) as http:
        response = await ask(http, stream=streamed)
    error = error_of(response, 502)
    assert error["code"] == "engine_rejected"
    assert "sk-platform-secret" not in response.text
    assert response.headers["x-should-retry"] == "false"
    assert len(stack.upstream.asked) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_busy_upstream_is_asked_again_after_its_retry_after(stack: Stack, key: NewKey, streamed: bool) -> None:
    stack.upstream.script(
        upstream.refusal(429, {"message": "Slow down."}, **{"Retry-After": "1"}),
        upstream.refusal(500, {"message": "Oops."}),
        upstream.answer("at last"),
    )
    asked_at = time.monotonic()
    async with stack.client(key.secret) as http:
        response = await ask(http, stream=streamed)
    assert time.monotonic() - asked_at > 1
    assert response.status_code == 200
    assert "at last" in response.text
    assert len(stack.upstream.asked) == 3


async def test_an_upstream_that_stays_broken_is_given_up_on(stack: Stack, key: NewKey) -> None:
    stack.upstream.otherwise = upstream.refusal(503, {"message": "Out of order."})
    async with stack.client(key.secret) as http:
        error = error_of(await ask(http), 503)
    assert error["code"] == "engine_unavailable"
    assert len(stack.upstream.asked) == 3, "as many attempts as the row has"
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("failed", 0)


CUTS = {
    "reset": [upstream.CUT],
    "ended without a finish reason": [],
    "done without a finish reason": [upstream.DONE],
    "an error event": [
        upstream.event({"error": {"message": "CUDA out of memory", "type": "server_error", "code": 500}})
    ],
}


@pytest.mark.parametrize("steps", CUTS.values(), ids=CUTS.keys())
async def test_a_stream_that_ended_early_is_not_passed_on_as_a_clean_end(
    stack: Stack, key: NewKey, steps: list[Step]
) -> None:
    """ENTERPILOT/GoModel#1017, BF#5665; and a retry after partial output would repeat text: LL#32835."""
    stack.upstream.script(Reply([upstream.opening(), *map(upstream.text, "abc"), *steps]))
    async with stack.client(key.secret) as http, streaming(http) as stream:
        events = await stream.rest()
    assert stream.text == "abc"
    assert DONE not in events
    assert events[-1]["error"]["message"]
    assert events[-1]["error"]["code"] in ("stream_cut", "engine_unavailable", "engine_failed")
    assert len(stack.upstream.asked) == 1
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens, charge.event.usage.estimated) == ("failed", 3, True)


@pytest.mark.parametrize("steps", CUTS.values(), ids=CUTS.keys())
async def test_a_whole_answer_that_was_cut_is_an_error(stack: Stack, key: NewKey, steps: list[Step]) -> None:
    stack.upstream.otherwise = Reply([upstream.opening(), *map(upstream.text, "abc"), *steps])
    async with stack.client(key.secret) as http:
        response = await ask(http)
    code = response.json()["error"]["code"]
    assert code in ("stream_cut", "engine_unavailable", "engine_failed")
    error_of(response, 503 if code == "engine_unavailable" else 502)


async def test_an_upstream_without_a_first_chunk_in_time_is_given_up_on(stack: Stack, key: NewKey) -> None:
    stack.upstream.otherwise = Reply([asyncio.Event()])
    async with stack.client(key.secret) as http:
        error = error_of(await ask(http, "hasty", stream=True), 503)
    assert error["code"] == "engine_unavailable"
    assert len(stack.upstream.asked) == 2
    async with asyncio.timeout(2):
        for asked in stack.upstream.asked:
            await asked.gone.wait()


async def test_an_upstream_that_falls_silent_is_given_up_on(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([upstream.opening(), upstream.text("a"), asyncio.Event()]))
    async with stack.client(key.secret) as http, streaming(http, "hasty") as stream:
        events = await stream.rest()
    assert stream.text == "a"
    assert events[-1]["error"]["code"] == "engine_unavailable"
    async with asyncio.timeout(2):
        await stack.upstream.asked[0].gone.wait()


async def test_a_request_that_the_upstream_refuses_is_the_callers_to_mend(stack: Stack, key: NewKey) -> None:
    refusal = {"message": "'seed' must be even.", "type": "invalid_request_error", "param": "seed", "code": "bad_seed"}
    stack.upstream.script(upstream.refusal(400, refusal))
    async with stack.client(key.secret) as http:
        error = error_of(await ask(http, seed=1), 400)
    assert "'seed' must be even." in error["message"]
    assert len(stack.upstream.asked) == 1


async def test_an_explicit_zero_in_usage_is_a_zero(stack: Stack, key: NewKey) -> None:
    """LL#37992: not missing, so estimate."""
    pieces = [upstream.opening(), upstream.text("a"), upstream.finish(), upstream.usage(0, 0), upstream.DONE]
    stack.upstream.script(Reply(pieces))
    async with stack.client(key.secret) as http:
        reply = (await ask(http)).json()
    assert (reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]) == (0, 0)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd, charge.event.usage.estimated) == ("completed", 0, False)


async def test_cached_tokens_are_counted_once(stack: Stack, key: NewKey) -> None:
    """LL#9812, LL#40006: OpenAI's prompt_tokens includes them."""
    pieces = [upstream.opening(), upstream.text("a"), upstream.finish(), upstream.usage(100, 1, cached_tokens=80)]
    stack.upstream.script(Reply([*pieces, upstream.DONE]))
    async with stack.client(key.secret) as http:
        usage = (await ask(http)).json()["usage"]
    assert (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]) == (100, 80)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.usage.input_tokens, charge.event.usage.cached_input_tokens) == (100, 80)
