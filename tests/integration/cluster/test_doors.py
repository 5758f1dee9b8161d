"""Every way in, over servers that are each a machine of its own in production."""

import asyncio
import json
from typing import Final

import httpx2
import openai
import pytest

from storage.keys import NewKey
from tests.asking import QUESTION
from tests.integration.cluster.cluster import Cluster
from tests.producer import Producer
from tests.running import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT: Final = "/v1/chat/completions"


async def test_a_video_lies_in_the_object_storage_and_its_signed_url_opens_it(
    cluster: Cluster, key: NewKey, account: str
) -> None:
    one, other = (cluster.client(key.secret, cluster.door(f"ingress-{number}")) for number in (1, 2))
    async with one, other, httpx2.AsyncClient(trust_env=False) as anybody:
        created = await one.post("/v1/videos", json={"model": "film", "prompt": "A boat at dawn"})
        assert created.status_code == 202, created.text
        done = (await other.get(f"/v1/videos/{created.json()['id']}", params={"wait": 40})).json()
        assert done["status"] == "completed", done
        assert done["url"].startswith(f"{cluster.url}/penstock/")
        signed = await anybody.get(done["url"])
        assert signed.status_code == 200, signed.text
        assert signed.content[4:8] == b"ftyp"
        content = await other.get(f"/v1/videos/{done['id']}/content")
        assert content.content == signed.content
        assert (await anybody.get(done["url"].partition("?")[0])).status_code == 403
    (charge,) = await cluster.charges(account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("completed", 100_000)


async def test_a_video_is_stored_when_the_object_storage_is_back(cluster: Cluster, key: NewKey, account: str) -> None:
    await cluster.kill("seaweedfs")
    async with cluster.client(key.secret, timeout_s=90) as http:
        created = await http.post("/v1/videos", json={"model": "film", "prompt": "A boat at dusk"})
        assert created.status_code == 202, created.text
        video = f"/v1/videos/{created.json()['id']}"
        await until(lambda: cluster.log_count("celery", "step_not_done"), lambda count: count > 0)
        await cluster.start("seaweedfs")

        async def seen() -> str:
            status: str = (await http.get(video)).json()["status"]
            return status

        await until(seen, lambda status: status not in ("queued", "in_progress"), 60)
        content = await http.get(f"{video}/content")
    assert content.content[4:8] == b"ftyp"
    assert [charge.cost_microusd for charge in await cluster.charges(account, 1)] == [100_000]


async def test_a_picture_by_url(cluster: Cluster, key: NewKey) -> None:
    asked = {"model": "picture", "prompt": "A boat", "size": "256x256", "response_format": "url"}
    async with cluster.client(key.secret) as http, httpx2.AsyncClient(trust_env=False) as anybody:
        drawn = await http.post("/v1/images/generations", json=asked)
        assert drawn.status_code == 200, drawn.text
        picture = await anybody.get(drawn.json()["data"][0]["url"])
    assert picture.content[:8] == b"\x89PNG\r\n\x1a\n"


async def test_a_body_that_the_log_does_not_take_goes_by_the_object_storage(
    cluster: Cluster, key: NewKey, account: str
) -> None:
    long = [{"role": "user", "content": "word " * 300_000}]
    async with cluster.client(key.secret) as http:
        answer = await http.post(CHAT, json={"model": "wide", "messages": long})
    assert answer.status_code == 200, answer.text
    assert await cluster.ends(account, 1) == [("completed", 2)]


async def test_a_batch_is_answered_line_by_line(cluster: Cluster, key: NewKey, account: str) -> None:
    body = {"model": "scripted", "messages": QUESTION}
    lines = [{"custom_id": f"line-{n}", "method": "POST", "url": CHAT, "body": body} for n in range(30)]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    async with openai.AsyncOpenAI(base_url=cluster.base_url, api_key=key.secret, max_retries=0) as sdk:
        file = await sdk.files.create(file=("asked.jsonl", content), purpose="batch")
        batch = await sdk.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        batch = await until(lambda: sdk.batches.retrieve(batch.id), lambda seen: seen.status == "completed", 60)
        assert (batch.request_counts.completed, batch.request_counts.failed) == (30, 0)
        told = (await sdk.files.content(batch.output_file_id)).text
    rows = [json.loads(line) for line in told.splitlines()]
    assert {row["custom_id"] for row in rows} == {line["custom_id"] for line in lines}
    assert len(await cluster.ends(account, 30)) == 30


async def test_a_producer_on_any_node_is_answered_on_any_other(cluster: Cluster, key: NewKey, account: str) -> None:
    async def ask_by(number: int) -> int:
        async with Producer(cluster.node(number), key.secret).open() as producer:
            told = await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})
        return int(told.value["status"])

    assert await asyncio.gather(*[ask_by(number) for number in (1, 2, 3)]) == [200] * 3
    assert await cluster.ends(account, 3) == [("completed", 2)] * 3
