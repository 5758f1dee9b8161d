"""The official client of an earlier age, unmodified, in an interpreter of its own."""

import asyncio
import json
import os
import sys

import pytest

from storage.keys import NewKey
from tests import old_openai
from tests.old_clients import installed
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_openai_1x_works_for_all_of_it(stack: Stack, key: NewKey) -> None:
    packages = await asyncio.to_thread(installed, "openai-1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", old_openai.__file__, stack.base_url, key.secret),
        env={**os.environ, "PYTHONPATH": str(packages)},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    told = json.loads(said)
    assert told.pop("version").startswith("1.")
    assert {"scripted", "brief"} <= set(told.pop("models"))
    assert told == {
        "whole": "Hello there",
        "total_tokens": 9,
        "streamed": "Hello there",
        "streamed_tokens": 9,
        "model": "scripted",
        "response": "Hello there",
        "response_streamed": "Hello there",
        "response_ends": ["response.created", "response.completed"],
        "response_in_background": "Hello there",
        "completion": "Hello there",
        "errors": [
            ["BadRequestError", "invalid_value", "temperature"],
            ["NotFoundError", "model_not_found", "model"],
        ],
        "async_whole": "Hello there",
        "async_streamed": "Hello there",
    }
