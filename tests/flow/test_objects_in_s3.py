"""The platform with its objects in a bucket: what is too large for the log passes through it, and videos expire."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import boto3
import pytest
import pytest_asyncio

from storage.local.kafka_program import KafkaProgram
from tests.asking import PATH
from tests.s3_server import CREDENTIALS, running_moto
from tests.stack import Stack, running_stack, until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

ROWS = [
    {"id": "wide", "context_tokens": 4_000_000, "max_output_tokens": 100_000},
    {
        **{"id": "brief-video", "engine": "storyboard", "modality": "video", "base_url": None},
        **{"context_tokens": 0, "max_output_tokens": 0, "price": {}},
        "video": {"sizes": ["160x96"], "default_seconds": 1, "fps": [4], "default_fps": 4, "keep_s": 10},
    },
]


@dataclass
class Site:
    """A stack, and the keys that lie in its bucket."""

    stack: Stack
    keys: Callable[[], Awaitable[list[str]]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Site]:
    with pytest.MonkeyPatch.context() as patch, running_moto() as endpoint:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

        async def keys() -> list[str]:
            return [each["Key"] for each in client.list_objects_v2(Bucket="bodies").get("Contents", [])]

        bucket = {"PENSTOCK_OBJECTS": "s3://bodies/flow", "PENSTOCK_S3_ENDPOINT": endpoint}
        parts = ("ingress", "worker", "dispatcher", "jobs", "streams")
        folder = tmp_path_factory.mktemp("s3")
        async with running_stack(folder, kafka_program, *parts, rows=ROWS, **bucket) as stack:
            yield Site(stack, keys)
            assert not stack.objects.exists(), "nothing lies in a folder"


async def test_a_long_question_goes_by_the_bucket(site: Site) -> None:
    stack = site.stack
    key = await stack.create_key("asking")
    asked = {"model": "wide", "messages": [{"role": "user", "content": "word " * 400_000}], "max_tokens": 5}
    async with stack.client(key.secret) as http:
        answer = await http.post(PATH, json=asked)
    assert answer.status_code == 200, answer.text
    assert len(stack.upstream.asked[0].body["messages"][0]["content"]) == 2_000_000
    await stack.charges("asking", 1)
    await until(site.keys, lambda left: not left)


async def test_a_video_lies_in_the_bucket_until_its_time(site: Site) -> None:
    key = await site.stack.create_key("filming")
    async with site.stack.client(key.secret) as http:
        created = await http.post("/v1/videos", json={"model": "brief-video", "prompt": "A drone shot"})
        assert created.status_code == 202, created.text
        video = f"/v1/videos/{created.json()['id']}"
        done = await http.get(video, params={"wait": 30})
        assert done.json()["status"] == "completed", done.text
        whole = await http.get(f"{video}/content")
        part = await http.get(f"{video}/content", headers={"range": "bytes=4-7"})
        assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
        assert (part.status_code, part.content) == (206, b"ftyp")
        kept = await site.keys()
        assert [name.split("/")[:3] for name in kept] == [["flow", "media", "filming"]] * len(kept)
        assert any(name.endswith("/video.mp4") for name in kept)
        await until(site.keys, lambda left: not left)
        gone = await http.get(f"{video}/content")
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "expired")
