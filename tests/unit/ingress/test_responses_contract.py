import json
from typing import Any

import pytest

from ingress.responses_contract import check_conversation, check_request
from ingress.translate.openai_responses import kept, own, parse, said, to_chat
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidValue, PenstockError, UnsupportedParameter

ROW: dict[str, Any] = {
    "id": "m",
    "engine": "openai_compatible",
    "base_url": "http://127.0.0.1/v1",
    "context_tokens": 2048,
    "max_output_tokens": 512,
    "inputs": ["text", "image", "document"],
    "abilities": ["tools", "parallel_tools", "reasoning", "json_object", "json_schema"],
}
PLAIN: dict[str, Any] = {"abilities": [], "inputs": ["text"]}
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADU"
    "lEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOL = {"type": "function", "name": "f"}
CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "a", "output": "4"}
FORMAT = {"format": {"type": "json_schema", "name": "n", "schema": {}}}


def image(role: str = "user", **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "input_image", "image_url": PNG, **fields}]}


def allowed(*names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": name} for name in names]}


def check(fields: dict[str, Any], history: list[dict[str, Any]] | None = None, **row: Any) -> None:
    model = Model.model_validate({**ROW, **row})
    request = parse(json.dumps({"model": "m", "input": "Hello", **fields}).encode())
    check_request(model, request)
    placed = said(request, history or [], {})
    check_conversation(model, request, placed, to_chat(request, placed, model))


def items(*fields: dict[str, Any]) -> list[dict[str, Any]]:
    return kept(own(said(parse(json.dumps({"model": "m", "input": fields}).encode()), [], {})), "0123")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 2, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 2, "stop": ["a"], "seed": 3},
        {"max_output_tokens": 512, "top_logprobs": 20, "include": ["message.output_text.logprobs"]},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
        {"text": FORMAT, "reasoning": {"effort": "high", "summary": "auto"}},
        {"input": [image()]},
        {"input": [{"role": "user", "content": "?"}, CALL, RESULT], "tools": [TOOL]},
        {"input": [{"role": "user", "content": "?"}, CALL, RESULT]},
        {"background": True, "store": True, "metadata": {"a": "b"}, "user": "u", "prompt_cache_key": "k"},
        {"tools": [{**TOOL, "defer_loading": False, "allowed_callers": ["direct"]}], "tool_choice": allowed("f")},
        {"service_tier": "auto", "truncation": "disabled", "max_tool_calls": 3, "prompt_cache_options": {}},
        {"include": ["web_search_call.action.sources", "reasoning.encrypted_content"]},
    ],
)
def test_a_model_with_every_ability_accepts(fields: dict[str, Any]) -> None:
    check(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"top_logprobs": 0, "stop": [], "frequency_penalty": 0, "presence_penalty": 0, "repetition_penalty": 1},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}, "reasoning": {"effort": "none"}},
        {"reasoning": {"effort": None, "summary": None}, "service_tier": "default"},
    ],
)
def test_what_asks_for_nothing_is_accepted_by_a_row_without_the_ability(fields: dict[str, Any]) -> None:
    names = ["top_logprobs", "stop", "frequency_penalty", "presence_penalty"]
    check(fields, **PLAIN, parameters=dict.fromkeys(names, False))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"input": [CALL, RESULT]}, "tools"),
        ({"text": FORMAT}, "text.format"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"input": [image()]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "JVBERg=="}]}]}, "input"),
        ({"top_k": 3}, "top_k"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [{**TOOL, "allowed_callers": ["programmatic"]}]}, "tools[0].allowed_callers"),
    ],
)
def test_what_a_plain_model_lacks_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check(fields, **PLAIN)
    assert caught.value.param == param
    assert "'" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"temperature": 2.1}, "temperature"),
        ({"max_output_tokens": 513}, "max_output_tokens"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"include": ["everything"]}, "include"),
        ({"background": True, "store": False}, "background"),
        ({"stream_options": {}}, "stream_options"),
        ({"tools": [TOOL, TOOL]}, "tools[1].name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": allowed("f", "g")}, "tool_choice.tools[1].name"),
        ({"tool_choice": allowed("g")}, "tool_choice.tools[0].name"),
        ({"input": [{"role": "user", "content": "?"}, RESULT], "tools": [TOOL]}, "input[1]"),
        ({"input": [CALL, RESULT, RESULT], "tools": [TOOL]}, "input[2]"),
        ({"input": [{**CALL, "name": "g"}], "tools": [TOOL]}, "input[0]"),
        ({"input": [image("system")]}, "input[0].content[0].type"),
        ({"input": [image(image_url=None)]}, "input[0].content[0].image_url"),
        ({"input": [image(image_url="data:image/png;base64,QUJD")]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check(fields)
    assert caught.value.param == param


def test_a_file_by_its_id_is_not_available() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check({"input": [image(image_url=None, file_id="file_1")]})
    assert caught.value.param == "input[0].content[0].file_id"


def test_the_call_of_an_earlier_response_can_be_answered_and_any_other_cannot() -> None:
    history = items({"role": "user", "content": "?"}, CALL)
    check({"input": [RESULT], "previous_response_id": "resp_1", "tools": [TOOL]}, history)
    check({"input": [RESULT], "previous_response_id": "resp_1"}, history)
    check({"input": [RESULT], "previous_response_id": "resp_1", "tools": [{**TOOL, "name": "g"}]}, history)
    with pytest.raises(InvalidValue) as caught:
        check({"input": [{**RESULT, "call_id": "b"}], "previous_response_id": "resp_1"}, history)
    assert caught.value.param == "input[0]"


def test_a_conversation_that_surely_does_not_fit_is_refused() -> None:
    history = items({"role": "user", "content": "x" * 8 * 2048})
    with pytest.raises(ContextLengthExceeded) as caught:
        check({"previous_response_id": "resp_1"}, history)
    assert caught.value.param == "input"


def test_a_model_served_elsewhere_says_where() -> None:
    with pytest.raises(PenstockError) as caught:
        check({}, endpoints=["/v1/messages"])
    assert caught.value.param == "model"
    assert "/v1/messages" in caught.value.message
