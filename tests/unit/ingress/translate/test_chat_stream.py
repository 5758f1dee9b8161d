import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ingress.translate.openai_chat import ReplyFold, StreamWriter
from schemas.chunks import Chunk, Ended, Finish, TextDelta, UsageReport
from schemas.errors import ErrorData
from schemas.usage import Usage

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

USAGE = Usage(11, 5, 4, 2, cache_written_input_tokens=3, cache_written_1h_input_tokens=1)
COMPLETED = Ended("completed", USAGE)
TOKEN = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}


def written(chunks: Iterable[Chunk], *, include_usage: bool = False, at_once: bool = False) -> str:
    writer = StreamWriter("job_0123", "my-model", 1_700_000_000, include_usage)
    chunks = list(chunks)
    calls = [chunks] if at_once else [[chunk] for chunk in chunks]
    return b"".join(writer.write(call) for call in calls).decode()


def events(text: str) -> list[str]:
    assert text.endswith("\n\n")
    found = text[:-2].split("\n\n")
    assert all(event.startswith("data: ") and len(event.splitlines()) == 1 for event in found)
    return [event.removeprefix("data: ") for event in found]


def read(text: str) -> list[ChatCompletionChunk]:
    *data, done = events(text)
    assert done == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(each, strict=True) for each in data]


def test_a_stream_reads_as_openais() -> None:
    first, second, last = read(written([TextDelta("Hi"), TextDelta(" there"), Finish("stop"), COMPLETED]))
    assert (first.id, first.object, first.created, first.model) == (
        "chatcmpl-0123",
        "chat.completion.chunk",
        1_700_000_000,
        "my-model",
    )
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "Hi")
    assert (second.choices[0].delta.role, second.choices[0].delta.content) == (None, " there")
    assert (last.choices[0].delta.content, last.choices[0].finish_reason) == (None, "stop")
    assert first.choices[0].finish_reason is None


def test_without_include_usage_no_chunk_speaks_of_usage() -> None:
    text = written([TextDelta("Hi"), UsageReport(USAGE), Finish("stop"), COMPLETED])
    assert "usage" not in text


def test_with_include_usage_it_is_null_until_the_last_chunk() -> None:
    text = written([TextDelta("Hi"), UsageReport(USAGE), Finish("length"), COMPLETED], include_usage=True)
    *others, last = (json.loads(event) for event in events(text)[:-1])
    assert [chunk["usage"] for chunk in others] == [None, None]
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 5,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "cache_read_input_tokens": 4,
        "cache_created_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
    }


def test_each_choice_begins_with_its_role_even_if_it_says_nothing() -> None:
    chunks = read(
        written([TextDelta("a", 0), Finish("stop", 1), TextDelta("b", 2), Finish("stop", 2), Finish("stop"), COMPLETED])
    )
    begun = [(c.choices[0].index, c.choices[0].delta.content) for c in chunks if c.choices[0].delta.role]
    assert begun == [(0, "a"), (1, ""), (2, "b")]


def test_logprobs_travel_with_their_text() -> None:
    (chunk, _) = read(written([TextDelta("Hi", 0, [TOKEN]), Finish("stop"), COMPLETED]))
    assert chunk.choices[0].logprobs is not None
    assert chunk.choices[0].logprobs.model_dump()["content"] == [TOKEN]


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        ([TextDelta("Hi"), Ended("failed", USAGE, ErrorData("stream_cut", "Cut.", 502))], "stream_cut"),
        (
            [TextDelta("Hi"), Finish("stop"), Ended("failed", USAGE, ErrorData("worker_lost", "Lost.", 503))],
            "worker_lost",
        ),
        ([Ended("expired", Usage(), ErrorData("deadline_exceeded", "Late.", 504))], "deadline_exceeded"),
        ([TextDelta("Hi"), Ended("failed", USAGE)], "internal_error"),
        ([TextDelta("Hi"), Ended("completed", USAGE)], "stream_cut"),
        ([TextDelta("Hi"), TextDelta("Ho", 1), Finish("stop", 1), Ended("completed", USAGE)], "stream_cut"),
        ([Ended("completed", USAGE)], "stream_cut"),
    ],
)
def test_a_stream_that_did_not_complete_ends_in_an_error_and_nothing_else(chunks: list[Chunk], code: str) -> None:
    text = written(chunks, include_usage=True)
    last = json.loads(events(text)[-1])
    assert last["error"]["code"] == code
    assert last["error"].keys() == {"message", "type", "param", "code"}
    assert "[DONE]" not in text


def test_nothing_is_written_after_the_end() -> None:
    end: list[Chunk] = [TextDelta("Hi"), Finish("stop"), COMPLETED]
    late: list[Chunk] = [TextDelta("again"), Finish("stop"), COMPLETED]
    assert written([*end, *late]) == written(end) == written([*end, *late], at_once=True)


@pytest.mark.parametrize(
    "separator", ["\n", "\r", "\u0085", "\u2028", "\u2029", "\x1c", "\x0b", "\x00", "\ufeff", "😀"]
)
def test_no_character_breaks_a_line_for_any_reader(separator: str) -> None:
    text = f"a{separator}é"
    token = {**TOKEN, "token": text}
    (chunk, _) = read(written([TextDelta(text, 0, [token]), Finish("stop"), COMPLETED]))
    assert chunk.choices[0].delta.content == text
    assert chunk.choices[0].logprobs is not None
    assert chunk.choices[0].logprobs.content is not None
    assert chunk.choices[0].logprobs.content[0].token == text


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 3), st.text(), st.booleans()), max_size=30), st.booleans(), st.booleans())
def test_the_stream_and_the_whole_reply_agree(
    said: list[tuple[int, str, bool]], at_once: bool, include_usage: bool
) -> None:
    chunks: list[Chunk] = [TextDelta(text, choice, [TOKEN] if logs else None) for choice, text, logs in said]
    chunks += [Finish("stop" if choice else "length", choice) for choice in range(4)]
    chunks.append(COMPLETED)
    fold = ReplyFold("job_0123", "my-model", 1_700_000_000)
    fold.add(chunks)
    reply = ChatCompletion.model_validate_json(fold.reply(), strict=True)

    texts, tokens = [""] * 4, [0] * 4
    finishes: list[str | None] = [None] * 4
    streamed = read(written(chunks, include_usage=include_usage, at_once=at_once))
    for choice in (choice for chunk in streamed for choice in chunk.choices):
        texts[choice.index] += choice.delta.content or ""
        tokens[choice.index] += len((choice.logprobs and choice.logprobs.content) or [])
        finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    assert [choice.message.content for choice in reply.choices] == texts
    assert [len((choice.logprobs and choice.logprobs.content) or []) for choice in reply.choices] == tokens
    assert [choice.finish_reason for choice in reply.choices] == finishes == ["length", "stop", "stop", "stop"]
    assert not include_usage or streamed[-1].usage == reply.usage


def test_chunks_differ_only_in_what_they_must() -> None:
    text = written([TextDelta("a"), TextDelta("b"), Finish("stop"), COMPLETED])
    bodies: list[dict[str, Any]] = [json.loads(event) for event in events(text)[:-1]]
    assert len({(body["id"], body["object"], body["created"], body["model"]) for body in bodies}) == 1
