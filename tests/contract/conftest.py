from collections.abc import AsyncIterator

import pytest

from storage.line import Line


@pytest.fixture
async def line(redis_url: str) -> AsyncIterator[Line]:
    opened = Line(redis_url)
    await opened.open()
    yield opened
    await opened.close()
