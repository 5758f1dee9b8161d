"""A client that leaves in the middle of a long answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.integration.vllm.engine import CONTEXT_TOKENS
from tests.integration.vllm.questions import Question, chat_fields
from tests.matrix_doors import Site
from tests.stack import Stack, until


async def leave(stack: Stack, site: Site, row: str, metric: Callable[[str], Awaitable[float]], *, stream: bool) -> None:
    """Asks for all that fits, leaves while vLLM is seen to run it, and holds vLLM to be free long before its end.

    `metric` gives a sample of vLLM's, which nobody else asks meanwhile.
    """
    most_tokens = CONTEXT_TOKENS - 100
    before = await metric("vllm:generation_tokens_total")
    fields = {**chat_fields(Question(max_tokens=most_tokens)), "model": row, "stream": stream}
    heard = asyncio.Event()

    async def ask() -> None:
        async with stack.client(site.secret) as http, http.stream("POST", "/v1/chat/completions", json=fields) as reply:
            assert reply.status_code == 200
            async for _ in reply.aiter_raw():
                heard.set()

    async def begun() -> bool:
        return (heard.is_set() or not stream) and await metric("vllm:num_requests_running") > 0

    asking = asyncio.create_task(ask())
    await until(begun, lambda holds: holds or asking.done())
    asking.cancel()
    await until(lambda: metric("vllm:num_requests_running"), lambda running: running == 0)
    assert await metric("vllm:generation_tokens_total") - before < most_tokens
    with pytest.raises(asyncio.CancelledError):
        await asking
