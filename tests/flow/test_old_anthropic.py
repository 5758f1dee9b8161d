"""Anthropic's official clients of earlier ages, unmodified, each in an interpreter of its own."""

import asyncio
import json
import os
import sys
from typing import Final

import pytest

from storage.keys import NewKey
from tests import anthropic_upstream as messages
from tests import old_anthropic
from tests.old_clients import installed
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAID: Final = [{"type": "text", "text": "Hello there"}]


@pytest.mark.parametrize("age", ["0", "1"])
async def test_it_works_for_all_of_it(stack: Stack, key: NewKey, age: str) -> None:
    packages = await asyncio.to_thread(installed, f"anthropic-{age}")
    stack.upstream.otherwise = messages.answer("Hello", " there")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", old_anthropic.__file__, stack.url, key.secret),
        env={**os.environ, "PYTHONPATH": str(packages)},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    told = json.loads(said)
    assert told.pop("version").startswith(f"{age}.")
    assert {"scripted", "claude"} <= set(told.pop("models"))
    assert told == {
        "whole": SAID,
        "tokens": [7, 2],
        "streamed": "Hello there",
        "streamed_tokens": [7, 2],
        "stop_reason": "end_turn",
        "beta": SAID,
        "counted": True,
        "errors": [
            ["BadRequestError", "invalid_request_error", True],
            ["NotFoundError", "not_found_error", True],
        ],
        "async_whole": SAID,
        "async_streamed": "Hello there",
    }
