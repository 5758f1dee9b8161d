"""What holds for every storage, and what moto leaves open: signatures, and how long they are good."""

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import boto3
import pytest
import pytest_asyncio

from schemas.errors import InvalidValue
from storage.object_storage import open_objects
from storage.objects import Objects
from tests.integration.seaweedfs.server import CREDENTIALS, running_seaweedfs
from tests.objects_contract import ConstantMemory, Fetch, ObjectsContract
from tests.s3_server import fetch_anew, s3_settings
from tests.stack import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WRITABLE_S = 30
"""How long after its start SeaweedFS may have no volume to write to."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as url:
        yield url


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


async def writable(objects: Objects) -> bool:
    try:
        await objects.put("first", b"x")
        await objects.delete("first")
    except OSError:
        return False
    return True


@pytest_asyncio.fixture(loop_scope="session")
async def objects(seaweedfs: str) -> AsyncIterator[Objects]:
    prefix = secrets.token_hex(6)
    async with open_objects(s3_settings(seaweedfs, f"s3://penstock-tests/{prefix}", s3_lifecycle=False)) as opened:
        await until(lambda: writable(opened), bool, WRITABLE_S)
        yield opened


class TestSeaweedFS(ObjectsContract, ConstantMemory):
    @pytest.fixture
    def fetch(self) -> Fetch:
        return fetch_anew

    @pytest.fixture(autouse=True)
    def _url(self, seaweedfs: str) -> None:
        self.url = seaweedfs

    async def left_over(self, objects: Objects) -> list[str]:
        client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")
        uploads = client.list_multipart_uploads(Bucket="penstock-tests").get("Uploads", [])
        return [upload["Key"] for upload in uploads]


async def test_a_signed_url_ends_with_its_time(objects: Objects) -> None:
    await objects.put("media/a/j/v.mp4", b"moving")
    url = await objects.signed_url("media/a/j/v.mp4", time.time_ns() // 1_000_000 + 3_000)
    assert (await fetch_anew(url)).content == b"moving"
    await until(lambda: fetch_anew(url), lambda answer: answer.status_code == 403, 10)


async def test_nothing_is_read_without_a_signature_or_with_another_s(objects: Objects) -> None:
    await objects.put("media/a/j/v.mp4", b"moving")
    await objects.put("media/b/j/v.mp4", b"another's")
    url = await objects.signed_url("media/a/j/v.mp4", time.time_ns() // 1_000_000 + 60_000, file_name="mine.mp4")
    bare = url.partition("?")[0]
    for changed in (bare, url[:-4] + "0000", url.replace("/a/", "/b/"), url.replace("mine", "other")):
        assert (await fetch_anew(changed)).status_code == 403, changed


async def test_the_bucket_has_its_rules(objects: Objects, seaweedfs: str) -> None:
    async with open_objects(s3_settings(seaweedfs, "s3://penstock-tests/ruled")):
        pass
    client = boto3.client("s3", endpoint_url=seaweedfs, region_name="us-east-1")
    rules = client.get_bucket_lifecycle_configuration(Bucket="penstock-tests")["Rules"]
    assert {"Days": 9} in [rule.get("Expiration") for rule in rules if rule["Filter"]["Prefix"] == "ruled/media/"]


async def test_wrong_credentials_are_said_at_the_start(seaweedfs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "wrong")
        with pytest.raises(InvalidValue, match=r"PENSTOCK_OBJECTS: the bucket 'penstock-tests': .*(Forbidden|403)"):
            async with open_objects(s3_settings(seaweedfs, "s3://penstock-tests")):
                pass
        monkeypatch.setenv(name, CREDENTIALS[name])
