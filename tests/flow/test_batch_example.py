"""The example that has a batch answered, run as it stands."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from storage.keys import NewKey
from tests.stack import WAIT_S, Stack

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.usefixtures("session_embedded", "session_batches"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "batch.py"


async def test_the_example_prints_every_answer(stack: Stack, key: NewKey) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        env={**os.environ, "PENSTOCK_URL": stack.base_url, "PENSTOCK_KEY": key.secret, "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(2 * WAIT_S):
        printed, _ = await process.communicate()
    said = printed.decode()
    assert process.returncode == 0, said
    assert "completed BatchRequestCounts(completed=3, failed=0, total=3)" in said
    assert all(f"question-{number}" in said for number in range(3))
