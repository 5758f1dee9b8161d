"""What every text engine keeps to, whatever is behind it: a scripted upstream, or the real embedded model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import pytest
from openai.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

from schemas.catalog import Model
from schemas.chat import Chat, Message, Sampling, Text
from schemas.chunks import Delta, Finish, ReasoningDelta, TextDelta, ToolCallDelta, UsageReport
from schemas.errors import ContextLengthExceeded, InvalidRequest, PenstockError
from tests import anthropic_upstream as messages
from tests import responses_upstream as responses
from tests.upstream import DONE, Reply, Upstream, chunk, finish, refusal, text, usage
from workers.engine import CountsTokens, TextEngine
from workers.registry import Starts, build

CONTEXT_TOKENS: Final = 8192
END_OF_TURN: Final = {"2": -100.0}
"""SmolLM2's <|im_end|> forbidden: the model goes on for as long as it may, here the better part of a minute."""

LOGPROB: Final = {"token": "1", "logprob": -0.1, "bytes": [49]}

JSON: Final = {"Content-Type": "application/json"}

TOO_LONG: Final = refusal(400, {"message": "too long", "code": "context_length_exceeded"})


def call_piece(arguments: str, function_name: str | None = None, **fields: str) -> bytes:
    function = {"arguments": arguments} if function_name is None else {"name": function_name, "arguments": arguments}
    return chunk({"index": 0, "delta": {"tool_calls": [{"index": 0, **fields, "function": function}]}})


UPSTREAM: Final[Mapping[str, Reply]] = {
    "whole": Reply([text("1"), text(", 2"), text(", 3"), finish("length"), usage(14, 3), DONE]),
    "choices": Reply(
        [
            *(text("1", 0), text("1", 1), text("2", 0), text("2", 1)),
            *(finish("length", 0), finish("length", 1), usage(14, 4), DONE),
        ]
    ),
    "logprobs": Reply(
        [
            chunk(
                {
                    "index": 0,
                    "delta": {"content": "1"},
                    "logprobs": {"content": [{**LOGPROB, "top_logprobs": [LOGPROB, LOGPROB]}]},
                }
            ),
            *(finish("length"), usage(14, 1), DONE),
        ]
    ),
    "endless": Reply([text("1"), asyncio.Event()]),
    "count": Reply([b'{"count": 14, "max_model_len": 8192, "tokens": [1]}'], 200, JSON),
    "too long": TOO_LONG,
    "tools": Reply(
        [
            call_piece("", id="call_1", type="function", function_name="f"),
            *(call_piece('{"a"'), call_piece(": 1"), finish("tool_calls"), usage(14, 3), DONE),
        ]
    ),
    "reasoning": Reply(
        [
            *(chunk({"index": 0, "delta": {"reasoning_content": piece}}) for piece in ("Hm", ".")),
            *(text("4"), finish(), usage(14, 3, reasoning_tokens=2), DONE),
        ]
    ),
}


ANTHROPIC_UPSTREAM: Final[Mapping[str, Reply]] = {
    "whole": messages.stream(messages.text(0, "1", ", 2", ", 3"), messages.end("max_tokens", 3), input_tokens=14),
    "endless": messages.stream(messages.text(0, "1"), [asyncio.Event()]),
    "tools": messages.stream(
        messages.tool_use(0, "call_1", "f", '{"a"', ": 1"), messages.end("tool_use"), input_tokens=14
    ),
    "reasoning": messages.stream(
        messages.thinking(0, "Hm", "."), messages.text(1, "4"), messages.end(), input_tokens=14
    ),
    "count": Reply([b'{"input_tokens": 14}'], 200, JSON),
    "too long": messages.refusal(400, "invalid_request_error", "prompt is too long: 8193 tokens > 8192 maximum"),
}


RESPONSES_UPSTREAM: Final[Mapping[str, Reply]] = {
    "whole": responses.stream(responses.text(0, "1", ", 2", ", 3"), responses.incomplete("max_output_tokens", 14, 3)),
    "logprobs": responses.stream(
        responses.text_delta("1", logprobs=[{"token": "1", "logprob": -0.1, "top_logprobs": [LOGPROB, LOGPROB]}]),
        responses.incomplete("max_output_tokens", 14, 1),
    ),
    "endless": responses.stream(responses.text(0, "1"), [asyncio.Event()]),
    "count": Reply([b'{"object": "response.input_tokens", "input_tokens": 14}'], 200, JSON),
    "too long": TOO_LONG,
    "tools": responses.stream(responses.call(0, "call_1", "f", '{"a"', ": 1"), responses.end(14, 3)),
    "reasoning": responses.stream(
        responses.reasoning(0, "Hm", "."), responses.text(1, "4"), responses.end(14, 3, reasoning_tokens=2)
    ),
}


