"""What the doors' pages show is run as it stands: each curl, and each snippet for an official client."""

from pathlib import Path
from typing import Final

import pytest

from storage.keys import NewKey
from tests.pages import run_page
from tests.stack import Stack

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.usefixtures("session_embedded", "session_media", "session_long", "session_batches"),
]

PAGES: Final = Path(__file__).parents[2] / "docs" / "doors"


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
async def test_a_page_shows_what_runs(stack: Stack, key: NewKey, page: Path, tmp_path: Path) -> None:
    await run_page(page, stack, key.secret, tmp_path)
