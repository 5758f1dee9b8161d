import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

from ingress.translate.openai_chat import parse, to_chat
from schemas.catalog import Model
from schemas.chat import Chat, Message, Sampling, Text
from schemas.errors import InvalidRequest, InvalidValue, PenstockError, UnsupportedParameter
from schemas.jobs import ENCODER, WORK_DECODER
from schemas.wire.openai_chat import ChatCompletionRequest

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

MODEL = Model(id="m", engine="llama_cpp", context_tokens=2048, max_output_tokens=512)
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1'}}
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO, **fields}).encode()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"hello",
        b"[]",
        b"null",
        b'"a string"',
        b'{"model": "m", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "m", "seed": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"tools": ' + b'[{"a":' * 50_000,
    ],
)
def test_what_is_no_json_object_is_an_invalid_request_about_no_parameter(broken: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(broken)
    assert (caught.value.code, caught.value.param) == ("invalid_request", None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [*HELLO, {"role": "boss", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "messages[0].content.text"),
        ({"temperature": "0.5"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stop": 3}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"logit_bias": {"50256": "much"}}, "logit_bias.50256"),
        ({"logit_bias": {"the": -1}}, "logit_bias.the"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 65),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": "json"}, "response_format.type"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": 0}}, "reasoning.max_tokens"),
        ({"prompt_cache_retention": "7d"}, "prompt_cache_retention"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1d"}}, "cache_control.ttl"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "messages[0].tool_calls[0].function"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b"}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"stream_options": True}, "stream_options"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(body(**fields))
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message
    assert len(caught.value.message) < 300


def test_numbers_that_are_not_finite_are_refused() -> None:
    for number in (b"NaN", b"Infinity", b"1e400"):
        with pytest.raises(InvalidValue) as caught:
            parse(b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "top_p": ' + number + b"}")
        assert caught.value.param == "top_p"


@pytest.mark.parametrize(
    ("fields", "param", "hint"),
    [
        ({"tempratur": 1}, "tempratur", "Did you mean 'temperature'?"),
        ({"zzz": 1}, "zzz", "Remove it."),
        ({"stream_options": {"usage": True}}, "stream_options.usage", "Remove it."),
        ({"messages": [{"role": "user", "content": "x", "mood": "glad"}]}, "messages[0].mood", "Remove it."),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "lang": "en"}]}]},
            "messages[0].content[0].lang",
            "Remove it.",
        ),
    ],
)
def test_an_unknown_parameter_is_refused_by_its_path(fields: dict[str, Any], param: str, hint: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse(body(**fields))
    assert caught.value.param == param
    assert hint in caught.value.message


def test_a_huge_name_is_not_repeated_in_full() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse(body(**{"x" * 1_000_000: 1}))
    assert len(caught.value.message) < 300


def test_an_error_about_a_prompt_does_not_carry_the_prompt() -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(body(messages=[{"role": "user", "content": [{"type": "text", "text": ["secret plan"]}]}]))
    assert "secret plan" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_null_means_absent_everywhere() -> None:
    fields = dict.fromkeys(ChatCompletionRequest.model_fields.keys() - {"model", "messages"})
    assert to_chat(parse(body(**fields)), MODEL) == to_chat(parse(body()), MODEL)


def test_a_message_that_the_sdk_gave_can_be_sent_back() -> None:
    said = ChatCompletionMessage(role="assistant", content="Hi!", refusal=None, annotations=[])
    chat = to_chat(parse(body(messages=[*HELLO, said.model_dump(), *HELLO])), MODEL)
    assert chat.messages[1] == Message("assistant", (Text("Hi!"),))


@pytest.mark.parametrize(
    "content",
    ["Hello", [{"type": "text", "text": "Hello"}], {"type": "text", "text": "Hello"}],
)
def test_content_is_a_string_parts_or_one_part(content: object) -> None:
    chat = to_chat(parse(body(messages=[{"role": "user", "content": content, "name": "Ada"}])), MODEL)
    assert chat.messages == (Message("user", (Text("Hello"),), "Ada"),)


def test_all_roles_a_text_model_knows_keep_their_names_and_order() -> None:
    roles = ["system", "developer", "user", "assistant"]
    chat = to_chat(parse(body(messages=[{"role": role, "content": role} for role in roles])), MODEL)
    assert [(message.role, message.parts[0].text) for message in chat.messages] == [(role, role) for role in roles]


def test_every_sampling_parameter_arrives() -> None:
    request = parse(
        body(
            temperature=0.5,
            top_p=1,
            top_k=7,
            min_p=0.1,
            frequency_penalty=-1,
            presence_penalty=1,
            repetition_penalty=1.1,
            n=2,
            stop="END",
            seed=-5,
            max_tokens=9,
            logit_bias={"12": -100},
            logprobs=True,
            top_logprobs=3,
            user="ada",
            metadata={"trace": "1"},
        )
    )
    assert to_chat(request, MODEL) == Chat(
        messages=(Message("user", (Text("Hello"),)),),
        sampling=Sampling(
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
        ),
        user="ada",
    )


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 9, "max_completion_tokens": 8}, 8),
        ({"max_tokens": 9, "max_completion_tokens": None}, 9),
        ({}, 512),
        ({"messages": [{"role": "user", "content": "x" * 1600}]}, None),
    ],
)
def test_the_output_bound_is_the_callers_or_the_models_when_it_surely_fits(
    fields: dict[str, Any], bound: int | None
) -> None:
    assert to_chat(parse(body(**fields)), MODEL).sampling.max_output_tokens == bound


