"""The official client, unmodified, for all that the door offers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from schemas.access import Limits
from storage.keys import NewKey
from tests import upstream
from tests.asking import QUESTION
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


def two_choices() -> Reply:
    pieces = [upstream.text(f"{choice}{part}", choice) for part in "ab" for choice in (0, 1)]
    ends = [upstream.finish("stop", 0), upstream.finish("length", 1)]
    return Reply([upstream.opening(0), upstream.opening(1), *pieces, *ends, upstream.usage(9, 4), upstream.DONE])


def token(content: str, logprob: float) -> dict[str, Any]:
    return {
        "index": 0,
        "delta": {"content": content},
        "finish_reason": None,
        "logprobs": {
            "content": [
                {
                    "token": content,
                    "logprob": logprob,
                    "bytes": list(content.encode()),
                    "top_logprobs": [{"token": "x", "logprob": -9.5, "bytes": [120]}],
                }
            ],
            "refusal": None,
        },
    }


async def test_several_choices_whole(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(two_choices())
    reply = await sdk.chat.completions.create(model="scripted", messages=QUESTION, n=2)
    found = [(choice.index, choice.message.content, choice.finish_reason) for choice in reply.choices]
    assert found == [(0, "0a0b", "stop"), (1, "1a1b", "length")]
    assert stack.upstream.asked[0].body["n"] == 2


async def test_several_choices_streamed(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(two_choices())
    texts, ends = {0: "", 1: ""}, {}
    stream = await sdk.chat.completions.create(model="scripted", messages=QUESTION, n=2, stream=True)
    async for event in stream:
        for choice in event.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert (texts, ends) == ({0: "0a0b", 1: "1a1b"}, {0: "stop", 1: "length"})


@pytest.mark.parametrize("streamed", [False, True])
async def test_logprobs(stack: Stack, sdk: openai.AsyncOpenAI, streamed: bool) -> None:
    pieces = [upstream.chunk(token("Hel", -0.1)), upstream.chunk(token("lo", -0.25))]
    stack.upstream.script(Reply([*pieces, upstream.finish(), upstream.usage(5, 2), upstream.DONE]))
    asked: dict[str, Any] = {"model": "scripted", "messages": QUESTION, "logprobs": True, "top_logprobs": 1}
    if streamed:
        events = [event async for event in await sdk.chat.completions.create(stream=True, **asked)]
        found = [each for e in events for c in e.choices if c.logprobs for each in c.logprobs.content or ()]
    else:
        reply = await sdk.chat.completions.create(**asked)
        assert reply.choices[0].message.content == "Hello"
        assert reply.choices[0].logprobs is not None
        found = reply.choices[0].logprobs.content or []
    assert [(each.token, each.logprob) for each in found] == [("Hel", -0.1), ("lo", -0.25)]
    assert [each.top_logprobs[0].logprob for each in found] == [-9.5, -9.5]


async def test_what_is_asked_reaches_the_engine(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    await sdk.chat.completions.create(
        model="scripted",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "And kind."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "again"}]},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Greet me.", "name": "ann"},
        ],
        seed=7,
        stop=["END", "STOP"],
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.25,
        presence_penalty=-0.5,
        logit_bias={"42": 5},
        max_tokens=100,
        user="someone",
        metadata={"purpose": "test"},
    )
    (asked,) = stack.upstream.asked
    # Few servers besides OpenAI's know the role `developer`; to them it is `system`.
    assert [message["role"] for message in asked.body["messages"]] == ["system", "system", "user", "assistant", "user"]
    for name, value in {
        "seed": 7, "stop": ["END", "STOP"], "temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.25,
        "presence_penalty": -0.5, "logit_bias": {"42": 5},
    }.items():  # fmt: skip
        assert asked.body[name] == value
    assert 100 in (asked.body.get("max_tokens"), asked.body.get("max_completion_tokens"))
    assert "metadata" not in asked.body


async def test_max_completion_tokens_as_the_article_asks(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    reply = await sdk.chat.completions.create(
        model="scripted",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        temperature=0.7,
        max_completion_tokens=256,
    )
    assert reply.choices[0].message.content == "Hello there"
    asked = stack.upstream.asked[0].body
    assert 256 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


async def test_usage_comes_with_a_stream_only_when_asked_for(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
    assert [event.usage async for event in stream if event.usage] == []
    stream = await sdk.chat.completions.create(
        model="scripted", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    events = [event async for event in stream]
    assert [event.usage for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].choices == []
    assert events[-1].usage is not None
    assert events[-1].usage.total_tokens == 9


async def test_the_sdks_own_streaming_helper(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    async with sdk.chat.completions.stream(model="scripted", messages=QUESTION) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "Hello there"
    assert final.choices[0].finish_reason == "stop"


async def test_raw_responses_carry_the_request_id(sdk: openai.AsyncOpenAI) -> None:
    reply = await sdk.chat.completions.create(model="scripted", messages=QUESTION)
    assert reply._request_id is not None
    assert reply._request_id.startswith("req_")
    assert reply.id.startswith("chatcmpl-")
    assert reply.model == "scripted"


async def test_an_alias_answers_as_its_model(sdk: openai.AsyncOpenAI) -> None:
    reply = await sdk.chat.completions.create(model="org/brief", messages=QUESTION)
    assert reply.model == "brief"


async def test_models_list_and_retrieve(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    listed = {model.id: model async for model in sdk.models.list()}
    assert {"scripted", "brief", "wide", "smollm2-135m-instruct"} <= listed.keys()
    assert all(model.object == "model" for model in listed.values())
    assert (await sdk.models.retrieve("scripted")).id == "scripted"
    assert (await sdk.models.retrieve("org/brief")).id == "brief"
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve("nothing")


async def test_the_synchronous_client(stack: Stack, key: NewKey) -> None:
    """The article's example, with base URL, key and model changed."""

    def use() -> tuple[str | None, str, list[str]]:
        with openai.OpenAI(base_url=stack.base_url + "/", api_key=key.secret, max_retries=0) as client:
            response = client.chat.completions.create(
                model="scripted",
                messages=[
                    {"role": "system", "content": "You are a helpful assistant."},
                    {"role": "user", "content": "Tell me a fun fact about octopuses."},
                ],
            )
            streamed = ""
            for chunk in client.chat.completions.create(model="scripted", messages=QUESTION, stream=True):
                if chunk.choices[0].delta.content is not None:
                    streamed += chunk.choices[0].delta.content
            return response.choices[0].message.content, streamed, [model.id for model in client.models.list()]

    content, streamed, models = await asyncio.to_thread(use)
    assert (content, streamed) == ("Hello there", "Hello there")
    assert "scripted" in models


