"""Anthropic's own client against a whole Penstock, whose upstreams speak Messages or chat completions."""

import asyncio
from typing import Any

import anthropic
import pytest
import pytest_asyncio

from schemas.access import Limits
from storage.keys import NewKey
from tests import anthropic_upstream as messages
from tests import upstream as chat
from tests.stack import Stack
from tests.upstream import CUT, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

HI: list[Any] = [{"role": "user", "content": "Greet me."}]
WEATHER: list[Any] = [
    {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
]
MODELS = pytest.mark.parametrize("model", ["scripted", "claude"])
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def anthropic_unless_scripted(stack: Stack) -> None:
    stack.upstream.otherwise = messages.answer("Hello", " there")


def sdk(stack: Stack, key: NewKey, url: str | None = None, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url or stack.url, api_key=key.secret, max_retries=0, **options)


def answer(model: str, *pieces: str, input_tokens: int = 11) -> Reply:
    """The same answer in the dialect of the model's upstream."""
    return (messages if model == "claude" else chat).answer(*pieces, input_tokens=input_tokens)


def reset_connection(model: str) -> Reply:
    if model == "claude":
        return messages.stream(messages.text(0, "Good"), [CUT])
    return Reply([chat.opening(), chat.text("Good"), CUT])


@MODELS
async def test_a_stream_carries_every_piece_and_its_usage(stack: Stack, key: NewKey, model: str) -> None:
    stack.upstream.script(answer(model, "Good", " morn", "ing"))
    async with sdk(stack, key) as client, client.messages.stream(model=model, max_tokens=50, messages=HI) as stream:
        pieces = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()
    assert pieces == ["Good", " morn", "ing"]
    assert (message.stop_reason, message.model, message.role) == ("end_turn", model, "assistant")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 3)


@MODELS
async def test_a_whole_reply_is_the_fold_of_the_stream(stack: Stack, key: NewKey, model: str) -> None:
    stack.upstream.script(answer(model, "Good", " morn", "ing"))
    async with sdk(stack, key) as client:
        message = await client.messages.create(model=model, max_tokens=50, messages=HI)
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Good morning"}]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 3)
    assert message.id.startswith("msg_")


async def test_the_synchronous_client_reads_the_same(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(answer("claude", "Good", " morning"))

    def ask() -> str:
        client = anthropic.Anthropic(base_url=stack.url, api_key=key.secret, max_retries=0)
        with client, client.messages.stream(model="claude", max_tokens=50, messages=HI) as stream:
            return "".join(stream.text_stream)

    assert await asyncio.to_thread(ask) == "Good morning"


@MODELS
async def test_the_charge_is_what_the_engine_counted(stack: Stack, key: NewKey, model: str) -> None:
    stack.upstream.script(answer(model, "a", "b", "c"))
    async with sdk(stack, key) as client:
        await client.messages.create(model=model, max_tokens=50, messages=HI)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.usage.input_tokens, charge.event.usage.output_tokens) == (11, 3)
    assert charge.event.operation == "messages"
    assert charge.cost_microusd == 11 * 1 + 3 * 2


