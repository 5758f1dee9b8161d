"""A row of the engine vllm asks as vLLM wants to be asked, unless it says otherwise."""

from typing import Any

from schemas.catalog import Model
from schemas.chat import Chat, Message, Reasoning, Text, Thinking
from schemas.chunks import ReasoningDelta, UsageReport
from tests.upstream import DONE, Reply, Upstream, chunk, finish, text, usage
from workers.registry import build

EARLIER = Message("assistant", (Thinking("Hm."), Text("Four.")))
CHAT = Chat(
    (Message("user", (Text("2 + 2?"),)), EARLIER, Message("user", (Text("Sure?"),))),
    reasoning=Reasoning(effort="minimal", max_tokens=64),
)


async def asked_and_given(**fields: Any) -> tuple[dict[str, Any], list[Any]]:
    async with Upstream() as upstream:
        thought = chunk({"index": 0, "delta": {"reasoning": "Well."}, "finish_reason": None})
        upstream.script(Reply([thought, text("Yes."), finish(), usage(100, 5, cached_tokens=64), DONE]))
        row = {"id": "m", "engine": "vllm", "base_url": upstream.url, "abilities": ["reasoning"], **fields}
        engine = build(Model.model_validate({"context_tokens": 8192, "max_output_tokens": 4096, **row}), {})
        given = [delta async for batch in engine.generate("job", CHAT) for delta in batch]
        await engine.close()
        return upstream.asked[0].body, given


async def test_it_is_asked_in_its_own_words() -> None:
    body, _ = await asked_and_given()
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "thinking": True}
    assert (body["reasoning_effort"], body["thinking_token_budget"]) == ("low", 64)
    assert body["stream_options"] == {"include_usage": True}
    assert body["return_token_ids"] is True
    assert body["messages"][1] == {"role": "assistant", "content": "Four.", "reasoning": "Hm."}


async def test_its_reasoning_and_its_cached_tokens_come_through() -> None:
    _, given = await asked_and_given()
    assert [delta.text for delta in given if isinstance(delta, ReasoningDelta)] == ["Well."]
    assert [delta.usage.cached_input_tokens for delta in given if isinstance(delta, UsageReport)][-1] == 64


async def test_a_row_may_say_otherwise() -> None:
    options = {"reasoning": "none", "earlier_reasoning": None, "token_ids": False, "body": {"priority": 1}}
    body, _ = await asked_and_given(engine_options=options)
    assert not {"chat_template_kwargs", "reasoning_effort", "thinking_token_budget", "return_token_ids"} & body.keys()
    assert body["stream_options"] == {"include_usage": True}
    assert body["messages"][1] == {"role": "assistant", "content": "Four."}
    assert body["priority"] == 1
