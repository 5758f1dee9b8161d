"""Every door over a real vLLM, by each dialect that it speaks: what it says comes through, and what it counts."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.integration.vllm.doors import DOORS, anthropic_client, message_fields
from tests.integration.vllm.engine import CONTEXT_TOKENS, VLLM
from tests.integration.vllm.leaving import leave
from tests.integration.vllm.questions import QUESTIONS, Question, ask_directly, chat_fields, plain, steered
from tests.matrix_doors import Site
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS: Final = ("by-chat", "by-responses", "by-messages")

UNSPEAKABLE: Final = {("/v1/completions", feature) for feature in ("json_schema", "tool", "tool_result", "reasoning")}
UNABLE: Final = {("by-responses", "stop")}
"""OpenAI's Responses takes no stop sequences, so its engine cannot be asked for any."""

WHOLE_OR_STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def cells() -> Iterator[tuple[str, str, str]]:
    for door in DOORS:
        for row in ROWS:
            for feature in QUESTIONS:
                if (door, feature) not in UNSPEAKABLE and (row, feature) not in UNABLE:
                    yield door, row, feature


@WHOLE_OR_STREAM
@pytest.mark.parametrize("cell", list(cells()), ids=" ".join)
async def test_a_cell(engine: VLLM, site: Site, cell: tuple[str, str, str], stream: bool) -> None:
    door, row, feature = cell
    question, direct = await steered(engine, feature)
    answer = await DOORS[door](site, row, question, stream)
    assert plain(answer) == plain(direct)


@WHOLE_OR_STREAM
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("door", DOORS)
async def test_a_prompt_too_long_is_refused_in_vllms_words(
    engine: VLLM, site: Site, door: str, row: str, stream: bool
) -> None:
    question = Question("Tell me. " * (CONTEXT_TOKENS // 2))
    direct = await ask_directly(engine, question)
    answer = await DOORS[door](site, row, question, stream)
    assert direct.message is not None
    assert answer.message is not None
    assert (direct.status, answer.status) == (400, 400)
    assert direct.message in answer.message
    if door == "/v1/messages":
        assert answer.code == "invalid_request_error"
    else:
        # vLLM's Messages names no parameter, so there it is a refusal like any other.
        assert answer.code == ("invalid_request" if row == "by-messages" else "context_length_exceeded")


@pytest.mark.parametrize("feature", ["text", "cached", "tool", "tool_result"])
@pytest.mark.parametrize("row", ["by-chat", "by-messages"])
async def test_a_prompt_is_counted_by_vllm(engine: VLLM, site: Site, row: str, feature: str) -> None:
    question = QUESTIONS[feature]
    fields: Any = message_fields(question)
    del fields["max_tokens"]
    async with anthropic_client(site) as client:
        counted = await client.messages.count_tokens(model=row, **fields)
    assert counted.input_tokens == (await ask_directly(engine, question)).input_tokens


THOUGHT: Final = "It rains there in November."
EARLIER: Final[list[Any]] = [
    {"role": "user", "content": "How is Oslo?"},
    {"role": "assistant", "content": "Wet.", "reasoning": THOUGHT},
    {"role": "user", "content": "And Rome?"},
]


@pytest.mark.parametrize(
    ("row", "door"),
    # By Messages, only what came with a signature goes back, and chat completions have none.
    [("by-chat", "/v1/chat/completions"), ("by-chat", "/v1/messages"), ("by-messages", "/v1/messages")],
)
async def test_the_model_sees_what_it_thought_before(
    engine: VLLM, stack: Stack, site: Site, row: str, door: str
) -> None:
    unthinking = [{name: value for name, value in turn.items() if name != "reasoning"} for turn in EARLIER]
    direct, without = [
        (await engine.post("/v1/chat/completions", messages=turns, max_tokens=16))[1]["usage"]["prompt_tokens"]
        for turns in (EARLIER, unthinking)
    ]
    assert direct > without
    user, assistant, again = EARLIER
    if door == "/v1/messages":
        thinking = {"type": "thinking", "thinking": THOUGHT, "signature": "vllm"}
        assistant = {"role": "assistant", "content": [thinking, {"type": "text", "text": assistant["content"]}]}
    else:
        assistant = {"role": "assistant", "content": assistant["content"], "reasoning_content": THOUGHT}
    async with stack.client(site.secret) as http:
        fields = {"model": row, "max_tokens": 16, "messages": [user, assistant, again]}
        usage = (await http.post(door, json=fields)).json()["usage"]
    assert usage.get("prompt_tokens", usage.get("input_tokens")) == direct


@pytest.mark.parametrize("row", ["by-chat", "by-responses"])
async def test_probabilities_are_vllms_own(engine: VLLM, stack: Stack, site: Site, row: str) -> None:
    fields = {**chat_fields(QUESTIONS["text"]), "logprobs": True, "top_logprobs": 2}
    _, direct = await engine.post("/v1/chat/completions", **fields)
    async with stack.client(site.secret) as http:
        answer = (await http.post("/v1/chat/completions", json={**fields, "model": row})).json()
    told, own = [each["choices"][0]["logprobs"]["content"] for each in (answer, direct)]
    assert [token["token"] for token in told] == [token["token"] for token in own]
    assert [token["logprob"] for token in told] == pytest.approx([token["logprob"] for token in own], abs=1e-3)
    assert [len(token["top_logprobs"]) for token in told] == [2] * len(own)


async def test_several_choices_are_told_apart(stack: Stack, site: Site) -> None:
    fields = {**chat_fields(QUESTIONS["text"]), "model": "by-chat", "n": 3, "temperature": 1.5, "seed": 7}
    async with stack.client(site.secret) as http:
        answer = (await http.post("/v1/chat/completions", json=fields)).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) == 3
    assert answer["usage"]["completion_tokens"] == 3 * QUESTIONS["text"].max_tokens


async def test_a_budget_of_reasoning_is_kept_and_the_answer_follows(engine: VLLM, stack: Stack, site: Site) -> None:
    direct = await ask_directly(
        engine, QUESTIONS["text"], thinking_token_budget=8, chat_template_kwargs={"enable_thinking": True}
    )
    assert direct.reasoning
    assert direct.text
    fields = {**chat_fields(QUESTIONS["text"]), "model": "by-chat", "reasoning": {"max_tokens": 8}}
    async with stack.client(site.secret) as http:
        message = (await http.post("/v1/chat/completions", json=fields)).json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == (direct.reasoning, direct.text)


@WHOLE_OR_STREAM
@pytest.mark.parametrize("row", ROWS)
async def test_a_client_that_leaves_frees_the_engine(
    engine: VLLM, stack: Stack, site: Site, row: str, stream: bool
) -> None:
    await leave(stack, site, row, engine.metric, stream=stream)
