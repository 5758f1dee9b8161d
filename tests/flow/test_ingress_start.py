"""An ingress that cannot start says why in one line and ends."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from storage.local.ports import free_port
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDS_S: Final = 40.0

WRONG_ROW: Final = """\
models:
  - id: mine
    engine: no_such_engine
    context_tokens: 5
    max_output_tokens: 5
"""


async def reason(**settings: str) -> str:
    """Why an ingress with these settings did not start."""
    env = {f"PENSTOCK_{name.upper()}": value for name, value in {"port": str(free_port()), **settings}.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingress", env={**os.environ, **env}, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(ENDS_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 1
    (line,) = said.decode().splitlines()
    told = json.loads(line)
    assert told["level"] == "critical"
    return str(told["reason"])


async def test_what_the_operator_wrote_wrongly(stack: Stack, tmp_path: Path) -> None:
    rows = tmp_path / "rows.yaml"
    rows.write_text(WRONG_ROW)
    row, taken, proxies = await asyncio.gather(
        reason(catalog=str(rows)),
        reason(port=stack.url.rpartition(":")[2]),
        reason(trusted_proxies='["x"]'),
    )
    assert row.startswith(f"{rows}:3: model 'mine': engine")
    assert "Address already in use" in taken
    assert "PENSTOCK_TRUSTED_PROXIES" in proxies


async def test_a_server_that_is_away(stack: Stack) -> None:
    redis, kafka = await asyncio.gather(
        reason(redis=f"redis://127.0.0.1:{free_port()}/0"),
        reason(redis=stack.redis_url, kafka=f"127.0.0.1:{free_port()}"),
    )
    assert "Redis cannot be reached" in redis
    assert "Kafka cannot be reached" in kafka
