import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import boto3
import pytest
from starlette.requests import Request
from starlette.responses import Response

from ingress.object_answer import object_answer
from schemas.errors import InvalidValue
from storage.expiring import DUE, ExpiringObjects
from storage.line import Line
from storage.object_storage import open_objects
from storage.objects import Objects
from tests.contract.storage.between import Between
from tests.objects_contract import Fetch, ObjectsContract, large, pieces_of
from tests.objects_door import app, objects_door
from tests.s3_server import CREDENTIALS, fetch_anew, running_moto, s3_settings


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    with running_moto() as url:
        yield url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)


@pytest.fixture
def bucket() -> str:
    return f"bucket-{secrets.token_hex(6)}"


class Wire(Between):
    """One that leads to a server of HTTP."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def between(moto: str) -> Wire:
    return Wire(moto.replace("http", "redis"))


class TestObjectsS3(ObjectsContract):
    lost_upload = OSError
    """Moto breaks at an upload that it does not know, where S3 answers NoSuchUpload."""

    absent_status = 403
    """moto looks at no signature, and so takes whoever has a URL for somebody who must not know what is absent."""

    @pytest.fixture(params=["", "/below/this"], ids=["bucket", "prefix"])
    async def objects(self, request: pytest.FixtureRequest, moto: str, bucket: str) -> AsyncIterator[Objects]:
        self.client = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
        self.bucket = bucket
        async with open_objects(s3_settings(moto, f"s3://{bucket}{request.param}")) as opened:
            yield opened

    @pytest.fixture
    def fetch(self) -> Fetch:
        return fetch_anew

    async def left_over(self, objects: Objects) -> list[str]:
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [upload["Key"] for upload in uploads]


async def test_objects_that_are_due_are_swept_from_a_bucket(redis_url: str, moto: str, bucket: str) -> None:
    line = Line(redis_url)
    await line.open()
    await line.call("DEL", DUE)
    async with open_objects(s3_settings(moto, f"s3://{bucket}")) as objects:
        expiring = ExpiringObjects(line, objects)
        for number in range(5):
            await expiring.put(f"jobs/acme/{number}", b"x", 1)
        await expiring.put_stream("media/acme/job_1/v.mp4", pieces_of(b"moving", 2), 1)
        await objects.put("media/acme/job_1/kept.mp4", b"x")
        assert await expiring.sweep() == 6
        assert await objects.groups("") == ["media"]
        assert await objects.get("media/acme/job_1/kept.mp4") == b"x"
        assert await expiring.sweep() == 0
    await line.close()


async def test_a_door_that_knows_its_caller_serves_a_bucket_s_files_and_the_open_one_does_not(
    moto: str, bucket: str
) -> None:
    body = large()[:1_000_000]

    async def file(request: Request) -> Response:
        return await object_answer(request, "media/acme/job_1/v.mp4", file_name="v.mp4")

    async with open_objects(s3_settings(moto, f"s3://{bucket}")) as objects, objects_door(objects) as http:
        app(http).add_route("/file", file)
        await objects.put("media/acme/job_1/v.mp4", body)
        whole = await http.get("/file")
        part = await http.get("/file", headers={"range": "bytes=-300000"})
        past = await http.get("/file", headers={"range": "bytes=1000000-"})
        assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, body, "video/mp4")
        assert (part.status_code, part.content) == (206, body[-300_000:])
        assert (past.status_code, past.headers["content-range"]) == (416, "bytes */1000000")
        signed = await objects.signed_url("media/acme/job_1/v.mp4", 4_000_000_000_000)
        assert signed.startswith(f"{moto}/{bucket}/media/acme/job_1/v.mp4?")
        for path in ("media/acme/job_1/v.mp4", f"media/acme/job_1/v.mp4?{signed.partition('?')[2]}"):
            assert (await http.get(f"/objects/{path}")).status_code == 404


async def test_two_prefixes_of_a_bucket_do_not_see_each_other(moto: str, bucket: str) -> None:
    settings = [s3_settings(moto, f"s3://{bucket}/{prefix}") for prefix in ("one", "on")]
    async with open_objects(settings[0]) as one, open_objects(settings[1]) as other:
        await one.put("media/a/1", b"one's")
        await other.put("media/a/2", b"other's")
        assert await other.groups("") == ["media"]
        await other.delete_group("media")
        assert await one.get("media/a/1") == b"one's"


async def test_a_reading_goes_on_where_its_connection_was_cut(moto: str, bucket: str) -> None:
    body = large()
    async with between(moto) as wire, open_objects(s3_settings(wire.url, f"s3://{bucket}")) as objects:
        await objects.put("media/a/j/v.mp4", body)
        found = b""
        async with aclosing(objects.read("media/a/j/v.mp4")) as pieces:
            async for piece in pieces:
                if len(found) < 1_000_000 <= len(found) + len(piece):
                    wire.cut()
                found += piece
        assert found == body


async def test_what_changed_while_it_was_cut_is_not_mixed(moto: str, bucket: str) -> None:
    async with between(moto) as wire, open_objects(s3_settings(wire.url, f"s3://{bucket}")) as objects:
        await objects.put("media/a/j/v.mp4", large(b"old"))
        async with aclosing(objects.read("media/a/j/v.mp4")) as pieces:
            await anext(pieces)
            await objects.put("media/a/j/v.mp4", large(b"new"))
            wire.cut()
            with pytest.raises(OSError, match="PreconditionFailed"):
                [piece async for piece in pieces]


async def test_storage_that_is_out_of_reach_at_the_start_is_used_when_it_is_there(
    moto: str, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_objects(s3_settings(moto, f"s3://{bucket}")):
        pass
    async with between(moto) as wire:
        await wire.refuse()
        async with open_objects(s3_settings(wire.url, f"s3://{bucket}")) as objects:
            assert "objects_out_of_reach" in caplog.messages
            steps = (objects.put("a/1", b"x"), objects.get("a/1"), objects.head("a/1"), objects.delete("a/1"))
            failures = await asyncio.gather(*steps, objects.groups("a"), return_exceptions=True)
            assert [isinstance(each, OSError) for each in failures] == [True] * 5
            assert not any(isinstance(each, FileNotFoundError) for each in failures)
            await wire.listen()
            await objects.put("a/1", b"x")
            assert await objects.get("a/1") == b"x"


OWN_RULE = {"ID": "the-operator's", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 90}}


async def test_a_bucket_gets_its_rules_and_keeps_those_of_others(moto: str, bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [OWN_RULE]})  # type: ignore[list-item]
    for objects in (f"s3://{bucket}/one", f"s3://{bucket}/one", f"s3://{bucket}/two/"):
        async with open_objects(s3_settings(moto, objects)):
            pass
    rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert OWN_RULE in rules
    expiring = {rule["Filter"]["Prefix"]: rule.get("Expiration", {}).get("Days") for rule in rules}
    assert expiring == {
        "logs/": 90,
        **{f"{name}/{group}/": 2 for name in ("one", "two") for group in ("jobs", "idempotent")},
        **{f"{name}/{group}/": 9 for name in ("one", "two") for group in ("media", "replies")},
        **{f"{name}/": None for name in ("one", "two")},
    }
    assert len(rules) == 11


async def test_a_bucket_is_left_alone_where_that_is_said(moto: str, bucket: str) -> None:
    async with open_objects(s3_settings(moto, f"s3://{bucket}", s3_lifecycle=False, s3_region="eu-central-1")):
        client = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
        assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-central-1"
        with pytest.raises(client.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
            client.get_bucket_lifecycle_configuration(Bucket=bucket)


@pytest.mark.parametrize(
    ("objects", "fault"),
    [
        ("s3://", "bucket"),
        ("s3://UPPER case", "bucket"),
        ("s3://bucket/a//b", "prefix"),
        ("gs://bucket", "s3://bucket/prefix"),
        ("/dev/null/below", "Not a directory"),
    ],
)
async def test_what_cannot_be_storage_is_said_at_the_start(moto: str, objects: str, fault: str) -> None:
    with pytest.raises(InvalidValue, match=f"PENSTOCK_OBJECTS: .*{fault}"):
        async with open_objects(s3_settings(moto, objects)):
            pass


async def test_missing_credentials_are_said_at_the_start(
    moto: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InvalidValue, match="AWS_ACCESS_KEY_ID"):
        async with open_objects(s3_settings(moto, f"s3://{bucket}")):
            pass