@pytest.mark.parametrize(
    ("fields", "user"),
    [({"safety_identifier": "a"}, "a"), ({"safety_identifier": "a", "user": "b"}, "b"), ({}, None)],
)
def test_the_safety_identifier_stands_in_for_the_user(fields: dict[str, Any], user: str | None) -> None:
    assert to_chat(parse(body(**fields)), MODEL).user == user


def test_what_no_text_model_takes_is_read_so_that_the_contract_can_name_it() -> None:
    request = parse(
        body(
            messages=[
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "4"},
                {"role": "assistant", "refusal": "No."},
            ],
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
            tool_choice={"type": "function", "function": {"name": "f"}},
            response_format={"type": "json_object"},
            reasoning_effort="high",
        )
    )
    assert [message.role for message in to_chat(request, MODEL).messages] == ["user", "assistant", "user", "assistant"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(sorted(ChatCompletionRequest.model_fields))
MESSAGE = st.dictionaries(
    st.sampled_from(["role", "content", "name", "refusal", "tool_calls", "x"]),
    JSON
    | st.sampled_from(["user", "assistant", "tool"])
    | st.lists(st.dictionaries(st.sampled_from(["type", "text"]), JSON)),
)


def read(data: bytes) -> Chat | PenstockError:
    """The chat in a body as the next process will read it, or what was wrong."""
    try:
        return WORK_DECODER.decode(ENCODER.encode(to_chat(parse(data), MODEL)))
    except PenstockError as error:
        return error


@UNHURRIED
@given(
    st.binary(max_size=200) | st.dictionaries(FIELDS, JSON | st.lists(MESSAGE)).map(lambda b: json.dumps(b).encode())
)
def test_any_bytes_give_a_request_or_an_error_of_the_tree(data: bytes) -> None:
    outcome = read(data)
    assert isinstance(outcome, Chat) or outcome.status == 400


@UNHURRIED
@given(st.dictionaries(FIELDS, JSON), st.lists(MESSAGE, max_size=3))
def test_any_almost_right_body_gives_a_request_or_an_error_of_the_tree(
    fields: dict[str, Any], messages: list[Any]
) -> None:
    outcome = read(json.dumps({"model": "m", **fields, "messages": messages or HELLO}).encode())
    assert isinstance(outcome, Chat) or outcome.message.endswith((".", "?"))