def calling(model: str) -> Reply:
    if model == "claude":
        called = messages.tool_use(0, "toolu_1", "weather", '{"city": ', '"Paris"}')
        return messages.stream(called, messages.end("tool_use"))
    pieces = [
        {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"city": '}},
        {"index": 0, "function": {"arguments": '"Paris"}'}},
    ]
    chunks = [chat.chunk({"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}) for piece in pieces]
    return Reply([chat.opening(), *chunks, chat.finish("tool_calls"), chat.usage(11, 5), chat.DONE])


@MODELS
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
async def test_a_tools_round_trip(stack: Stack, key: NewKey, model: str, streaming: bool) -> None:
    stack.upstream.script(calling(model), answer(model, "15 degrees."))
    asked: dict[str, Any] = {"model": model, "max_tokens": 50, "tools": WEATHER}
    async with sdk(stack, key) as client:
        if streaming:
            async with client.messages.stream(messages=HI, **asked) as stream:
                said = await stream.get_final_message()
        else:
            said = await client.messages.create(messages=HI, **asked)
        assert said.stop_reason == "tool_use"
        (call,) = said.content
        assert call.type == "tool_use"
        assert (call.id, call.name, call.input) == ("toolu_1", "weather", {"city": "Paris"})
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "15"}
        turns = [*HI, {"role": "assistant", "content": said.content}, {"role": "user", "content": [result]}]
        after = await client.messages.create(messages=turns, **asked)
    assert after.content[0].to_dict() == {"type": "text", "text": "15 degrees."}
    sent = stack.upstream.asked[1].body["messages"]
    if model == "claude":
        assert sent[1:] == [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}],
            },
            {"role": "user", "content": [result]},
        ]
    else:
        assert sent[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Paris"}'}
        assert sent[2] == {"role": "tool", "tool_call_id": "toolu_1", "content": "15"}


async def test_thoughts_come_signed_and_go_back_as_they_came(stack: Stack, key: NewKey) -> None:
    redacted = {"type": "redacted_thinking", "data": "ZGF0YQ"}
    stack.upstream.script(
        messages.stream(
            messages.thinking(0, "Let me", " see.", signature="c2ln"),
            messages.block(1, redacted),
            messages.text(2, "Yes."),
            messages.end(),
        )
    )
    thinking = {"type": "enabled", "budget_tokens": 1024}
    async with sdk(stack, key) as client:
        asked: dict[str, Any] = {"model": "claude", "max_tokens": 1024, "thinking": thinking}
        async with client.messages.stream(messages=HI, **asked) as stream:
            said = await stream.get_final_message()
        blocks = [block.to_dict() for block in said.content]
        assert blocks == [
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            redacted,
            {"type": "text", "text": "Yes."},
        ]
        await client.messages.create(messages=[*HI, {"role": "assistant", "content": said.content}, *HI], **asked)
    again = stack.upstream.asked[1].body
    assert again["messages"][1] == {"role": "assistant", "content": blocks}
    assert again["thinking"] == thinking


async def test_what_only_anthropic_knows_goes_through_unchanged(stack: Stack, key: NewKey) -> None:
    body = {
        "model": "claude",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "search_result", "source": "s", "new": [1]}]}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}, {**WEATHER[0], "defer_loading": True}],
        "context_management": {"edits": []},
        "made_up": {"by": "a client of next year"},
    }
    async with stack.client(key.secret) as http:
        response = await http.post(
            "/v1/messages?beta=true", json=body, headers={"anthropic-beta": "made-up-2031-01-01, another"}
        )
    assert response.status_code == 200
    asked = stack.upstream.asked[0]
    assert asked.body == body
    assert asked.headers["anthropic-beta"] == "made-up-2031-01-01,another"


@pytest.mark.parametrize("base", ["/v1/messages", "/v1", ""])
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_every_base_url_that_people_set_leads_here(stack: Stack, key: NewKey, base: str, header: str) -> None:
    options: dict[str, Any] = {"default_headers": {"x-api-key": key.secret}} if header == "x-api-key" else {}
    async with sdk(stack, key, stack.url + base, **options) as client:
        message = await client.messages.create(model="claude", max_tokens=5, messages=HI)
        counted = await client.messages.count_tokens(model="scripted", messages=HI)
    assert message.stop_reason == "end_turn"
    assert counted.input_tokens > 0


