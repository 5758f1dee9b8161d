"""The examples that submit through Kafka, run as they stand."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from storage.keys import NewKey
from tests.stack import WAIT_S, Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_the_python_example_prints_the_answer(breakable: Stack, key_of_breakable: NewKey) -> None:
    printed = await run(breakable, key_of_breakable, sys.executable, str(EXAMPLES / "kafka_producer.py"), "Greet me.")
    answer, line = printed.splitlines()
    assert answer == "Hello there"
    assert line.endswith(": 2 tokens")


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
async def test_kcat_alone_submits_and_reads(breakable: Stack, key_of_breakable: NewKey) -> None:
    printed = await run(breakable, key_of_breakable, "sh", str(EXAMPLES / "kafka_kcat.sh"), "Greet me.")
    result = json.loads(printed)
    assert (result["status"], result["body"]["choices"][0]["message"]["content"]) == (200, "Hello there")


@pytest_asyncio.fixture(loop_scope="session")
async def key_of_breakable(breakable: Stack, account: str) -> NewKey:
    await breakable.start("logdoor")
    return await breakable.create_key(account)


async def run(stack: Stack, key: NewKey, *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={
            **os.environ,
            "PENSTOCK_KAFKA": stack.bootstrap,
            "PENSTOCK_KEY": key.secret,
            "PENSTOCK_MODEL": "scripted",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(2 * WAIT_S):
        printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode() + printed.decode()
    return printed.decode()