async def test_errors_arrive_as_the_sdks_own_classes(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    create = sdk.chat.completions.create
    with pytest.raises(openai.NotFoundError) as not_found:
        await create(model="gpt-4o", messages=QUESTION)
    assert (not_found.value.code, not_found.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as too_hot:
        await create(model="scripted", messages=QUESTION, temperature=3)
    assert (too_hot.value.code, too_hot.value.param) == ("invalid_value", "temperature")
    with pytest.raises(openai.BadRequestError) as unknown:
        await create(model="scripted", messages=QUESTION, extra_body={"temprature": 1})
    assert (unknown.value.code, unknown.value.param) == ("unsupported_parameter", "temprature")
    assert "temperature" in unknown.value.message
    with pytest.raises(openai.BadRequestError) as too_long:
        await create(model="scripted", messages=[{"role": "user", "content": "word " * 20_000}])
    assert too_long.value.code == "context_length_exceeded"
    assert stack.upstream.asked == []


async def test_a_wrong_key_is_an_authentication_error(stack: Stack) -> None:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key="sk-ps-wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="scripted", messages=QUESTION)
    assert refused.value.code == "invalid_api_key"


async def test_a_model_outside_the_scope_is_a_permission_error(stack: Stack, account: str) -> None:
    scoped = await stack.create_key(account, models=["brief"])
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=scoped.secret, max_retries=0) as client:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.chat.completions.create(model="scripted", messages=QUESTION)
        assert [model.id async for model in client.models.list()] == ["brief"]
    assert (refused.value.code, refused.value.param) == ("permission_denied", "model")


async def test_a_limit_is_a_rate_limit_error(stack: Stack, key: NewKey, sdk: openai.AsyncOpenAI) -> None:
    await stack.set_limits(key.key.account, Limits(requests_per_min=1))
    await sdk.chat.completions.create(model="scripted", messages=QUESTION)
    with pytest.raises(openai.RateLimitError) as refused:
        await sdk.chat.completions.create(model="scripted", messages=QUESTION)
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after"]) in range(1, 61)


async def test_a_failed_stream_raises_after_what_came(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(Reply([upstream.opening(), upstream.text("Hel"), upstream.CUT]))
    seen = []

    async def read() -> None:
        async for event in await sdk.chat.completions.create(model="scripted", messages=QUESTION, stream=True):
            seen.append(event.choices[0].delta.content)

    with pytest.raises(openai.APIError) as cut:
        await read()
    assert "".join(seen) == "Hel"
    assert cut.value.code in ("stream_cut", "engine_unavailable")
