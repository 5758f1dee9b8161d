"""Webhooks: a long job's end, told at its caller's URL, signed, again and again until it is heard."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from openai import InvalidWebhookSignatureError

from storage.database import Database
from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from storage.webhook_secrets import WebhookSecrets
from tests.flow.command_line import json_of
from tests.receiver import Call, Receiver
from tests.stack import Stack, running_stack, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]

VIDEO = {"sizes": ["160x96"], "seconds": {"min": 0.5, "max": 5}, "default_seconds": 0.5, "fps": [4], "default_fps": 4}
BASE = {"modality": "video", "context_tokens": 0, "max_output_tokens": 0, "video": VIDEO, "price": {}}
ROWS: list[dict[str, Any]] = [
    {**BASE, "id": "tiny-video", "engine": "storyboard", "base_url": None},
    {**BASE, "id": "brief-video", "deadline_s": 1},
]
OPEN = {
    "PENSTOCK_WEBHOOK_NETWORKS": '["127.0.0.1/32"]',
    "PENSTOCK_WEBHOOK_HTTP": "1",
    "PENSTOCK_WEBHOOK_S": "2",
    "PENSTOCK_WEBHOOK_RETRY_S": "0.2",
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hooked(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Stack]:
    parts = ("ingress", "dispatcher", "jobs")
    folder = tmp_path_factory.mktemp("webhooks")
    async with running_stack(folder, kafka_program, *parts, rows=ROWS, **OPEN) as stack:
        stack.upstream.mute = True
        yield stack


@pytest_asyncio.fixture(loop_scope="session")
async def owner(hooked: Stack, account: str) -> NewKey:
    return await hooked.create_key(account)


@pytest_asyncio.fixture(loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


async def film(stack: Stack, owner: NewKey, url: str, path: str = "/v1/videos", model: str = "tiny-video") -> str:
    async with stack.client(owner.secret) as http:
        created = await http.post(path, json={"model": model, "prompt": "A dam", "webhook_url": url})
        assert created.status_code == 202, created.text
        return str(created.json()["id"])


async def signing(stack: Stack, account: str, *, rotated: bool = False) -> tuple[str, ...]:
    database = await Database.open(stack.database_url)
    try:
        secrets = WebhookSecrets(database)
        if rotated:
            await secrets.rotate(account)
        return await secrets.of(account)
    finally:
        await database.close()


def verify(call: Call, secret: str) -> None:
    """By the official client's own reading of Standard Webhooks."""
    openai.OpenAI(api_key="none").webhooks.verify_signature(call.body.decode(), call.headers, secret=secret)


async def test_an_end_is_told_and_signed(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    video = await film(hooked, owner, receiver.url)
    call = await receiver.called(1)
    (secret,) = await signing(hooked, owner.key.account)
    verify(call, secret)
    event = json.loads(call.body)
    assert (event["object"], event["type"], event["id"]) == ("event", "video.completed", call.headers["webhook-id"])
    async with hooked.client(owner.secret) as http:
        shown = (await http.get(f"/v1/videos/{video}")).json()
    assert event["data"] == shown
    assert event["created_at"] == shown["completed_at"]
    assert call.headers["content-type"] == "application/json"
    forged = Call(call.headers, call.body.replace(b"completed", b"cancelled"))
    with pytest.raises(InvalidWebhookSignatureError):
        verify(forged, secret)


async def test_another_implementation_verifies_it(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    standardwebhooks = pytest.importorskip("standardwebhooks")
    await film(hooked, owner, receiver.url)
    call = await receiver.called(1)
    (secret,) = await signing(hooked, owner.key.account)
    assert standardwebhooks.Webhook(secret).verify(call.body, dict(call.headers)) == json.loads(call.body)


async def test_each_family_tells_in_its_own_words(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    job = await film(hooked, owner, receiver.url, "/v1/video/generations")
    data = json.loads((await receiver.called(1)).body)["data"]
    assert (data["id"], data["status"]) == (job, "completed")


async def test_a_failure_is_told_too(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    await film(hooked, owner, receiver.url, model="brief-video")
    event = json.loads((await receiver.called(1)).body)
    assert (event["type"], event["data"]["status"]) == ("video.failed", "failed")
    assert event["data"]["error"]["code"] == "deadline_exceeded"


async def test_a_receiver_that_fails_is_called_again(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    receiver.statuses.extend([500, 307, 404])
    await film(hooked, owner, receiver.url)
    await receiver.called(4)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert len({call.body for call in receiver.calls}) == 1
    (secret,) = await signing(hooked, owner.key.account)
    for call in receiver.calls:
        verify(call, secret)


async def test_a_receiver_that_wants_no_more_gets_no_more(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    given_up = await hooked.log_count("dispatcher", "webhook_given_up")
    receiver.statuses.append(410)
    await film(hooked, owner, receiver.url)
    await until(lambda: hooked.log_count("dispatcher", "webhook_given_up"), lambda count: count == given_up + 1)
    assert len(receiver.calls) == 1


async def test_a_new_secret_signs_beside_the_old_one(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    (old,) = await signing(hooked, owner.key.account)
    new, before = await signing(hooked, owner.key.account, rotated=True)
    assert before == old
    await film(hooked, owner, receiver.url)
    call = await receiver.called(1)
    verify(call, new)
    verify(call, old)


async def test_the_command_line_hands_secrets_out(hooked: Stack, account: str) -> None:
    at = ("--account", account, "--database", hooked.database_url)
    shown = await asyncio.to_thread(json_of, "webhooks", "secret", *at)
    assert shown == {"account": account, "secrets": list(await signing(hooked, account))}
    renewed = await asyncio.to_thread(json_of, "webhooks", "rotate", *at)
    assert await signing(hooked, account) == (renewed["secret"], shown["secrets"][0])


async def test_a_form_may_name_a_webhook_too(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    async with openai.AsyncOpenAI(base_url=hooked.base_url, api_key=owner.secret) as client:
        video = await client.videos.create(model="tiny-video", prompt="A dam", extra_body={"webhook_url": receiver.url})
    assert json.loads((await receiver.called(1)).body)["data"]["id"] == video.id


async def test_a_dispatcher_that_dies_loses_no_webhook(hooked: Stack, owner: NewKey) -> None:
    async with Receiver() as receiver:
        receiver.statuses.extend([503, 503])
        await film(hooked, owner, receiver.url)
        await receiver.called(1)
        await hooked.kill("dispatcher")
        await hooked.start("dispatcher", **OPEN)
        await receiver.called(3)


async def test_a_deleted_video_is_told_to_nobody(hooked: Stack, owner: NewKey, receiver: Receiver) -> None:
    async with hooked.client(owner.secret) as http:
        asked = {"model": "tiny-video", "prompt": "A dam", "webhook_url": receiver.url}
        first: httpx2.Response = await http.post("/v1/videos", json={**asked, "seconds": 5})
        await http.delete(f"/v1/videos/{first.json()['id']}")
        second = await http.post("/v1/videos", json=asked)
    call = await receiver.called(1)
    assert json.loads(call.body)["data"]["id"] == second.json()["id"]
