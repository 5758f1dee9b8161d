import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types import Completion

from ingress.completions_contract import check_completion
from ingress.translate.openai_completions import CompletionFold, CompletionStreamWriter, parse, to_chat
from schemas.catalog import Model
from schemas.chat import Chat, Message, Sampling, Text
from schemas.chunks import Chunk, Ended, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from schemas.errors import ContextLengthExceeded, ErrorData, InvalidRequest, InvalidValue, UnsupportedParameter
from schemas.usage import Usage

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

ROW: dict[str, Any] = {"id": "m", "engine": "llama_cpp", "context_tokens": 2048, "max_output_tokens": 512}
MODEL = Model.model_validate(ROW)
USAGE = Usage(input_tokens=11, output_tokens=5)
COMPLETED = Ended("completed", USAGE)


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": "Once", **fields}).encode()


def check(fields: dict[str, Any], **row: Any) -> None:
    check_completion(Model.model_validate({**ROW, **row}), parse(body(**fields)))


def token(text: str, logprob: float) -> dict[str, Any]:
    top = [{"token": text, "logprob": logprob, "bytes": []}, {"token": "x", "logprob": -9.0, "bytes": []}]
    return {"token": text, "logprob": logprob, "bytes": [], "top_logprobs": top}


def folded(chunks: list[Chunk]) -> CompletionFold:
    fold = CompletionFold("job_0123", "m", 1_700_000_000)
    fold.add(chunks)
    return fold


def streamed(chunks: Iterable[Chunk], *, include_usage: bool = False) -> list[str]:
    writer = CompletionStreamWriter("job_0123", "m", 1_700_000_000, include_usage)
    text = b"".join(writer.write([chunk]) for chunk in chunks).decode()
    events = text[:-2].split("\n\n")
    assert all(event.startswith("data: ") and len(event.splitlines()) == 1 for event in events)
    return [event.removeprefix("data: ") for event in events]


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_the_prompt_is_what_a_user_says(prompt: object) -> None:
    assert to_chat(parse(body(prompt=prompt)), MODEL) == Chat(
        messages=(Message("user", (Text("Once"),)),), sampling=Sampling(max_output_tokens=16)
    )


def test_every_parameter_arrives() -> None:
    request = parse(
        body(
            max_tokens=9, temperature=0.5, top_p=1, top_k=7, min_p=0.1, frequency_penalty=-1, presence_penalty=1,
            repetition_penalty=1.1, n=2, stop="END", seed=-5, logit_bias={"12": -100}, logprobs=3, user="ada",
        )
    )  # fmt: skip
    assert to_chat(request, MODEL).sampling == Sampling(
        max_output_tokens=9,
        temperature=0.5,
        top_p=1.0,
        top_k=7,
        min_p=0.1,
        frequency_penalty=-1.0,
        presence_penalty=1.0,
        repetition_penalty=1.1,
        logit_bias={"12": -100.0},
        logprobs=True,
        top_logprobs=3,
        seed=-5,
        stop=("END",),
        choices=2,
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt[0]"),
        ({"prompt": [[1, 2]]}, "prompt[0]"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 513}, "max_tokens"),
        ({"n": 129}, "n"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_a_wrong_value_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check(fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"echo": True}, "echo"),
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"top_k": 3}, "top_k"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check(fields)
    assert caught.value.param == param


def test_what_asks_for_nothing_is_accepted() -> None:
    check(
        {"echo": False, "suffix": "", "best_of": 1, "n": 1, "stop": [], "logit_bias": {}, "presence_penalty": 0},
        parameters=dict.fromkeys(["n", "stop", "logit_bias", "presence_penalty"], False),
    )


def test_a_prompt_that_surely_does_not_fit_is_refused() -> None:
    with pytest.raises(ContextLengthExceeded):
        check({"prompt": "x" * 8 * 2048})


def test_a_body_that_is_no_json_object_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest):
        parse(b"[]")


def test_a_reply_reads_as_openais() -> None:
    fold = folded([ReasoningDelta("Hm."), TextDelta("Once"), TextDelta(" more"), Finish("length"), COMPLETED])
    completion = Completion.model_validate_json(fold.reply(), strict=True)
    assert (completion.id, completion.object) == ("cmpl-0123", "text_completion")
    assert [(choice.text, choice.finish_reason, choice.logprobs) for choice in completion.choices] == [
        ("Once more", "length", None)
    ]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 16


def test_logprobs_are_told_token_by_token() -> None:
    chunks: list[Chunk] = [
        TextDelta("Hé", 0, [token("Hé", -0.5)]),
        TextDelta(" you", 0, [token(" y", -1.0), token("ou", -2.0)]),
        Finish("stop"),
        COMPLETED,
    ]
    logprobs = Completion.model_validate_json(folded(chunks).reply(), strict=True).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["Hé", " y", "ou"]
    assert logprobs.token_logprobs == [-0.5, -1.0, -2.0]
    assert logprobs.text_offset == [0, 2, 4]
    assert logprobs.top_logprobs == [{"Hé": -0.5, "x": -9.0}, {" y": -1.0, "x": -9.0}, {"ou": -2.0, "x": -9.0}]


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        ([TextDelta("Hi"), Ended("failed", USAGE, ErrorData("engine_failed", "No.", 502))], "engine_failed"),
        ([TextDelta("Hi"), Ended("completed", USAGE)], "stream_cut"),
        ([COMPLETED], "stream_cut"),
    ],
)
def test_what_did_not_complete_is_an_error(chunks: list[Chunk], code: str) -> None:
    error = folded(chunks).error
    assert error is not None
    assert error.code == code
    assert json.loads(streamed(chunks)[-1])["error"]["code"] == code


@UNHURRIED
@given(
    st.lists(
        st.builds(TextDelta, st.text(max_size=4), st.integers(0, 2), st.sampled_from([None, [token("a", -1.0)]]))
        | st.builds(RefusalDelta, st.text(max_size=4), st.integers(0, 2))
        | st.just(ToolCallDelta(0, "{}", "a", "f")),
        max_size=20,
    ),
    st.booleans(),
)
def test_the_stream_and_the_whole_reply_agree(said: list[Chunk], include_usage: bool) -> None:
    chunks: list[Chunk] = [*said, *(Finish("stop", choice) for choice in range(3)), COMPLETED, TextDelta("late")]
    reply = Completion.model_validate_json(folded(chunks).reply(), strict=True)
    *events, done = streamed(chunks, include_usage=include_usage)
    read = [json.loads(event) for event in events]
    assert done == "[DONE]"
    texts, tokens = [""] * 3, [0] * 3
    for choice in (choice for chunk in read for choice in chunk["choices"]):
        texts[choice["index"]] += choice["text"]
        tokens[choice["index"]] += len((choice["logprobs"] or {}).get("tokens", []))
    assert [choice.text for choice in reply.choices] == texts
    assert [len((choice.logprobs and choice.logprobs.tokens) or []) for choice in reply.choices] == tokens
    assert read[-1].get("usage") == (json.loads(folded(chunks).reply())["usage"] if include_usage else None)
