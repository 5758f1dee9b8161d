"""The official client of an earlier age, unmodified, in an interpreter of its own."""

import asyncio
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from storage.keys import NewKey
from tests import old_openai
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements" / "openai-1.lock"
FOLDER: Final = ROOT / ".venv-openai1"
INSTALL_S: Final = 100


@pytest.fixture(scope="session")
def packages() -> Path:
    """openai 1.x and all it needs, installed once for each state of its lock."""
    installed, state = FOLDER / "installed", sha256(LOCK.read_bytes()).hexdigest()
    if not installed.exists() or installed.read_text() != state:
        uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", sys.executable]
        subprocess.run([*uv, "--require-hashes", "--target", FOLDER, "-r", LOCK], check=True, timeout=INSTALL_S)
        installed.write_text(state)
    return FOLDER


async def test_openai_1x_works_for_all_of_it(stack: Stack, key: NewKey, packages: Path) -> None:
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
        "errors": [
            ["BadRequestError", "invalid_value", "temperature"],
            ["NotFoundError", "model_not_found", "model"],
        ],
        "async_whole": "Hello there",
        "async_streamed": "Hello there",
    }