@pytest.mark.parametrize("path", ["/api/hello", "/"])
async def test_hello(stack: Stack, key: NewKey, path: str) -> None:
    async with stack.client(key.secret) as http:
        assert (await http.head(path)).status_code == 200


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        ("claude", Reply([b'{"input_tokens": 31}'], 200, JSON)),
        ("counting", Reply([b'{"count": 31, "max_model_len": 8192}'], 200, JSON)),
    ],
)
async def test_a_prompt_is_counted_by_its_engine_and_costs_nothing(
    stack: Stack, key: NewKey, model: str, reply: Reply
) -> None:
    stack.upstream.script(reply)
    async with sdk(stack, key) as client:
        counted = await client.messages.count_tokens(model=model, messages=HI, system="Be brief.")
    assert counted.input_tokens == 31
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.operation, charge.event.end) == ("count_tokens", "completed")
    assert (charge.event.usage.input_tokens, charge.cost_microusd) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_what_only_anthropic_tells_at_the_end_comes_through(stack: Stack, key: NewKey, stream: bool) -> None:
    refused = {"type": "refusal", "category": "cyber", "explanation": "It would do harm."}
    searched = {"web_search_requests": 2, "web_fetch_requests": 0}
    end = messages.event(
        "message_delta",
        delta={"stop_reason": "refusal", "stop_sequence": None, "stop_details": refused},
        usage={"output_tokens": 3, "server_tool_use": searched},
    )
    opening = messages.start(7, service_tier="priority")
    stack.upstream.script(Reply([opening, *messages.text(0, "No."), end, messages.event("message_stop")]))
    async with sdk(stack, key) as client:
        if stream:
            async with client.messages.stream(model="claude", max_tokens=50, messages=HI) as events:
                told = await events.get_final_message()
        else:
            told = await client.messages.create(model="claude", max_tokens=50, messages=HI)
            assert told.usage.service_tier == "priority"
    assert told.stop_details is not None
    assert told.usage.server_tool_use is not None
    assert (told.stop_details.to_dict(), told.usage.server_tool_use.to_dict()) == (refused, searched)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_cut_before_any_output_is_asked_again_unseen(stack: Stack, key: NewKey, stream: bool) -> None:
    stack.upstream.script(Reply([messages.start(7), messages.PING, CUT]), answer("claude", "Good", " day"))
    async with sdk(stack, key) as client:
        if stream:
            async with client.messages.stream(model="claude", max_tokens=50, messages=HI) as events:
                assert "".join([piece async for piece in events.text_stream]) == "Good day"
        else:
            message = await client.messages.create(model="claude", max_tokens=50, messages=HI)
            assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Good day"}]
    assert len(stack.upstream.asked) == 2
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.usage.input_tokens, charge.event.usage.output_tokens) == (11, 2)


async def test_a_prompt_is_estimated_where_no_engine_counts(stack: Stack, key: NewKey) -> None:
    async with sdk(stack, key) as client:
        short = await client.messages.count_tokens(model="scripted", messages=HI)
        long = await client.messages.count_tokens(model="scripted", messages=HI, system="word " * 1000)
    assert 1000 < long.input_tokens - short.input_tokens < 1500
    assert stack.upstream.asked == []


