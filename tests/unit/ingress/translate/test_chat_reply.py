import json

import pytest
from openai.types.chat import ChatCompletion

from ingress.translate.openai_chat import ReplyFold
from schemas.chunks import Chunk, Ended, Finish, TextDelta, UsageReport
from schemas.errors import ErrorData
from schemas.usage import Usage

USAGE = Usage(input_tokens=11, output_tokens=5, cached_input_tokens=8)
TOKEN = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}


def folded(*chunks: Chunk) -> ReplyFold:
    fold = ReplyFold("job_0123", "my-model", 1_700_000_000)
    for chunk in chunks:
        fold.add([chunk])
    return fold


def test_a_reply_reads_as_openais() -> None:
    fold = folded(TextDelta("Hi"), TextDelta(" there"), Finish("stop"), Ended("completed", USAGE))
    assert (fold.ended, fold.error, fold.usage) == (True, None, USAGE)
    reply = ChatCompletion.model_validate_json(fold.reply(), strict=True)
    assert (reply.id, reply.created, reply.model) == ("chatcmpl-0123", 1_700_000_000, "my-model")
    assert json.loads(fold.reply())["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there", "refusal": None, "reasoning_content": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply.usage is not None
    assert reply.usage.total_tokens == 16


def test_choices_stand_by_index_with_their_own_logprobs() -> None:
    fold = folded(
        TextDelta("b", 1, [TOKEN]),
        TextDelta("a", 0),
        TextDelta("c", 1, [TOKEN]),
        Finish("length", 1),
        Finish("stop", 0),
        Ended("completed", USAGE),
    )
    reply = ChatCompletion.model_validate_json(fold.reply(), strict=True)
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in reply.choices] == [
        (0, "a", "stop"),
        (1, "bc", "length"),
    ]
    assert reply.choices[0].logprobs is None
    assert reply.choices[1].logprobs is not None
    assert reply.choices[1].logprobs.model_dump()["content"] == [TOKEN, TOKEN]


def test_a_model_may_say_nothing() -> None:
    reply = ChatCompletion.model_validate_json(folded(Finish("stop"), Ended("completed", Usage(3, 0))).reply())
    assert reply.choices[0].message.content == ""
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 0


def test_the_usage_at_the_end_stands_over_earlier_reports() -> None:
    fold = folded(UsageReport(Usage(11, 1)), TextDelta("Hi"), Finish("stop"), Ended("completed", USAGE))
    assert fold.usage == USAGE


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        ([TextDelta("Hi"), Ended("failed", USAGE, ErrorData("engine_failed", "No.", 502))], "engine_failed"),
        ([TextDelta("Hi"), Ended("completed", USAGE)], "stream_cut"),
        ([Ended("completed", USAGE)], "stream_cut"),
        ([TextDelta("Hi"), Finish("stop"), Ended("cancelled", USAGE)], "internal_error"),
    ],
)
def test_what_did_not_complete_is_an_error(chunks: list[Chunk], code: str) -> None:
    fold = folded(*chunks)
    assert fold.error is not None
    assert fold.error.code == code


def test_what_comes_after_the_end_changes_nothing() -> None:
    fold = folded(TextDelta("Hi"), Finish("stop"), Ended("completed", USAGE))
    before = fold.reply()
    fold.add([TextDelta(" again"), Ended("failed", Usage())])
    assert (fold.reply(), fold.error) == (before, None)
