"""The examples that have a video made, run as they stand."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from storage.keys import NewKey
from tests.stack import WAIT_S, Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("session_long")]

EXAMPLES = Path(__file__).parents[2] / "examples"


def saved(folder: Path) -> bytes:
    (file,) = folder.glob("video_*.mp4")
    return file.read_bytes()


@pytest.mark.parametrize("words", [(sys.executable, "video.py"), ("bash", "video.sh")], ids=["python", "curl"])
async def test_an_example_saves_a_video(stack: Stack, key: NewKey, tmp_path: Path, words: tuple[str, str]) -> None:
    program, name = words
    process = await asyncio.create_subprocess_exec(
        program,
        str(EXAMPLES / name),
        cwd=tmp_path,
        env={**os.environ, "PENSTOCK_URL": stack.base_url, "PENSTOCK_KEY": key.secret, "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(2 * WAIT_S):
        printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    assert saved(tmp_path)[4:8] == b"ftyp"
