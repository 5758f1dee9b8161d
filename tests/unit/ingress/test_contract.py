import json
from typing import Any

import pytest

from ingress.contract import check_chat
from ingress.translate.openai_chat import parse
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidRequest, InvalidValue, PenstockError, UnsupportedParameter

ENDPOINT = "/v1/chat/completions"
ROW: dict[str, Any] = {"id": "m", "engine": "llama_cpp", "context_tokens": 2048, "max_output_tokens": 512}
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]

ABLE: dict[str, Any] = {
    "engine": "openai_compatible",
    "base_url": "http://gpu:8000/v1",
    "inputs": ["text", "image", "document"],
    "abilities": ["tools", "parallel_tools", "reasoning", "json_object", "json_schema"],
}
"""A row whose model can do all there is to be asked for."""

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL: dict[str, Any] = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PNG = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
MARK = {"type": "ephemeral"}
NO = {"type": "refusal", "refusal": "No."}


def check(fields: dict[str, Any], **row: Any) -> None:
    body = {"model": "m", "messages": HELLO, **fields}
    check_chat(Model.model_validate({**ROW, **row}), ENDPOINT, parse(json.dumps(body).encode()))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 2, "seed": -1},
        {"temperature": 2, "n": 128, "stop": ["a", "b", "c", "d"], "logit_bias": {"1": 100, "2": -100}},
        {"max_tokens": 512, "max_completion_tokens": 1, "logprobs": True, "top_logprobs": 20},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"user": "u", "safety_identifier": "s", "metadata": {"a": "b"}},
        {"messages": [{"role": role, "content": "x"} for role in ("system", "developer", "user", "assistant")]},
        {"messages": [{"role": "assistant", "content": None, "refusal": "No."}, *HELLO]},
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": [], "annotations": []}, *HELLO]},
        {"messages": [{"role": "assistant", "content": "x", "reasoning_content": "Hm."}, *HELLO]},
        {"messages": [{"role": "user", "content": ""}]},
        {"cache_control": MARK, "prompt_cache_key": "k", "prompt_cache_retention": "24h", "prompt_cache_options": {}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": MARK}]}]},
        {"messages": [{"role": "system", "content": "x", "cache_control": MARK}, *HELLO]},
    ],
)
def test_a_text_model_accepts(fields: dict[str, Any]) -> None:
    check(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False, "top_logprobs": 0},
        {"logit_bias": {}},
        {"stop": []},
        {"tools": [], "tool_choice": "none", "functions": [], "function_call": "none"},
        {"response_format": {"type": "text"}, "modalities": ["text"]},
        {"store": False, "service_tier": "auto", "reasoning_effort": "none", "include_reasoning": False},
        {"reasoning": {}, "parallel_tool_calls": None},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "verbosity": "medium"},
        {"reasoning": {"effort": "none"}},
        {"service_tier": "default"},
    ],
)
def test_what_asks_for_nothing_is_accepted_by_a_row_without_the_parameter(fields: dict[str, Any]) -> None:
    names = ["n", "logprobs", "top_logprobs", "logit_bias", "stop"]
    check(fields, parameters=dict.fromkeys(names, False))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, "response_format"),
        ({"reasoning": {"max_tokens": 5}}, "reasoning"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "x"}}, "audio"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"verbosity": "low"}, "verbosity"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"top_k": 5}, "top_k"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": "x", "tool_call_id": "1"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "refusal": "No."}]}, "messages[0].refusal"),
    ],
)
def test_what_the_row_does_not_list_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check(fields)
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": True}}},
        {"reasoning_effort": "xhigh", "reasoning": {"effort": "xhigh", "max_tokens": 512}},
        {"messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
        {
            "messages": [
                *HELLO,
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "4"},
            ]
        },
        {"messages": [{"role": "user", "content": [PNG, {"type": "file", "file": {"file_data": "x"}}]}]},
    ],
)
def test_an_able_model_accepts(fields: dict[str, Any]) -> None:
    check(fields, **ABLE)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": 513}}, "reasoning.max_tokens"),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "tool_call_id": "1"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": [NO]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": NO}]}, "messages[0].content.type"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_call_id": "1"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0].function_call"),
        ({"messages": [{"role": "system", "content": [PNG]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": {"type": "file", "file": {"file_id": "x"}}}]},
            "messages[0].content.file.file_data",
        ),
        ({"tool_choice": "auto", "audio": {"voice": "x"}}, "audio"),
    ],
)
def test_what_even_an_able_model_does_not_take(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(fields, **ABLE)
    assert caught.value.param == param
    assert f"'{param}'".removesuffix(".type'") in caught.value.message


def test_a_refusal_says_what_the_model_accepts() -> None:
    with pytest.raises(UnsupportedParameter, match=r"It accepts: .*max_tokens, messages.*temperature"):
        check({"verbosity": "low"})


def test_a_form_that_the_model_cannot_keep_to_is_not_said_to_be_accepted() -> None:
    with pytest.raises(UnsupportedParameter, match="accepts 'response_format' of the type json_schema only"):
        check({"response_format": {"type": "json_object"}}, **{**ABLE, "abilities": ["json_schema"]})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 1.01}, "top_p"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 513}, "max_tokens"),
        ({"max_completion_tokens": 513}, "max_completion_tokens"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "1", "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": {"type": "file", "file": {"file_id": "x"}}}]},
            "messages[0].content.type",
        ),
    ],
)
def test_a_value_outside_the_row_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check(fields)
    assert caught.value.param == param
    assert f"'{param.removesuffix('.type')}" in caught.value.message


