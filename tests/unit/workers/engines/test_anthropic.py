"""The engine against an upstream that speaks Messages, well and badly."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from schemas.catalog import Model, Timeouts
from schemas.chat import Chat, Message, Text
from schemas.chunks import Delta, Finish, TextDelta, UsageReport
from schemas.errors import (
    BodyTooLarge,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
    StreamCut,
)
from schemas.usage import Usage
from tests.anthropic_upstream import PING, answer, end, error, refusal, start, stream, text, upstream
from tests.upstream import CUT, Reply, Upstream
from workers.engine import EngineBusy
from workers.engines.anthropic import Anthropic
from workers.engines.setup import SetupError
from workers.retry import generate_with_retries

CHAT = Chat((Message("user", (Text("Hello!"),)),))
QUICK = Timeouts(connect_s=5, first_chunk_s=0.2, silence_s=0.2)


def row(base_url: str, **fields: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "engine": "anthropic",
            "base_url": base_url,
            "upstream_model": "claude-x",
            "context_tokens": 8192,
            "max_output_tokens": 4096,
            **fields,
        }
    )


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with upstream() as running:
        yield running


@pytest.fixture
async def engine(server: Upstream) -> AsyncIterator[Anthropic]:
    engine = Anthropic(row(server.url), "sk-ant-1")
    yield engine
    await engine.close()


async def outcome(engine: Anthropic, chat: Chat = CHAT) -> tuple[list[Delta], PenstockError | None]:
    """All deltas without the estimates between them, and the error that came after them."""
    deltas: list[Delta] = []
    try:
        async for batch in engine.generate("job-1", chat):
            assert batch
            deltas += [d for d in batch if not (isinstance(d, UsageReport) and d.usage.estimated)]
    except PenstockError as fault:
        return deltas, fault
    return deltas, None


async def test_a_good_answer(server: Upstream, engine: Anthropic) -> None:
    assert await outcome(engine) == (
        [TextDelta("Hello"), TextDelta(" there"), Finish("stop"), UsageReport(Usage(7, 2))],
        None,
    )
    asked = server.asked[0]
    assert asked.target == "/v1/messages"
    assert asked.headers["x-api-key"] == "sk-ant-1"
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.headers["x-request-id"] == "job-1"
    assert "anthropic-beta" not in asked.headers
    assert asked.body == {
        "model": "claude-x",
        "max_tokens": 4096,
        "stream": True,
        "messages": [{"role": "user", "content": "Hello!"}],
    }


async def test_a_row_says_how_it_wants_to_be_asked(server: Upstream) -> None:
    options = {"key_header": "authorization", "version": "2031-01-01", "betas": ["a"], "headers": {"x-own": "1"}}
    engine = Anthropic(row(server.url, engine_options=options), "s")
    asked_betas = Chat(CHAT.messages, extras={"anthropic.headers": {"anthropic-beta": "b, a,bad\nline, c"}})
    assert (await outcome(engine, asked_betas))[1] is None
    await engine.close()
    headers = server.asked[0].headers
    assert headers["authorization"] == "Bearer s"
    assert "x-api-key" not in headers
    assert (headers["anthropic-version"], headers["x-own"], headers["anthropic-beta"]) == ("2031-01-01", "1", "a,b,c")


@pytest.mark.parametrize(
    ("reply", "branch"),
    [
        pytest.param(refusal(400, "invalid_request_error", "as they say"), InvalidRequest, id="400"),
        pytest.param(refusal(401, "authentication_error", "bad key sk-ant-1"), EngineRejected, id="401"),
        pytest.param(refusal(402, "billing_error", "pay"), EngineRejected, id="402"),
        pytest.param(refusal(403, "permission_error", "no"), EngineRejected, id="403"),
        pytest.param(refusal(404, "not_found_error", "no model"), EngineRejected, id="404"),
        pytest.param(refusal(413, "request_too_large", "big"), BodyTooLarge, id="413"),
        pytest.param(refusal(500, "api_error", "oops"), EngineUnavailable, id="500"),
        pytest.param(refusal(529, "overloaded_error", "Overloaded"), EngineBusy, id="529"),
        pytest.param(Reply([start(), PING, error("overloaded_error")]), EngineBusy, id="529 inside"),
        pytest.param(Reply([]), StreamCut, id="an empty answer"),
        pytest.param(Reply([start(), PING, CUT]), StreamCut, id="cut before any output"),
        pytest.param(Reply([b"{}"], 200, {"Content-Type": "application/json"}), EngineFailed, id="JSON, not a stream"),
    ],
)
async def test_refusals(server: Upstream, engine: Anthropic, reply: Reply, branch: type[PenstockError]) -> None:
    server.script(reply)
    deltas, fault = await outcome(engine)
    assert deltas == []
    assert type(fault) is branch
    assert "sk-ant-1" not in str(fault)


@pytest.mark.parametrize("cut", [CUT, b""], ids=["connection lost", "ended"])
async def test_cut_after_message_start_it_is_asked_again(server: Upstream, engine: Anthropic, cut: Any) -> None:
    server.script(Reply([start(), PING, cut]), answer("Good"))
    deadline_ms = int((time.time() + 30) * 1000)
    tried = generate_with_retries(engine, "job", CHAT, attempts=2, deadline_ms=deadline_ms)
    deltas = [delta async for batch in tried for delta in batch]
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == ["Good"]
    assert len(server.asked) == 2


async def test_a_refusal_of_the_request_is_told_in_the_providers_words(server: Upstream, engine: Anthropic) -> None:
    server.script(refusal(400, "invalid_request_error", "messages.0: all messages must have non-empty content"))
    _, fault = await outcome(engine)
    assert fault is not None
    assert fault.message == "messages.0: all messages must have non-empty content"


async def test_429_passes_on_when_to_come_back(server: Upstream, engine: Anthropic) -> None:
    server.script(refusal(429, "rate_limit_error", "slow down", **{"retry-after": "7"}))
    _, fault = await outcome(engine)
    assert isinstance(fault, EngineUnavailable)
    assert fault.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("steps", "branch"),
    [
        pytest.param([CUT], StreamCut, id="connection lost"),
        pytest.param([], StreamCut, id="ended without a stop"),
        pytest.param([error("overloaded_error")], EngineBusy, id="an error"),
        pytest.param([b"data: nonsense\n\n"], EngineFailed, id="no JSON"),
    ],
)
async def test_what_came_before_a_failure_is_kept(
    server: Upstream, engine: Anthropic, steps: list[Any], branch: type[PenstockError]
) -> None:
    server.script(stream(text(0, "a"), steps))
    deltas, fault = await outcome(engine)
    assert deltas == [TextDelta("a")]
    assert type(fault) is branch


async def test_an_answer_whose_end_was_told_is_whole_without_message_stop(server: Upstream, engine: Anthropic) -> None:
    told, _, _ = end().partition(b"event: message_stop")
    server.script(stream(text(0, "a"), [told, CUT]))
    deltas, fault = await outcome(engine)
    assert fault is None
    assert deltas == [TextDelta("a"), Finish("stop"), UsageReport(Usage(7, 3))]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([asyncio.Event()], id="no first event"),
        pytest.param([start(), *text(0, "a"), asyncio.Event()], id="silence after a piece"),
    ],
)
async def test_silence_ends(server: Upstream, steps: list[Any]) -> None:
    hasty = Anthropic(row(server.url, timeouts=QUICK), None)
    server.script(Reply(steps))
    _, fault = await outcome(hasty)
    assert isinstance(fault, EngineUnavailable)
    await server.asked[0].gone.wait()
    await hasty.close()


async def test_what_was_cut_off_is_counted_as_far_as_it_went(server: Upstream, engine: Anthropic) -> None:
    server.script(stream(text(0, "x" * 400), [asyncio.Event()], input_tokens=25))
    async with aclosing(engine.generate("job-1", CHAT)) as batches:
        seen: list[Delta] = []
        async for batch in batches:
            seen += batch
            if any(isinstance(each, TextDelta) for each in batch):
                break
    assert seen[-1] == UsageReport(Usage(25, 100, estimated=True))


JSON = {"Content-Type": "application/json"}


async def test_a_prompt_is_counted_without_what_only_a_run_needs(server: Upstream, engine: Anthropic) -> None:
    server.script(Reply([b'{"input_tokens": 31}'], 200, JSON))
    assert await engine.count_tokens(Chat(CHAT.messages, extras={"anthropic.headers": {"anthropic-beta": "b"}})) == 31
    asked = server.asked[0]
    assert asked.target == "/v1/messages/count_tokens"
    assert asked.body == {"model": "claude-x", "messages": [{"role": "user", "content": "Hello!"}]}
    assert (asked.headers["x-api-key"], asked.headers["anthropic-beta"]) == ("sk-ant-1", "b")


@pytest.mark.parametrize(
    ("reply", "branch"),
    [
        pytest.param(Reply([b'{"tokens": 3}'], 200, JSON), EngineFailed, id="no count"),
        pytest.param(Reply([b"<html>"], 200, {"Content-Type": "text/html"}), EngineFailed, id="HTML"),
        pytest.param(refusal(400, "invalid_request_error", "as they say"), InvalidRequest, id="400"),
        pytest.param(refusal(529, "overloaded_error", "Overloaded"), EngineBusy, id="529"),
        pytest.param(Reply([CUT]), EngineUnavailable, id="cut"),
    ],
)
async def test_a_count_that_fails(
    server: Upstream, engine: Anthropic, reply: Reply, branch: type[PenstockError]
) -> None:
    server.script(reply)
    with pytest.raises(PenstockError) as raised:
        await engine.count_tokens(CHAT)
    assert type(raised.value) is branch


@pytest.mark.parametrize(
    "options", [{"thinking": "much"}, {"versions": "x"}, {"headers": {"bad name": "x"}}, {"key_header": "cookie"}]
)
def test_a_wrong_option_stops_the_start(options: Mapping[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"model 'm'.*engine_options"):
        Anthropic(row("http://127.0.0.1:1/v1", engine_options=options), None)


async def test_an_answer_is_an_answer_by_default(server: Upstream, engine: Anthropic) -> None:
    server.script(answer("one", "two", input_tokens=11))
    deltas, _ = await outcome(engine)
    assert deltas[-1] == UsageReport(Usage(11, 2))
