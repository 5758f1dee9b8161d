"""The engine against an upstream that behaves badly in all the ways that upstreams do."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from schemas.catalog import Model, Timeouts
from schemas.chat import Chat, Message, Sampling, Text
from schemas.chunks import Delta, Finish, TextDelta, UsageReport
from schemas.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
    StreamCut,
)
from schemas.usage import Usage
from tests.upstream import CUT, DONE, Reply, Upstream, answer, chunk, finish, opening, refusal, text, usage
from workers.engines.openai_compatible import OpenAICompatible
from workers.engines.setup import SetupError

CHAT = Chat((Message("user", (Text("Hello!"),)),))
PATIENT = Timeouts()
QUICK = Timeouts(connect_s=5, first_chunk_s=0.2, silence_s=0.2)


def row(base_url: str, timeouts: Timeouts = PATIENT, **options: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "engine": "openai_compatible",
            "base_url": base_url,
            "context_tokens": 8192,
            "max_output_tokens": 4096,
            "timeouts": timeouts,
            "engine_options": options,
        }
    )


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine(upstream: Upstream) -> AsyncIterator[OpenAICompatible]:
    engine = OpenAICompatible(row(upstream.url), "sk-upstream-1")
    yield engine
    await engine.close()


@pytest.fixture
async def hasty(upstream: Upstream) -> AsyncIterator[OpenAICompatible]:
    """One that waits for a fifth of a second and no longer."""
    engine = OpenAICompatible(row(upstream.url, QUICK), None)
    yield engine
    await engine.close()


async def outcome(engine: OpenAICompatible, chat: Chat = CHAT) -> tuple[list[Delta], PenstockError | None]:
    """All deltas, and the error that came after them."""
    deltas: list[Delta] = []
    try:
        async for batch in engine.generate("job-1", chat):
            assert batch
            deltas += batch
    except PenstockError as error:
        return deltas, error
    return deltas, None


async def test_a_good_answer(upstream: Upstream, engine: OpenAICompatible) -> None:
    assert await outcome(engine) == (
        [TextDelta("Hello"), TextDelta(" there"), Finish("stop"), UsageReport(Usage(7, 2))],
        None,
    )
    asked = upstream.asked[0]
    assert asked.target == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer sk-upstream-1"
    assert asked.headers["x-request-id"] == "job-1"
    assert asked.body["stream"] is True
    assert asked.body["stream_options"] == {"include_usage": True}


async def test_rows_can_set_headers_and_keep_the_query_of_their_address(upstream: Upstream) -> None:
    engine = OpenAICompatible(
        row(f"{upstream.url}/?api-version=2", headers={"api-key": "k", "Authorization": "x"}), "s"
    )
    _, error = await outcome(engine)
    await engine.close()
    assert error is None
    asked = upstream.asked[0]
    assert asked.target == "/v1/chat/completions?api-version=2"
    assert (asked.headers["api-key"], asked.headers["authorization"]) == ("k", "x")


async def test_connections_are_used_again(upstream: Upstream, engine: OpenAICompatible) -> None:
    for number in range(6):
        await outcome(engine)
        # The end of a response comes just after its [DONE]; only then is the connection free.
        await upstream.answered(number + 1)
    assert len({id(asked.gone) for asked in upstream.asked}) < 6


async def test_a_kept_connection_that_the_upstream_has_just_closed_costs_no_attempt(
    upstream: Upstream, engine: OpenAICompatible
) -> None:
    upstream.drops_kept_connections = True
    for number in range(3):
        assert (await outcome(engine))[1] is None
        await upstream.answered(number + 1)


async def test_more_than_a_hundred_at_once(upstream: Upstream, engine: OpenAICompatible) -> None:
    go = asyncio.Event()
    upstream.otherwise = Reply([go, text("x"), finish(), DONE])
    jobs = [asyncio.create_task(outcome(engine)) for _ in range(120)]
    await upstream.arrived(120)
    go.set()
    assert all(error is None for _, error in await asyncio.gather(*jobs))


@pytest.mark.parametrize(
    ("reply", "branch"),
    [
        pytest.param(Reply([opening(), text("a"), CUT]), StreamCut, id="connection lost"),
        pytest.param(Reply([opening(), text("a")]), StreamCut, id="ended without finish reason"),
        pytest.param(Reply([opening(), text("a"), DONE]), StreamCut, id="DONE without finish reason"),
        pytest.param(Reply([text("a"), finish("abort"), DONE]), StreamCut, id="aborted"),
        pytest.param(Reply([text("a"), b"data: nonsense\n\n"]), EngineFailed, id="no JSON"),
        pytest.param(
            Reply([text("a"), b'data: {"error": {"message": "x", "code": 500}}\n\n', DONE]),
            EngineUnavailable,
            id="error frame",
        ),
        pytest.param(Reply([text("a"), b"data: " + b"x" * (5 << 20)]), EngineFailed, id="endless line"),
    ],
)
async def test_what_came_before_a_failure_is_kept(
    upstream: Upstream, engine: OpenAICompatible, reply: Reply, branch: type[PenstockError]
) -> None:
    upstream.script(reply)
    deltas, error = await outcome(engine)
    assert deltas == [TextDelta("a")]
    assert type(error) is branch


@pytest.mark.parametrize(
    ("reply", "branch"),
    [
        pytest.param(Reply([CUT]), EngineUnavailable, id="connection lost after the headers"),
        pytest.param(Reply([]), StreamCut, id="an empty answer"),
        pytest.param(Reply([b"<html>"], 200, {"Content-Type": "text/html"}), EngineFailed, id="HTML with status 200"),
        pytest.param(Reply([b"{}"], 200, {"Content-Type": "application/json"}), EngineFailed, id="JSON, not a stream"),
        pytest.param(Reply([b"<html>"], 502, {"Content-Type": "text/html"}), EngineUnavailable, id="HTML with 502"),
        pytest.param(Reply([], 307, {"Location": "http://127.0.0.1:1/"}), EngineRejected, id="redirected"),
        pytest.param(refusal(401, {"message": "bad key sk-upstream-1"}), EngineRejected, id="401"),
        pytest.param(refusal(403, {"message": "no"}), EngineRejected, id="403"),
        pytest.param(refusal(404, {"message": "no such model"}), EngineRejected, id="404"),
        pytest.param(refusal(400, {"message": "bad stop"}), InvalidRequest, id="400"),
        pytest.param(
            refusal(400, {"message": "long", "code": "context_length_exceeded"}), ContextLengthExceeded, id="too long"
        ),
        pytest.param(refusal(500, {"message": "oops"}), EngineUnavailable, id="500"),
    ],
)
async def test_refusals(
    upstream: Upstream, engine: OpenAICompatible, reply: Reply, branch: type[PenstockError]
) -> None:
    upstream.script(reply)
    deltas, error = await outcome(engine)
    assert deltas == []
    assert type(error) is branch
    assert "sk-upstream-1" not in str(error)
    assert (await outcome(engine))[1] is None


async def test_429_passes_on_when_to_come_back(upstream: Upstream, engine: OpenAICompatible) -> None:
    upstream.script(refusal(429, {"message": "slow down"}, **{"Retry-After": "7"}))
    _, error = await outcome(engine)
    assert isinstance(error, EngineUnavailable)
    assert error.retry_after_s == 7.0


async def test_an_error_body_without_an_end_does_not_hold_the_error_back(
    upstream: Upstream, engine: OpenAICompatible
) -> None:
    upstream.script(Reply([b'{"error": "' + b"x" * 70_000, asyncio.Event()], 503, {"Content-Type": "application/json"}))
    _, error = await outcome(engine)
    assert isinstance(error, EngineUnavailable)


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    engine = OpenAICompatible(row(f"http://127.0.0.1:{port}/v1"), None)
    _, error = await outcome(engine)
    await engine.close()
    assert isinstance(error, EngineUnavailable)
    assert str(port) not in error.message


@pytest.mark.parametrize(
    ("steps", "text_before"),
    [
        pytest.param([asyncio.Event()], [], id="no first chunk"),
        pytest.param([b": ping\n\n", asyncio.Event()], [], id="pings are no chunks"),
        pytest.param([opening(), text("a"), asyncio.Event()], [TextDelta("a")], id="silence after a chunk"),
    ],
)
async def test_silence_ends(
    upstream: Upstream, hasty: OpenAICompatible, steps: list[Any], text_before: list[Delta]
) -> None:
    upstream.script(Reply(steps))
    deltas, error = await outcome(hasty)
    assert deltas == text_before
    assert isinstance(error, EngineUnavailable)
    await upstream.asked[0].gone.wait()


async def test_no_headers_in_time(upstream: Upstream, hasty: OpenAICompatible) -> None:
    upstream.mute = True
    _, error = await outcome(hasty)
    assert isinstance(error, EngineUnavailable)


async def test_a_slow_reader_is_not_the_upstreams_silence(upstream: Upstream, hasty: OpenAICompatible) -> None:
    go = asyncio.Event()
    upstream.script(Reply([text("a"), go, text("b"), finish(), DONE]))
    deltas: list[Delta] = []
    async for batch in hasty.generate("job-1", CHAT):
        deltas += batch
        if not go.is_set():
            await asyncio.sleep(2 * QUICK.silence_s)
            go.set()
    assert deltas == [TextDelta("a"), TextDelta("b"), Finish("stop")]


@pytest.mark.parametrize("pieces", [1, 7, 64], ids="by {} bytes".format)
async def test_bytes_cut_anywhere(upstream: Upstream, engine: OpenAICompatible, pieces: int) -> None:
    stream = b": hi\n\n" + text("漢字") + text("🦙") + finish() + usage(3, 2) + DONE
    stream = stream.replace(b"\n", b"\r\n")
    upstream.script(Reply([stream[at : at + pieces] for at in range(0, len(stream), pieces)]))
    deltas, error = await outcome(engine)
    assert error is None
    assert deltas == [TextDelta("漢字"), TextDelta("🦙"), Finish("stop"), UsageReport(Usage(3, 2))]


async def test_a_whole_answer_stays_whole_when_its_usage_does_not_come(
    upstream: Upstream, engine: OpenAICompatible
) -> None:
    upstream.script(Reply([text("a"), finish(), CUT]))
    assert await outcome(engine) == ([TextDelta("a"), Finish("stop")], None)


async def test_chunks_without_choices_are_passed_over(upstream: Upstream, engine: OpenAICompatible) -> None:
    upstream.script(Reply([chunk(prompt_filter_results=[]), text("a"), finish(), usage(0, 0), DONE]))
    assert await outcome(engine) == ([TextDelta("a"), Finish("stop"), UsageReport(Usage(0, 0))], None)


async def test_a_line_of_a_megabyte(upstream: Upstream, engine: OpenAICompatible) -> None:
    upstream.script(Reply([text("x" * (1 << 20)), finish(), DONE]))
    deltas, error = await outcome(engine)
    assert (deltas[0], error) == (TextDelta("x" * (1 << 20)), None)


async def test_the_first_chunk_does_not_wait_for_the_second(upstream: Upstream, engine: OpenAICompatible) -> None:
    go = asyncio.Event()
    upstream.script(Reply([opening(), text("a"), go, text("b"), finish(), DONE]))
    async with aclosing(engine.generate("job-1", CHAT)) as batches:
        assert list(await anext(batches)) == [TextDelta("a")]
        go.set()
        assert [delta async for batch in batches for delta in batch] == [TextDelta("b"), Finish("stop")]


async def test_usage_as_it_goes(upstream: Upstream) -> None:
    engine = OpenAICompatible(row(upstream.url, continuous_usage=True), None)
    counted = {"prompt_tokens": 7, "completion_tokens": 1}
    upstream.script(Reply([text("a") + chunk({"index": 0, "delta": {}}, usage=counted), asyncio.Event()]))
    async with aclosing(engine.generate("job-1", CHAT)) as batches:
        assert list(await anext(batches)) == [TextDelta("a"), UsageReport(Usage(7, 1))]
    await engine.close()
    assert upstream.asked[0].body["stream_options"]["continuous_usage_stats"] is True


async def test_closing_ends_the_connection(upstream: Upstream, engine: OpenAICompatible) -> None:
    upstream.script(Reply([text("a"), asyncio.Event()]))
    async with aclosing(engine.generate("job-1", CHAT)) as batches:
        await anext(batches)
        asked = upstream.asked[0]
        assert not asked.gone.is_set()
    await asyncio.wait_for(asked.gone.wait(), 5)


@pytest.mark.parametrize("steps", [[asyncio.Event()], [text("a"), asyncio.Event()]], ids=["before", "after"])
async def test_cancelling_ends_the_connection(upstream: Upstream, engine: OpenAICompatible, steps: list[Any]) -> None:
    upstream.script(Reply(steps))
    job = asyncio.create_task(outcome(engine))
    asked = await upstream.arrived(1)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    await asyncio.wait_for(asked.gone.wait(), 5)


async def test_several_choices(upstream: Upstream, engine: OpenAICompatible) -> None:
    upstream.script(Reply([text("a", 0), text("b", 1), finish("stop", 1), finish("length", 0), usage(3, 2), DONE]))
    deltas, error = await outcome(engine, Chat(CHAT.messages, Sampling(choices=2)))
    assert error is None
    assert upstream.asked[0].body["n"] == 2
    assert [delta for delta in deltas if isinstance(delta, Finish)] == [Finish("stop", 1), Finish("length", 0)]


@pytest.mark.parametrize(
    "options",
    [
        {"max_token_field": "max_tokens"},
        {"max_tokens_field": "max_output_tokens"},
        {"continuous_usage": "yes"},
        {"headers": {"bad name": "x"}},
        {"headers": {"x-a": "1\r\nx-b: 2"}},
    ],
)
def test_a_wrong_option_stops_the_start(options: Mapping[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"model 'm'.*engine_options"):
        OpenAICompatible(row("http://127.0.0.1:1/v1", **options), None)


def test_a_password_in_the_address_stops_the_start() -> None:
    with pytest.raises(SetupError, match="base_url"):
        OpenAICompatible(row("http://ann:secret@127.0.0.1:1/v1"), None)


async def test_an_answer_is_an_answer_by_default(upstream: Upstream, engine: OpenAICompatible) -> None:
    upstream.script(answer("one", "two", input_tokens=11))
    deltas, _ = await outcome(engine)
    assert deltas[-1] == UsageReport(Usage(11, 2))


async def test_a_prompt_is_counted_beside_v1_where_vllm_has_its_tokenizer(
    upstream: Upstream, engine: OpenAICompatible
) -> None:
    upstream.script(Reply([b'{"count": 9, "tokens": []}'], 200, {"Content-Type": "application/json"}))
    assert await engine.count_tokens(CHAT) == 9
    assert upstream.asked[0].target == "/tokenize"
    assert upstream.asked[0].body == {"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}
