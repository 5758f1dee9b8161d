"""Responses through the whole platform, with the official client, each stream held to the specification."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from storage.keys import NewKey
from tests import upstream
from tests.asking import error_of
from tests.open_responses import check_item, check_response, check_stream
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH: Final = "/v1/responses"
WEATHER: Final[Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def http(stack: Stack, key: NewKey) -> AsyncIterator[httpx2.AsyncClient]:
    async with stack.client(key.secret) as client:
        yield client


async def post(http: httpx2.AsyncClient, **fields: Any) -> httpx2.Response:
    return await http.post(PATH, json={"model": "scripted", "input": "Greet me.", **fields})


async def streamed(http: httpx2.AsyncClient, **fields: Any) -> list[dict[str, Any]]:
    response = await post(http, stream=True, **fields)
    assert response.headers["content-type"].startswith("text/event-stream")
    return check_stream(response.text)


def delta(**fields: Any) -> bytes:
    return upstream.chunk({"index": 0, "delta": fields, "finish_reason": None})


def call_piece(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> bytes:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    head = {} if call_id is None else {"id": call_id, "type": "function"}
    return delta(tool_calls=[{"index": index, **head, "function": function}])


def calling() -> Reply:
    return Reply(
        [
            upstream.opening(),
            call_piece(0, "", "call_1", "get_weather"),
            call_piece(0, '{"city":'),
            call_piece(0, '"Oslo"}'),
            upstream.finish("tool_calls"),
            upstream.usage(20, 9),
            upstream.DONE,
        ]
    )


async def test_a_response_whole(stack: Stack, sdk: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    stack.upstream.script(upstream.answer("Good", " morn", "ing", input_tokens=11))
    response = await sdk.responses.create(model="scripted", input="Greet me.", instructions="Be brief.")
    assert (response.output_text, response.status) == ("Good morning", "completed")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (11, 3)
    assert stack.upstream.asked[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Greet me."},
    ]
    body = (await post(http)).json()
    check_response(body)
    assert body["created"] == body["created_at"]


async def test_the_articles_request(http: httpx2.AsyncClient) -> None:
    """DigitalOcean's own first example, its model's name changed."""
    asked = {
        "model": "scripted",
        "input": "What is the capital of France?",
        "max_output_tokens": 50,
        "temperature": 0.7,
        "stream": False,
    }
    response = await http.post(PATH, json=asked)
    check_response(response.json())
    assert response.json()["max_output_tokens"] == 50
    assert response.headers["x-request-id"].startswith("req_")
    assert float(response.headers["x-penstock-overhead-ms"]) > 0
    assert "x-ratelimit-remaining-requests" in response.headers


async def test_a_stream_is_what_the_specification_says(stack: Stack, http: httpx2.AsyncClient, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("Good", " morn", "ing", input_tokens=11))
    events = await streamed(http)
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert deltas == ["Good", " morn", "ing"]
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.operation, charge.event.usage.output_tokens) == ("responses", 3)


async def test_the_clients_stream_helper(sdk: openai.AsyncOpenAI) -> None:
    async with sdk.responses.stream(model="scripted", input="Greet me.") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert final.output_text == "Hello there"


async def test_the_synchronous_client(stack: Stack, key: NewKey) -> None:
    def ask() -> list[str]:
        with openai.OpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
            first = client.responses.create(model="scripted", input="Greet me.")
            stream = client.responses.create(
                model="scripted", input="Again.", previous_response_id=first.id, stream=True
            )
            return [event.delta for event in stream if event.type == "response.output_text.delta"]

    assert await asyncio.to_thread(ask) == ["Hello", " there"]


async def test_a_function_is_called_and_its_result_sent_back(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(calling(), upstream.answer("It rains."))
    asked: list[Any] = [{"role": "user", "content": "The weather in Oslo?"}]
    first = await sdk.responses.create(model="scripted", input=asked, tools=[WEATHER], tool_choice="required")
    (call,) = first.output
    assert (call.type, call.name, call.arguments) == ("function_call", "get_weather", '{"city":"Oslo"}')
    assert stack.upstream.asked[0].body["tools"][0]["function"]["strict"] is True
    assert stack.upstream.asked[0].body["tool_choice"] == "required"
    asked += [*first.output, {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
    second = await sdk.responses.create(model="scripted", input=asked, tools=[WEATHER])
    assert second.output_text == "It rains."
    said = stack.upstream.asked[1].body["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool"]
    assert said[1]["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city":"Oslo"}'}
    assert (said[2]["tool_call_id"], said[2]["content"]) == ("call_1", "rain")


async def test_a_function_call_streamed_and_answered_by_its_id(
    stack: Stack, http: httpx2.AsyncClient, sdk: openai.AsyncOpenAI
) -> None:
    stack.upstream.script(calling(), upstream.answer("It rains."))
    events = await streamed(http, input="Weather?", tools=[WEATHER])
    first = events[-1]["response"]
    output: Any = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    second = await sdk.responses.create(
        model="scripted", previous_response_id=first["id"], input=[output], tools=[WEATHER]
    )
    assert second.output_text == "It rains."
    assert [message["role"] for message in stack.upstream.asked[1].body["messages"]] == ["user", "assistant", "tool"]


async def test_a_schema_for_the_text(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    class City(BaseModel):
        name: str

    stack.upstream.script(upstream.answer('{"name":', '"Oslo"}'))
    response = await sdk.responses.parse(model="scripted", input="A city?", text_format=City)
    assert response.output_parsed == City(name="Oslo")
    asked = stack.upstream.asked[0].body["response_format"]
    assert (asked["type"], asked["json_schema"]["name"]) == ("json_schema", "City")


async def test_reasoning_is_an_item_of_its_own(stack: Stack, http: httpx2.AsyncClient) -> None:
    thinking = [delta(reasoning_content="Let me"), delta(reasoning_content=" see.")]
    stack.upstream.script(
        Reply(
            [
                upstream.opening(),
                *thinking,
                upstream.text("Four."),
                upstream.finish(),
                upstream.usage(5, 4, 0, 2),
                upstream.DONE,
            ]
        )
    )
    events = await streamed(http)
    reasoning, message = events[-1]["response"]["output"]
    assert (reasoning["type"], reasoning["content"][0]["text"]) == ("reasoning", "Let me see.")
    assert message["content"][0]["text"] == "Four."
    assert events[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] == 2


async def test_an_answer_cut_at_its_bound_is_incomplete(stack: Stack, http: httpx2.AsyncClient) -> None:
    stack.upstream.script(
        Reply(
            [upstream.opening(), upstream.text("Once"), upstream.finish("length"), upstream.usage(5, 1), upstream.DONE]
        )
    )
    events = await streamed(http, max_output_tokens=16)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_stream_cut_upstream_ends_in_an_error_and_is_remembered_as_failed(
    stack: Stack, http: httpx2.AsyncClient, sdk: openai.AsyncOpenAI
) -> None:
    cut = Reply([upstream.opening(), upstream.text("Hel"), upstream.CUT])
    stack.upstream.script(cut, cut)
    *_, error, failed = await streamed(http)
    assert (error["type"], error["code"]) == ("error", "stream_cut")
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hel"
    events = [event async for event in await sdk.responses.create(model="scripted", input="?", stream=True)]
    assert [event.type for event in events[-2:]] == ["error", "response.failed"]
    assert (await sdk.responses.retrieve(failed["response"]["id"])).status == "failed"


async def test_an_upstream_that_refuses_before_the_first_event_is_a_plain_error(
    stack: Stack, http: httpx2.AsyncClient
) -> None:
    stack.upstream.script(upstream.refusal(401, {"message": "bad key", "type": "x", "param": None, "code": None}))
    assert error_of(await post(http, stream=True), 502)["code"] == "engine_rejected"


async def test_what_was_said_is_gone_on_from(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(upstream.answer("Ada."), upstream.answer("Yes."), upstream.answer("Three."))
    first = await sdk.responses.create(model="scripted", input="A name?", instructions="Answer in one word.")
    second = await sdk.responses.create(model="scripted", input="Sure?", previous_response_id=first.id)
    third = await sdk.responses.create(model="scripted", input="Letters?", previous_response_id=second.id)
    assert third.previous_response_id == second.id
    assert stack.upstream.asked[2].body["messages"] == [
        {"role": "user", "content": "A name?"},
        {"role": "assistant", "content": "Ada."},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Letters?"},
    ]
    listed = [item async for item in sdk.responses.input_items.list(third.id, order="asc", limit=2)]
    assert [item.role for item in listed] == ["user", "assistant", "user", "assistant", "user"]
    for item in listed:
        check_item(item.model_dump())
    await sdk.responses.delete(first.id)
    assert (await sdk.responses.create(model="scripted", input="?", previous_response_id=third.id)).output_text


async def test_an_item_can_be_named_instead_of_sent(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    first = await sdk.responses.create(model="scripted", input="A name?")
    named: list[Any] = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "Sure?"}]
    await sdk.responses.create(model="scripted", input=named)
    assert stack.upstream.asked[1].body["messages"][0] == {"role": "assistant", "content": "Hello there"}
    missing: list[Any] = [{"type": "item_reference", "id": "msg_" + "0" * 32 + "o0"}]
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.create(model="scripted", input=missing)


async def test_a_response_is_retrieved_and_deleted(sdk: openai.AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    made = (await post(http)).json()
    assert (await http.get(f"{PATH}/{made['id']}")).json() == made
    deleted = await http.delete(f"{PATH}/{made['id']}")
    assert deleted.json() == {"id": made["id"], "object": "response", "deleted": True}
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(made["id"])
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.delete(made["id"])
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model="scripted", input="?", previous_response_id=made["id"])
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_what_is_not_to_be_stored_is_not(sdk: openai.AsyncOpenAI) -> None:
    response = await sdk.responses.create(model="scripted", input="?", store=False)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(response.id)


async def test_another_accounts_response_is_not_there(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    mine = await sdk.responses.create(model="scripted", input="Secret.")
    stranger = await stack.create_key("stranger")
    async with stack.client(stranger.secret) as other:
        named = [{"type": "item_reference", "id": mine.output[0].id}]
        answers = [
            await other.get(f"{PATH}/{mine.id}"),
            await other.get(f"{PATH}/{mine.id}/input_items"),
            await other.delete(f"{PATH}/{mine.id}"),
            await other.post(f"{PATH}/{mine.id}/cancel"),
            await post(other, input=named),
        ]
        for answer in answers:
            error_of(answer, 404)
        error_of(await post(other, previous_response_id=mine.id), 400)
    assert (await sdk.responses.retrieve(mine.id)).id == mine.id


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "nobody"}, "model"),
        ({"input": []}, "input"),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"messages": []}, "messages"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": "4"}]}, "input[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
)
async def test_what_is_wrong_is_named(http: httpx2.AsyncClient, fields: dict[str, Any], param: str) -> None:
    response = await post(http, **fields)
    assert error_of(response, 404 if "model" in fields else 400)["param"] == param


async def test_what_cannot_be_asked_of_a_stored_response(http: httpx2.AsyncClient) -> None:
    made = (await post(http)).json()
    own = f"{PATH}/{made['id']}"
    assert error_of(await http.get(own, params={"stream": "true"}), 400)["param"] == "stream"
    assert error_of(await http.get(own, params={"starting_after": 3}), 400)["param"] == "starting_after"
    assert error_of(await http.post(f"{own}/cancel"), 400)["param"] == "response_id"
    assert error_of(await http.get(f"{own}/input_items", params={"limit": 0}), 400)["param"] == "limit"
    assert error_of(await http.get(f"{own}/input_items", params={"order": "up"}), 400)["param"] == "order"
    assert error_of(await http.get(f"{own}/input_items", params={"after": "x"}), 400)["param"] == "after"
    for strange in ("resp_1", "%00", "..%2f..", "resp_" + "f" * 32):
        error_of(await http.get(f"{PATH}/{strange}"), 404)


async def test_a_client_that_leaves_stores_nothing_and_stops_the_engine(
    stack: Stack, http: httpx2.AsyncClient, key: NewKey
) -> None:
    endless = Reply([upstream.opening(), *[step for n in range(400) for step in (upstream.text(f"{n} "), 0.05)]])
    stack.upstream.script(endless)
    asked = {"model": "scripted", "input": "Count.", "stream": True}
    async with http.stream("POST", PATH, json=asked) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: ") and json.loads(line[6:])["type"] == "response.output_text.delta":
                break
    async with asyncio.timeout(5):
        await stack.upstream.asked[0].gone.wait()
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.end == "cancelled"


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        ("claude", Reply([b'{"input_tokens": 31}'], 200, {"Content-Type": "application/json"})),
        ("counting", Reply([b'{"count": 31, "max_model_len": 8192}'], 200, {"Content-Type": "application/json"})),
    ],
)
async def test_an_input_is_counted_by_its_engine_and_costs_nothing(
    stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey, model: str, reply: Reply
) -> None:
    stack.upstream.script(reply)
    counted = await sdk.responses.input_tokens.count(model=model, input="Greet me.", instructions="Be brief.")
    assert (counted.input_tokens, counted.object) == (31, "response.input_tokens")
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.operation, charge.cost_microusd) == ("count_tokens", 0)


async def test_an_input_is_estimated_where_no_engine_counts_with_all_that_was_said_before(
    stack: Stack, sdk: openai.AsyncOpenAI
) -> None:
    first = await sdk.responses.create(model="scripted", input="word " * 1000)
    short = await sdk.responses.input_tokens.count(model="scripted", input="Go on.")
    long = await sdk.responses.input_tokens.count(model="scripted", input="Go on.", previous_response_id=first.id)
    assert 1000 < long.input_tokens - short.input_tokens < 1500
    assert len(stack.upstream.asked) == 1


async def test_a_count_is_held_to_what_a_response_is(http: httpx2.AsyncClient) -> None:
    refused = await http.post(f"{PATH}/input_tokens", json={"model": "scripted", "input": "?", "conversation": "c"})
    assert error_of(refused, 400)["param"] == "conversation"


async def test_compaction_is_refused_with_what_to_do_instead(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="ask a model to sum"):
        await sdk.responses.compact(model="scripted", input="Hello")
