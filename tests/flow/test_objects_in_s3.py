"""The same platform with its objects in a bucket: what is too large for the log goes there and is gone after."""

from pathlib import Path

import boto3
import pytest

from storage.local.kafka_program import KafkaProgram
from tests.asking import PATH
from tests.s3_server import CREDENTIALS, running_moto
from tests.stack import running_stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROW = {"id": "wide", "context_tokens": 4_000_000, "max_output_tokens": 100_000}


async def test_a_long_question_goes_by_the_bucket(
    tmp_path: Path, kafka_program: KafkaProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_moto() as endpoint:
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

        async def keys() -> list[str]:
            return [each["Key"] for each in client.list_objects_v2(Bucket="bodies").get("Contents", [])]

        bucket = {"PENSTOCK_OBJECTS": "s3://bodies/flow", "PENSTOCK_S3_ENDPOINT": endpoint}
        async with running_stack(tmp_path, kafka_program, rows=[ROW], **bucket) as stack:
            key = await stack.create_key("acme")
            asked = {"model": "wide", "messages": [{"role": "user", "content": "word " * 400_000}], "max_tokens": 5}
            async with stack.client(key.secret) as http:
                answer = await http.post(PATH, json=asked)
            assert answer.status_code == 200, answer.text
            assert len(stack.upstream.asked[0].body["messages"][0]["content"]) == 2_000_000
            await stack.charges("acme", 1)
            await until(keys, lambda left: not left)
            assert not stack.objects.exists()