async def test_a_count_that_the_engine_refuses_is_told_in_its_words(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(messages.refusal(400, "invalid_request_error", "messages.0: as they say"))
    async with sdk(stack, key) as client:
        with pytest.raises(anthropic.BadRequestError) as raised:
            await client.messages.count_tokens(model="claude", messages=HI)
    assert error_of(raised.value) == ("invalid_request_error", "messages.0: as they say")


def error_of(error: anthropic.APIStatusError) -> tuple[str, str]:
    """Type and message, once the body has been seen to be Anthropic's and nothing else."""
    body = error.body
    assert isinstance(body, dict)
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert error.request_id == body["request_id"] == error.response.headers["x-request-id"]
    return body["error"]["type"], body["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"model": "no-such-model"}, 404, "not_found_error"),
        ({"max_tokens": 100_000}, 400, "invalid_request_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"temperature": 7}, 400, "invalid_request_error"),
        ({"system": "x" * 40_000_000}, 413, "request_too_large"),
    ],
)
async def test_what_is_wrong_is_told_in_anthropics_shape(
    stack: Stack, key: NewKey, fields: dict[str, Any], status: int, kind: str
) -> None:
    body = {"model": "scripted", "max_tokens": 5, "messages": HI, **fields}
    async with stack.client(key.secret) as http:
        response = await http.post("/v1/messages", json=body)
    assert response.status_code == status
    told = response.json()
    assert (told["type"], told["error"]["type"]) == ("error", kind)
    assert told["request_id"] == response.headers["request-id"]


async def test_a_key_that_is_none(stack: Stack, key: NewKey) -> None:
    async with anthropic.AsyncAnthropic(base_url=stack.url, api_key="sk-no", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            await client.messages.create(model="claude", max_tokens=5, messages=HI)
    assert error_of(raised.value)[0] == "authentication_error"


async def test_a_path_and_a_method_that_are_not_there(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        lost, wrong = await http.get("/v1/messages/nothing"), await http.get("/v1/messages")
    assert (lost.status_code, lost.json()["error"]["type"]) == (404, "not_found_error")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "invalid_request_error")


async def test_over_the_limit(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=1))
    async with sdk(stack, key) as client:
        granted = await client.messages.with_raw_response.create(model="claude", max_tokens=5, messages=HI)
        with pytest.raises(anthropic.RateLimitError) as raised:
            await client.messages.create(model="claude", max_tokens=5, messages=HI)
    assert granted.headers["anthropic-ratelimit-requests-limit"] == "1"
    assert error_of(raised.value)[0] == "rate_limit_error"
    headers = raised.value.response.headers
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert int(headers["retry-after"]) > 0


UPSTREAM_REFUSALS = [
    ("claude", messages.refusal(529, "overloaded_error", "Overloaded"), 529, "overloaded_error"),
    ("claude", messages.refusal(401, "authentication_error", "bad key"), 502, "api_error"),
    ("claude", messages.refusal(400, "invalid_request_error", "as they say"), 400, "invalid_request_error"),
    ("scripted", chat.refusal(503, {"message": "busy"}), 529, "overloaded_error"),
    ("scripted", chat.refusal(403, {"message": "no"}), 502, "api_error"),
    ("scripted", chat.refusal(400, {"message": "as they say"}), 400, "invalid_request_error"),
]


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("refused", UPSTREAM_REFUSALS, ids=lambda each: f"{each[0]} {each[2]} {each[3]}")
async def test_an_upstream_that_refuses_before_it_answers(
    stack: Stack, key: NewKey, streaming: bool, refused: tuple[str, Reply, int, str]
) -> None:
    model, reply, status, kind = refused
    stack.upstream.script(*[reply] * 3)
    async with sdk(stack, key) as client:
        with pytest.raises(anthropic.APIStatusError) as raised:
            await client.messages.create(model=model, max_tokens=5, messages=HI, stream=streaming)
    assert raised.value.status_code == status
    told, message = error_of(raised.value)
    assert told == kind
    assert (message == "as they say") is (status == 400)
    assert ("retry-after" in raised.value.response.headers) is (status == 529)


@MODELS
async def test_an_upstream_that_breaks_off_in_the_stream(stack: Stack, key: NewKey, model: str) -> None:
    stack.upstream.script(reset_connection(model))
    pieces: list[str] = []

    async def read() -> None:
        asked: dict[str, Any] = {"model": model, "max_tokens": 5, "messages": HI}
        async with sdk(stack, key) as client, client.messages.stream(**asked) as stream:
            async for piece in stream.text_stream:
                pieces.append(piece)

    with pytest.raises(anthropic.APIStatusError) as raised:
        await read()
    assert pieces == ["Good"]
    assert raised.value.status_code == 200
    body = raised.value.body
    assert isinstance(body, dict)
    assert body["error"]["type"] == "api_error"


@MODELS
async def test_an_upstream_that_breaks_off_gives_no_half_a_reply(stack: Stack, key: NewKey, model: str) -> None:
    stack.upstream.script(reset_connection(model))
    async with sdk(stack, key) as client:
        with pytest.raises(anthropic.InternalServerError) as raised:
            await client.messages.create(model=model, max_tokens=5, messages=HI)
    assert error_of(raised.value)[0] == "api_error"


async def test_silence_is_filled_with_ping_events(stack: Stack, tight_door: str, key: NewKey) -> None:
    go = asyncio.Event()
    stack.upstream.script(messages.stream([go], messages.text(0, "late"), messages.end()))
    body = {"model": "claude", "max_tokens": 5, "messages": HI, "stream": True}
    lines: list[str] = []
    async with stack.client(key.secret, tight_door) as http, http.stream("POST", "/v1/messages", json=body) as response:
        async for line in response.aiter_lines():
            lines.append(line)
            go.set()
    assert lines[:3] == ["event: ping", 'data: {"type": "ping"}', ""]
    assert lines[3] == "event: message_start"
    assert lines[-3:] == ["event: message_stop", 'data: {"type":"message_stop"}', ""]


async def test_a_client_that_leaves_stops_the_engine(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(messages.stream(messages.text(0, "Good"), [asyncio.Event()], input_tokens=25))
    async with sdk(stack, key) as client, client.messages.stream(model="claude", max_tokens=5, messages=HI) as stream:
        async for _ in stream.text_stream:
            break
    await asyncio.wait_for(stack.upstream.asked[0].gone.wait(), 5)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.input_tokens) == ("cancelled", 25)
    assert charge.event.usage.estimated
