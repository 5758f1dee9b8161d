from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.workers.lane import Lane


@pytest.fixture
async def lane(kafka: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Lane]:
    async with Lane(kafka, redis_url, tmp_path / "objects").open() as opened:
        yield opened
