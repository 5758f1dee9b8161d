"""An ingress that cannot start says why in one line and ends."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import pytest

from storage.local.ports import free_port
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDS_S: Final = 60.0

WRONG_ROW: Final = """\
models:
  - id: mine
    engine: no_such_engine
    context_tokens: 5
    max_output_tokens: 5
"""

STARTS: Final = """\
import json, os, sys
from ingress.__main__ import main

for settings in json.loads(sys.argv.pop()):
    before = dict(os.environ)
    os.environ.update(settings)
    print(main(), flush=True)
    os.environ.clear()
    os.environ.update(before)
"""
"""One process for all starts: most of a start is the loading of Python's modules."""


async def reasons(*starts: dict[str, str]) -> list[str]:
    """Why an ingress with each of these settings did not start."""
    envs = [
        {f"PENSTOCK_{name.upper()}": value for name, value in {"port": str(free_port()), **settings}.items()}
        for settings in starts
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS, json.dumps(envs)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(ENDS_S):
            statuses, said = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert statuses.split() == [b"1"] * len(starts), said.decode()
    told = [json.loads(line) for line in said.splitlines()]
    assert [line["level"] for line in told] == ["critical"] * len(starts)
    return [line["reason"] for line in told]


async def test_each_fault_is_one_line(stack: Stack, tmp_path: Path) -> None:
    rows = tmp_path / "rows.yaml"
    rows.write_text(WRONG_ROW)
    row, file, port, taken, proxies, database, no_address, redis, kafka = await reasons(
        {"catalog": str(rows)},
        {"catalog": str(tmp_path / "none.yaml")},
        {"port": "abc"},
        {"port": stack.url.rpartition(":")[2]},
        {"trusted_proxies": '["x"]'},
        {"database": "mysql://somewhere/db", "redis": stack.redis_url, "kafka": stack.bootstrap},
        {"redis": "redis://127.0.0.1:none"},
        {"redis": f"redis://127.0.0.1:{free_port()}/0"},
        {"redis": stack.redis_url, "kafka": f"127.0.0.1:{free_port()}"},
    )
    assert row.startswith(f"{rows}:3: model 'mine': engine")
    assert str(tmp_path / "none.yaml") in file
    assert "PENSTOCK_PORT" in port
    assert "Address already in use" in taken
    assert "PENSTOCK_TRUSTED_PROXIES" in proxies
    assert "sqlite:///" in database
    assert "PENSTOCK_REDIS" in no_address
    assert "Redis cannot be reached" in redis
    assert "Kafka cannot be reached" in kafka