@dataclass
class Subject:
    """An engine; `expect` readies what is behind it for a case, `stopped` returns once it works on nothing more.

    `lacks` are cases that no model on the engine can be asked for: its rows have no such parameter.
    """

    engine: TextEngine
    expect: Callable[[str], None]
    stopped: Callable[[], Awaitable[object]]
    lacks: frozenset[str] = frozenset()
    too_long: type[PenstockError] = ContextLengthExceeded


def chat(words: str = "Count to five.", **sampling: Any) -> Chat:
    return Chat((Message("user", (Text(words),)),), Sampling(temperature=0.0, **sampling))


async def openai_compatible(**fields: Any) -> AsyncIterator[Subject]:
    async with Upstream() as upstream:
        row = {"id": "m", "engine": "openai_compatible", "base_url": upstream.url, **fields}
        if several := fields.get("replicas"):
            row["replicas"] = [each.format(port=upstream.port) for each in several]
        model = Model.model_validate({**row, "context_tokens": CONTEXT_TOKENS, "max_output_tokens": 8000})
        engine = build(model, {})
        if isinstance(engine, Starts):
            await engine.start()

        async def the_connection_has_ended() -> None:
            await upstream.asked[-1].gone.wait()

        yield Subject(engine, lambda case: upstream.script(UPSTREAM[case]), the_connection_has_ended)
        await engine.close()


def vllm() -> AsyncIterator[Subject]:
    return openai_compatible(engine="vllm")


def several_addresses() -> AsyncIterator[Subject]:
    return openai_compatible(engine="vllm", replicas=["http://localhost:{port}/v1"])


async def anthropic() -> AsyncIterator[Subject]:
    async with Upstream() as upstream:
        row = {"id": "m", "engine": "anthropic", "base_url": upstream.url}
        model = Model.model_validate({**row, "context_tokens": CONTEXT_TOKENS, "max_output_tokens": 8000})
        engine = build(model, {})

        async def the_connection_has_ended() -> None:
            await upstream.asked[-1].gone.wait()

        def expect(case: str) -> None:
            upstream.script(ANTHROPIC_UPSTREAM[case])

        lacks = frozenset({"choices", "logprobs"})
        # Anthropic has no code for it, only words; they reach the caller as they are.
        yield Subject(engine, expect, the_connection_has_ended, lacks, too_long=InvalidRequest)
        await engine.close()


async def openai_responses() -> AsyncIterator[Subject]:
    async with Upstream() as upstream:
        row = {"id": "m", "engine": "openai_responses", "base_url": upstream.url}
        model = Model.model_validate({**row, "context_tokens": CONTEXT_TOKENS, "max_output_tokens": 8000})
        engine = build(model, {})

        async def the_connection_has_ended() -> None:
            await upstream.asked[-1].gone.wait()

        def expect(case: str) -> None:
            upstream.script(RESPONSES_UPSTREAM[case])

        yield Subject(engine, expect, the_connection_has_ended, frozenset({"choices"}))
        await engine.close()


async def llama_cpp() -> AsyncIterator[Subject]:
    pytest.importorskip("xllamacpp")
    model = Model(
        id="m",
        engine="llama_cpp",
        context_tokens=CONTEXT_TOKENS,
        max_output_tokens=8000,
        engine_options={"n_parallel": 1},
    )
    engine = build(model, {})
    assert isinstance(engine, Starts)
    await engine.start()

    async def the_only_slot_is_free() -> None:
        async for _ in engine.generate("next", chat(max_output_tokens=1)):
            pass

    yield Subject(engine, lambda case: None, the_only_slot_is_free, frozenset({"tools", "reasoning"}))
    await engine.close()


KINDS: Final = [openai_compatible, vllm, several_addresses, openai_responses, anthropic, llama_cpp]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for made in request.param():
        yield made


async def deltas_of(subject: Subject, case: str, asked: Chat) -> list[Delta]:
    if case in subject.lacks:
        pytest.skip(f"no model on this engine has {case}")
    subject.expect(case)
    deltas: list[Delta] = []
    async for batch in subject.engine.generate("job-1", asked):
        assert batch, "a batch is never empty"
        deltas += batch
    return deltas


