"""The embeddings door, with the official client and without, before the embedded model and a scripted upstream."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import openai
import pytest
import pytest_asyncio

from storage.keys import NewKey
from tests.asking import error_of
from tests.embedding_upstream import JSON, embeddings, encoded
from tests.stack import Stack
from tests.upstream import Reply, refusal

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("session_media")]

PATH: Final = "/v1/embeddings"
MINILM: Final = "all-minilm-l6-v2"


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_a_cat_is_nearer_to_a_kitten_than_to_tax_law(stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey) -> None:
    found = await sdk.embeddings.create(model=MINILM, input=["A cat.", "A kitten.", "The law of taxation."])
    assert [each.index for each in found.data] == [0, 1, 2]
    cat, kitten, tax = (each.embedding for each in found.data)
    assert len(cat) == 384
    assert cosine(cat, kitten) > 0.5
    assert cosine(cat, tax) < 0.3
    assert found.model == MINILM
    assert found.usage.prompt_tokens == found.usage.total_tokens > 10
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.operation, charge.event.end) == ("embeddings", "completed")
    assert charge.event.usage.input_tokens == found.usage.prompt_tokens
    assert charge.event.usage.output_tokens == 0
    assert not charge.event.usage.estimated


async def test_the_client_that_waits(stack: Stack, key: NewKey) -> None:
    def ask() -> Any:
        with openai.OpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
            return client.embeddings.create(model="sentence-transformers/all-MiniLM-L6-v2", input="A cat.", user="u")

    found = await asyncio.to_thread(ask)
    (one,) = found.data
    assert cosine(one.embedding, one.embedding) == pytest.approx(1, abs=1e-5)


async def test_both_encodings_hold_the_same_numbers(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        asked = {"model": MINILM, "input": "A cat."}
        plain = (await http.post(PATH, json=asked)).json()["data"][0]["embedding"]
        packed = (await http.post(PATH, json={**asked, "encoding_format": "base64"})).json()["data"][0]["embedding"]
    assert list(struct.unpack("<384f", base64.b64decode(packed, validate=True))) == plain


async def test_2048_inputs_at_once(sdk: openai.AsyncOpenAI) -> None:
    found = await sdk.embeddings.create(model=MINILM, input=[f"number {number}" for number in range(2048)])
    assert [each.index for each in found.data] == list(range(2048))
    again = await sdk.embeddings.create(model=MINILM, input=["number 0", "number 2047"])
    for one, other in ((found.data[0], again.data[0]), (found.data[2047], again.data[1])):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-5)


async def test_requests_that_come_together_get_their_own(sdk: openai.AsyncOpenAI) -> None:
    words = [f"{word} {number}" for word in ("cat", "tax", "sea") for number in range(10)]
    together = await asyncio.gather(*(sdk.embeddings.create(model=MINILM, input=word) for word in words))
    in_one = await sdk.embeddings.create(model=MINILM, input=words)
    for one, other in zip(together, in_one.data, strict=True):
        assert one.data[0].embedding == pytest.approx(other.embedding, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": "word " * 300}, "context_length_exceeded", "input"),
        ({"input": ["fits", "word " * 300]}, "context_length_exceeded", "input[1]"),
        ({"input": "word " * 3000}, "context_length_exceeded", "input"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ["a", ""]}, "invalid_value", "input[1]"),
        ({"input": ["a"] * 2049}, "invalid_value", "input"),
        ({"input": [1, 2]}, "unsupported_parameter", "input"),
        ({"dimensions": 100}, "unsupported_parameter", "dimensions"),
        ({"encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"input_type": "query"}, "unsupported_parameter", "input_type"),
        ({"model": "scripted"}, "invalid_value", "model"),
    ],
)
async def test_what_the_embedded_model_does_not_take_is_named(
    stack: Stack, key: NewKey, fields: dict[str, Any], code: str, param: str
) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json={"model": MINILM, "input": "a", **fields}), 400)
    assert (error["code"], error["param"]) == (code, param)


async def test_an_unknown_model_and_other_methods(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        assert error_of(await http.post(PATH, json={"model": "none", "input": "a"}), 404)["code"] == "model_not_found"
        assert error_of(await http.get(PATH), 405)["code"] == "method_not_allowed"
        assert (await http.head(PATH)).status_code == 405
        assert error_of(await http.post("/v1/chat/completions", json=CHAT), 400)["param"] == "model"


CHAT: Final = {"model": MINILM, "messages": [{"role": "user", "content": "Hello."}]}


async def test_the_card_says_what_fits_and_what_it_costs(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    card = (await sdk.models.retrieve(MINILM)).model_dump()
    assert (card["context_length"], card["max_output_tokens"]) == (256, 0)
    assert (card["endpoints"], card["modalities"]) == ([PATH], {"input": ["text"], "output": ["embedding"]})
    assert card["pricing"]["input_microusd_per_mtok"] == 10_000
    assert card["contract"]["dimensions"] == 384
    assert card["supported_parameters"] == []


async def test_an_upstreams_vectors_count_and_price(stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey) -> None:
    stack.upstream.script(embeddings(encoded([1, 0]), encoded([0, 1]), input_tokens=1_000_000))
    found = await sdk.embeddings.create(model="embedder", input=[[1, 2], [3]], dimensions=2, user="u")
    assert [each.embedding for each in found.data] == [[1, 0], [0, 1]]
    body = stack.upstream.asked[0].body
    assert (body["input"], body["dimensions"], body["user"]) == ([[1, 2], [3]], 2, "u")
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.cost_microusd == 1_000_000


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": ["a"] * 5}, "invalid_value", "input"),
        ({"input": [1] * 11}, "context_length_exceeded", "input"),
        ({"dimensions": 4}, "invalid_value", "dimensions"),
    ],
)
async def test_a_rows_bounds_are_kept_at_the_door(
    stack: Stack, key: NewKey, fields: dict[str, Any], code: str, param: str
) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json={"model": "embedder", "input": "a", **fields}), 400)
    assert (error["code"], error["param"]) == (code, param)
    assert stack.upstream.asked == []


async def test_an_upstream_that_refuses_fails_or_recovers(stack: Stack, key: NewKey) -> None:
    asked = {"model": "embedder", "input": "a"}
    async with stack.client(key.secret) as http:
        stack.upstream.script(refusal(400, {"message": "What is this?", "param": "input"}))
        assert error_of(await http.post(PATH, json=asked), 400)["message"] == "What is this?"
        stack.upstream.script(embeddings([1, 0]))
        assert error_of(await http.post(PATH, json=asked), 502)["code"] == "engine_failed"
        stack.upstream.script(Reply([json.dumps({"error": "busy"}).encode()], 503, JSON), embeddings([1, 0, 0]))
        answer = await http.post(PATH, json=asked)
    assert answer.json()["data"] == [{"object": "embedding", "index": 0, "embedding": [1, 0, 0]}]


async def test_a_client_that_leaves_is_charged_nothing_before_there_is_a_vector(
    stack: Stack, key: NewKey, account: str
) -> None:
    stack.upstream.script(Reply([b"{", asyncio.Event()], 200, JSON))
    async with stack.client(key.secret) as http:
        asking = asyncio.create_task(http.post(PATH, json={"model": "embedder", "input": "a"}))
        asked = await stack.upstream.arrived(1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(20):
        await asked.gone.wait()
    (charge,) = await stack.charges(account, 1)
    assert (charge.event.end, charge.cost_microusd, charge.event.usage.input_tokens) == ("cancelled", 0, 0)
