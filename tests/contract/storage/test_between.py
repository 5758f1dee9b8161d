import asyncio
import gc
import socket
import warnings

import pytest

from tests.contract.storage.between import Between


async def come_and_end(redis_url: str, turns: int) -> None:
    async with Between(redis_url) as between:
        with socket.create_connection(("127.0.0.1", between.port)):
            for _ in range(turns):
                await asyncio.sleep(0)
            await between.refuse()


@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_comes_at_the_end_is_closed(redis_url: str, turns: int) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(come_and_end(redis_url, turns))
        gc.collect()
    assert [str(warning.message) for warning in seen] == []