async def test_an_answer_is_text_a_finish_and_the_engines_count(subject: Subject) -> None:
    deltas = await deltas_of(subject, "whole", chat(max_output_tokens=3))
    texts = [delta for delta in deltas if isinstance(delta, TextDelta)]
    assert "".join(delta.text for delta in texts).strip()
    assert all(delta.choice == 0 and delta.logprobs is None for delta in texts)
    assert [delta for delta in deltas if isinstance(delta, Finish)] == [Finish("length")]
    assert deltas.index(Finish("length")) > deltas.index(texts[-1])
    used = [delta.usage for delta in deltas if isinstance(delta, UsageReport)][-1]
    assert used.output_tokens == 3
    assert used.input_tokens > 0
    assert not used.estimated


async def test_every_choice_finishes_once_and_says_nothing_after_it(subject: Subject) -> None:
    deltas = await deltas_of(subject, "choices", chat(max_output_tokens=2, choices=2))
    for choice in (0, 1):
        of_choice = [delta for delta in deltas if isinstance(delta, TextDelta | Finish) and delta.choice == choice]
        assert of_choice[0] != Finish("length", choice)
        assert [delta for delta in of_choice if isinstance(delta, Finish)] == of_choice[-1:]
    used = [delta.usage for delta in deltas if isinstance(delta, UsageReport)][-1]
    assert used.output_tokens == 4


async def test_logprobs_are_openais(subject: Subject) -> None:
    deltas = await deltas_of(subject, "logprobs", chat(max_output_tokens=1, logprobs=True, top_logprobs=2))
    tokens = [token for delta in deltas if isinstance(delta, TextDelta) for token in delta.logprobs or ()]
    assert len(tokens) == 1
    parsed = ChatCompletionTokenLogprob.model_validate(tokens[0])
    assert parsed.model_extra == {}
    assert bytes(parsed.bytes or ()).decode() == parsed.token
    assert len(parsed.top_logprobs) == 2
    assert all(other.model_extra == {} for other in parsed.top_logprobs)


async def test_a_call_is_named_by_its_first_piece_and_its_arguments_pass_half_formed(subject: Subject) -> None:
    deltas = await deltas_of(subject, "tools", chat())
    first, *more = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert (first.index, first.id, first.name) == (0, "call_1", "f")
    assert all((piece.index, piece.id, piece.name) == (0, None, None) for piece in more)
    assert first.arguments + "".join(piece.arguments for piece in more) == '{"a": 1'
    assert [delta.reason for delta in deltas if isinstance(delta, Finish)] == ["tool_calls"]


async def test_reasoning_comes_before_the_answer_and_apart_from_it(subject: Subject) -> None:
    deltas = await deltas_of(subject, "reasoning", chat())
    kinds = [type(delta) for delta in deltas if isinstance(delta, ReasoningDelta | TextDelta)]
    assert kinds == [ReasoningDelta, ReasoningDelta, TextDelta]
    assert "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta)) == "Hm."
    assert [delta.reason for delta in deltas if isinstance(delta, Finish)] == ["stop"]


async def test_closing_stops_the_work(subject: Subject) -> None:
    subject.expect("endless")
    async with aclosing(subject.engine.generate("job-1", chat(logit_bias=END_OF_TURN))) as batches:
        assert await anext(batches)
    await asyncio.wait_for(subject.stopped(), 20)


async def test_cancelling_stops_the_work(subject: Subject) -> None:
    subject.expect("endless")
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in subject.engine.generate("job-1", chat(logit_bias=END_OF_TURN)):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(subject.stopped(), 20)


async def test_a_prompt_beyond_the_context(subject: Subject) -> None:
    with pytest.raises(subject.too_long):
        await deltas_of(subject, "too long", chat("word " * (CONTEXT_TOKENS + 1)))


async def test_closing_the_engine_ends_what_runs_with_an_error(subject: Subject) -> None:
    subject.expect("endless")
    batches = subject.engine.generate("job-1", chat(logit_bias=END_OF_TURN))
    assert await anext(batches)
    await subject.engine.close()
    with pytest.raises(PenstockError):
        async for _ in batches:
            pass


async def test_a_prompt_is_counted_as_it_is_when_it_runs(subject: Subject) -> None:
    engine = subject.engine
    assert isinstance(engine, CountsTokens)
    subject.expect("count")
    counted = await engine.count_tokens(chat(max_output_tokens=3))
    deltas = await deltas_of(subject, "whole", chat(max_output_tokens=3))
    assert counted == [delta.usage for delta in deltas if isinstance(delta, UsageReport)][-1].input_tokens
