"""What flow tests ask of a Penstock over plain HTTP, and how they read its streams."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2

QUESTION: Final = [{"role": "user", "content": "Greet me."}]
PATH: Final = "/v1/chat/completions"
DONE: Final = "[DONE]"


def body(model: str = "scripted", **fields: Any) -> dict[str, Any]:
    """A chat completion's body."""
    return {"model": model, "messages": QUESTION, **fields}


async def ask(http: httpx2.AsyncClient, model: str = "scripted", **fields: Any) -> httpx2.Response:
    return await http.post(PATH, json=body(model, **fields))


class Stream:
    """An open answer, read event by event; `text` is what of the first choice has come so far."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.text = ""
        self.finish_reason: str | None = None
        self._lines = response.aiter_lines()

    async def event(self) -> Any:
        """The next event: a chunk, `[DONE]`, an error or, as it stands on the wire, a comment."""
        async for line in self._lines:
            if line.startswith(":"):
                return line
            if line.startswith("data: "):
                data = line.removeprefix("data: ")
                return data if data == DONE else self._note(json.loads(data))
        raise EOFError("the stream is over")

    async def until_text(self, text: str) -> None:
        while self.text != text:
            await self.event()

    async def until_finished(self) -> None:
        while self.finish_reason is None:
            await self.event()

    async def rest(self) -> list[Any]:
        """All events that are still to come."""
        events = []
        try:
            while True:
                events.append(await self.event())
        except EOFError:
            return events

    def _note(self, event: Any) -> Any:
        for choice in event.get("choices", ()):
            if choice["index"] == 0:
                self.text += choice["delta"].get("content") or ""
                self.finish_reason = choice["finish_reason"] or self.finish_reason
        return event


@asynccontextmanager
async def streaming(http: httpx2.AsyncClient, model: str = "scripted", **fields: Any) -> AsyncIterator[Stream]:
    """An answer as it comes; leaving the block closes its connection."""
    async with http.stream("POST", PATH, json=body(model, stream=True, **fields)) as response:
        if response.status_code != 200:
            await response.aread()
        yield Stream(response)


def error_of(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The error that a response must carry, with everything the SDKs and DigitalOcean's clients look for."""
    assert response.status_code == status, response.text
    told = response.json()
    assert set(told) == {"error", "id", "message", "request_id", "status_code"}
    assert (told["status_code"], told["request_id"]) == (status, response.headers["x-request-id"])
    error: dict[str, Any] = told["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"] == told["message"]
    return error
