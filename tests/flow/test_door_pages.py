"""What the doors' pages show is run as it stands: each curl, and each snippet for an official client."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from storage.keys import NewKey
from tests.stack import WAIT_S, Stack

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.usefixtures("session_embedded", "session_media", "session_long", "session_batches"),
]

PAGES: Final = Path(__file__).parents[2] / "docs" / "doors"
BLOCK: Final = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN_URL: Final = "http://127.0.0.1:8080"


def blocks(page: Path, kind: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language == kind]


def curls(page: Path) -> list[str]:
    return [text for text in blocks(page, "sh") if text.startswith("curl ")]


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
async def test_a_page_shows_what_runs(stack: Stack, key: NewKey, page: Path, tmp_path: Path) -> None:
    assert curls(page), "a page begins with a curl"
    assert blocks(page, "python"), "and a snippet for an official client"
    for text in curls(page):
        asking = text.replace("curl ", "curl --fail-with-body --noproxy '*' ")
        said = await run("bash", asking, stack, key, tmp_path)
        assert '"error":{' not in said
    for text in blocks(page, "python"):
        await run(sys.executable, text, stack, key, tmp_path)


async def run(program: str, text: str, stack: Stack, key: NewKey, folder: Path) -> str:
    """What it prints; files are laid into `folder`. A page's address is the one that `penstock up` has."""
    assert SHOWN_URL in text
    process = await asyncio.create_subprocess_exec(
        program,
        "-c",
        text.replace(SHOWN_URL, stack.url),
        env={**os.environ, "PENSTOCK_KEY": key.secret, "NO_PROXY": "*"},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(WAIT_S):
        printed, _ = await process.communicate()
    said = printed.decode()
    assert process.returncode == 0, said
    assert said.strip(), "it prints what was answered"
    return said
