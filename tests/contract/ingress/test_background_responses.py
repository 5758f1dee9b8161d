"""What ingress processes make of a background job's frames, over a real Valkey; the worker is played."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingress.background import Background
from ingress.following import Following, events
from ingress.translate.openai_responses import ResponsesFold, head, job_id, parse
from schemas.access import Limits
from schemas.chunks import Chunk, Ended, Finish, Frame, TextDelta
from schemas.errors import DeadlineExceeded
from schemas.usage import Usage
from storage.background import DUE, BackgroundJobs, Name
from storage.limits import LimitStore, Scope
from storage.line import Line
from storage.object_folder import ObjectFolder
from storage.replies import Outboxes
from storage.responses import ResponseStore, StoredResponse, Ticket
from tests.open_responses import check_response, check_stream
from tests.stack import until

ENDED = Ended("completed", Usage(3, 2))
LIMITS = Limits(requests_per_min=1000, tokens_per_min=1000, in_flight=1)


class Platform:
    """One Valkey and one folder; `ingress` gives what one process of several has."""

    def __init__(self, line: Line, folder: Path) -> None:
        self.line = line
        self.store = ResponseStore(line, ObjectFolder(folder), 30)
        self.limits = LimitStore(line)
        self.boxes = Outboxes(line, lambda _: None)

    def ingress(self) -> Background:
        return Background(BackgroundJobs(self.line), self.store, self.limits, self.line)

    async def accept(self, *, stream: bool = True, deadline_s: float = 60) -> StoredResponse:
        """A response that waits in the background, with 100 tokens and the account's only slot reserved for it."""
        now_ms = time.time_ns() // 1_000_000
        number = f"{now_ms:012x}{os.urandom(10).hex()}"
        account = f"account-{number[-8:]}"
        scopes = (Scope(account, None, LIMITS),)
        assert (await self.limits.reserve(scopes, f"job_{number}", 60_000, 100)).refused is None
        request = parse(json.dumps({"model": "m", "input": "Hi", "background": True, "stream": stream}).encode())
        fold = ResponsesFold(head(request, "m", f"job_{number}", now_ms // 1000, store=True), time.time)
        fold.status = "queued"
        ticket = Ticket("text.default", now_ms + int(deadline_s * 1000), stream, scopes, 100)
        response = StoredResponse(fold.head.id, account, fold.reply(), [], ticket=ticket)
        await self.ingress().keep(response)
        return response

    async def post(self, response: StoredResponse, seq: int, *chunks: Chunk, attempt: int = 1) -> None:
        name = Name(response.account, job_id(response.id))
        self.boxes.post(name.channel, Frame(name.job_id, attempt, seq, list(chunks)))
        await self.boxes.drain(5)

    async def tokens_left(self, response: StoredResponse) -> int:
        """Of the account's 1000 a minute, once one more is reserved."""
        scopes = (Scope(response.account, None, LIMITS),)
        verdict = await self.limits.reserve(scopes, "another", 60_000, 1)
        assert verdict.refused is None
        return verdict.standings[0].tokens_left

    async def slot_is_free(self, response: StoredResponse) -> bool:
        scopes = (Scope(response.account, None, LIMITS),)
        return (await self.limits.reserve(scopes, "another", 60_000, 1)).refused is None


@pytest.fixture
async def platform(redis_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    line = Line(redis_url)
    await line.open()
    await line.call("DEL", DUE)
    yield Platform(line, tmp_path)
    await line.close()


def body(response: StoredResponse | None) -> dict[str, Any]:
    assert response is not None
    told: dict[str, Any] = json.loads(response.body)
    check_response(told)
    return told


async def follow(background: Background, response: StoredResponse, after: int = -1, ping_s: float = 9) -> str:
    following = Following(background, response)
    return b"".join([text async for text in events(following, "openai", after, ping_s)]).decode()


async def test_a_response_is_queued_then_in_progress_then_complete(platform: Platform) -> None:
    response, background = await platform.accept(), platform.ingress()
    assert body(await background.current(response))["status"] == "queued"
    await platform.post(response, 0, TextDelta("Good"))
    under_way = body(await background.current(response))
    assert (under_way["status"], under_way["output"][0]["content"][0]["text"]) == ("in_progress", "Good")
    await platform.post(response, 1, TextDelta(" day"), Finish("stop"), ENDED)
    done = await background.current(response)
    assert body(done)["output"][0]["content"][0]["text"] == "Good day"
    assert await platform.store.get(response.account, response.id) == done
    assert await platform.slot_is_free(response)


async def test_an_end_is_put_away_without_anybody_asking(platform: Platform) -> None:
    response = await platform.accept(stream=False)
    watching = [asyncio.create_task(platform.ingress().look_after()) for _ in range(2)]
    await platform.post(response, 0, TextDelta("Hi"), Finish("stop"), ENDED)
    stored = await until(lambda: again(platform, response), lambda found: found.ticket is None)
    assert body(stored)["status"] == "completed"
    await until(lambda: platform.slot_is_free(response), bool)
    for task in watching:
        task.cancel()


async def test_what_was_not_used_is_given_back_once_however_many_look(platform: Platform) -> None:
    response = await platform.accept()
    await platform.post(response, 0, TextDelta("Hi"), Finish("stop"), ENDED)
    await asyncio.gather(*[platform.ingress().current(response) for _ in range(5)])
    assert await platform.tokens_left(response) in range(994, 996)


async def test_an_overdue_job_ends_as_failed(platform: Platform) -> None:
    response = await platform.accept(deadline_s=-60)
    told = body(await platform.ingress().current(response))
    assert (told["status"], told["error"]["type"]) == ("failed", "deadline_exceeded")


async def test_what_only_a_silent_worker_has_counted_is_not_told(platform: Platform) -> None:
    response = await platform.accept(deadline_s=-60)
    await platform.post(response, 0, TextDelta("Good"))
    told = body(await platform.ingress().current(response))
    assert (told["output"][0]["content"][0]["text"], told["usage"]) == ("Good", None)
    counted = await platform.accept(deadline_s=-60)
    await platform.post(counted, 0, Ended("expired", Usage(), DeadlineExceeded("late").data()))
    assert body(await platform.ingress().current(counted))["usage"]["total_tokens"] == 0
    assert await platform.tokens_left(response) in range(899, 906)
    assert await platform.tokens_left(counted) in range(998, 1000)


async def test_a_job_whose_frames_were_lost_ends_as_failed(platform: Platform) -> None:
    response = await platform.accept()
    await platform.line.call("DEL", Name(response.account, job_id(response.id)).channel)
    told = body(await platform.ingress().current(response))
    assert (told["status"], told["error"]["type"]) == ("failed", "worker_lost")


async def test_cancelling_waits_for_the_count_of_what_was_used(platform: Platform) -> None:
    response, background = await platform.accept(), platform.ingress()
    await platform.post(response, 0, TextDelta("Once"))
    cancelling = asyncio.create_task(background.cancel(response))
    record = f"penstock:job:{job_id(response.id)}"
    await until(lambda: platform.line.call("HEXISTS", record, "cancelled"), bool)
    await platform.post(response, 1, Ended("cancelled", Usage(3, 1)))
    told = body(await cancelling)
    assert (told["status"], told["usage"]["total_tokens"]) == ("cancelled", 4)
    assert body(await background.cancel(await again(platform, response))) == told


async def test_a_job_that_no_worker_hears_of_is_cancelled_all_the_same(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.background.CANCEL_S", 0.1)
    response, background = await platform.accept(), platform.ingress()
    assert body(await background.cancel(response))["status"] == "cancelled"
    await platform.post(response, 0, TextDelta("late"), Finish("stop"), ENDED)
    assert body(await background.current(await again(platform, response)))["status"] == "cancelled"


async def test_a_deleted_response_is_gone(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingress.background.CANCEL_S", 0.1)
    response, background = await platform.accept(), platform.ingress()
    await background.delete(response)
    assert await background.current(response) is None
    assert check_stream(await follow(background, response))[-1]["response"]["status"] == "cancelled"


async def test_a_stream_can_be_followed_from_any_event_while_it_runs_and_after(platform: Platform) -> None:
    response, background = await platform.accept(), platform.ingress()
    await platform.post(response, 0, TextDelta("Good"))
    whole = asyncio.create_task(follow(background, response))
    rest = asyncio.create_task(follow(platform.ingress(), response, after=4))
    await asyncio.sleep(0)
    await platform.post(response, 1, TextDelta(" day"))
    await platform.post(response, 2, Finish("stop"), ENDED)
    every = check_stream(await whole)
    assert [event["response"]["status"] for event in every if "response" in event] == [
        "queued",
        "queued",
        "in_progress",
        "completed",
    ]
    assert check_stream(await rest, after=4) == every[5:]
    finished = await again(platform, response)
    assert check_stream(await follow(background, finished)) == every
    assert every[-1]["response"] == body(finished)
    assert check_stream(await follow(background, finished, after=7), after=7) == every[8:]


async def test_a_whole_answer_is_streamed_from_its_last_attempt(platform: Platform) -> None:
    response, background = await platform.accept(stream=False), platform.ingress()
    await platform.post(response, 0, TextDelta("lost"))
    following = asyncio.create_task(follow(background, response))
    await platform.post(response, 0, TextDelta("kept"), attempt=2)
    await platform.post(response, 1, Finish("stop"), ENDED, attempt=2)
    assert check_stream(await following)[-1]["response"]["output"][0]["content"][0]["text"] == "kept"


async def test_silence_on_a_followed_stream_is_filled(platform: Platform) -> None:
    response = await platform.accept()
    following = events(Following(platform.ingress(), response), "openai", 99, 0.1)
    assert await anext(following) == b": ping\n\n"
    await following.aclose()


async def again(platform: Platform, response: StoredResponse) -> StoredResponse:
    found = await platform.store.get(response.account, response.id)
    assert found is not None
    return found
