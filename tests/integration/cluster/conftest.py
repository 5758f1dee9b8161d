"""One cluster for all its tests, and the models that they ask."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from tests.integration.cluster.cluster import Cluster, lanes, running_cluster
from tests.stack import scripted_row
from tests.upstream import Upstream

TEST_S: Final = 240
"""The first test waits for everything to start."""

VIDEO: Final[dict[str, Any]] = {
    "id": "film",
    "engine": "storyboard",
    "modality": "video",
    "lane": "video.embedded",
    "video": {"sizes": ["160x96"], "default_seconds": 1, "fps": [4], "default_fps": 4},
    "price": {"usd_per_video_second": 0.1},
}
WIDE: Final = {"id": "wide", "context_tokens": 4_000_000}
PICTURE: Final[dict[str, Any]] = {
    "id": "picture",
    "engine": "storyboard",
    "modality": "image",
    "lane": "image.embedded",
    "image": {"sizes": ["256x256"], "max_images": 1, "max_prompt_chars": 100},
    "price": {"usd_per_image": 0.04},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "cluster":
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncIterator[Upstream]:
    """What the model `scripted` runs on."""
    async with Upstream() as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_cluster(
    tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram, upstream: Upstream
) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    catalog = folder / "catalog.yaml"
    rows = [scripted_row(upstream.url), scripted_row(upstream.url, **WIDE), VIDEO, PICTURE]
    catalog.write_text(yaml.safe_dump({"builtin": False, "models": rows}))
    served = {
        "TEXT_LANES": lanes("text.default"),
        "MEDIA_LANES": lanes("image.embedded"),
        "LONG_LANES": lanes("video.embedded"),
    }
    async with running_cluster(folder, kafka_program, catalog, **served) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(session_cluster: Cluster, upstream: Upstream) -> AsyncIterator[Cluster]:
    """A cluster whose services a test may kill; whoever comes next finds it mended, and its upstream as new."""
    upstream.reset()
    await session_cluster.mend()
    yield session_cluster


@pytest_asyncio.fixture(loop_scope="session")
async def key(cluster: Cluster, account: str) -> NewKey:
    """An access key of an account that is this test's own."""
    return await cluster.create_key(account)


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-")[:120]