@pytest.mark.parametrize(
    ("parameters", "fields", "refusal"),
    [
        ({"temperature": {"max": 1}}, {"temperature": 1.5}, InvalidValue),
        ({"temperature": {"max": 1}}, {"temperature": -1}, InvalidValue),
        ({"temperature": {"max": None}}, {"temperature": 50}, None),
        ({"temperature": False}, {"temperature": 0.5}, UnsupportedParameter),
        ({"n": False}, {"n": 2}, UnsupportedParameter),
        ({"top_k": True}, {"top_k": 40}, None),
        ({"top_k": True}, {"top_k": -2}, InvalidValue),
        ({"top_k": {"max": 10}}, {"top_k": 40}, InvalidValue),
        ({"min_p": True}, {"min_p": 1.5}, InvalidValue),
    ],
)
def test_a_row_changes_the_parameters(
    parameters: dict[str, Any], fields: dict[str, Any], refusal: type[PenstockError] | None
) -> None:
    if refusal is None:
        check(fields, parameters=parameters)
        return
    with pytest.raises(refusal):
        check(fields, parameters=parameters)


@pytest.mark.parametrize(
    ("text", "max_tokens", "fits"),
    [
        ("x" * 8 * 2046, None, True),
        ("x" * 8 * 2047, None, False),
        ("é" * 4 * 2046, None, True),
        ("é" * 4 * 2047, None, False),
        ("x" * 8 * 1800, 200, True),
        ("x" * 8 * 1900, 200, False),
    ],
)
def test_only_what_surely_does_not_fit_the_context_is_refused(text: str, max_tokens: int | None, fits: bool) -> None:
    fields = {"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
    if fits:
        check(fields)
        return
    with pytest.raises(ContextLengthExceeded) as caught:
        check(fields)
    assert caught.value.param == "messages"


def test_a_model_that_is_not_served_here_is_refused_before_anything_else() -> None:
    with pytest.raises(InvalidValue) as caught:
        check({"verbosity": "low"}, endpoints=[])
    assert caught.value.param == "model"


def test_of_several_faults_the_same_one_is_always_reported() -> None:
    faults = {"verbosity": "low", "temperature": 9, "n": 0, "messages": [{"role": "user"}]}
    for fields in (faults, dict(reversed(faults.items()))):
        with pytest.raises(InvalidValue) as caught:
            check(fields)
        assert caught.value.param == "n"
