import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from ingress.translate.openai_responses import head, kept, own, parse, places_of, references, said, to_chat
from schemas.catalog import Model
from schemas.chat import (
    Chat,
    Document,
    Image,
    Message,
    Reasoning,
    RedactedThinking,
    Refusal,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from schemas.dialects import OPENAI_CHAT
from schemas.errors import InvalidRequest, InvalidValue, NotFound, PenstockError, UnsupportedParameter
from schemas.jobs import ENCODER, WORK_DECODER
from schemas.wire.openai_responses import ResponsesRequest
from tests.open_responses import check_item, check_response

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

MODEL = Model(id="m", engine="llama_cpp", context_tokens=2048, max_output_tokens=512)
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
PIXEL = "iVBORw0KGgo="


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hello", **fields}).encode()


def chat(history: list[dict[str, Any]] | None = None, **fields: Any) -> Chat:
    request = parse(body(**fields))
    return to_chat(request, said(request, history or [], {}), MODEL)


def turns(*items: Any, **fields: Any) -> tuple[Message, ...]:
    return chat(input=list(items), **fields).messages


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"null", b'{"model": "m", "input": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_object_is_an_invalid_request_about_no_parameter(broken: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(broken)
    assert (caught.value.code, caught.value.param) == ("invalid_request", None)


def test_a_schema_with_a_number_that_could_not_travel_is_refused() -> None:
    with pytest.raises(InvalidValue, match="64 bits"):
        chat(tools=[{**TOOL, "parameters": {"maximum": 2**70}}])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0].type"),
        ({"input": [{}]}, "input[0].role"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": {"type": "input_text"}}]}, "input[0].content"),
        ({"input": [user({"type": "input_audio"})]}, "input[0].content[0].type"),
        ({"input": [user({"type": "input_text"})]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "4"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": 4}]}, "input[0].output"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"temperature": "0.5"}, "temperature"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "no spaces"}]}, "tools[0].name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"background": "yes"}, "background"),
        ({"previous_response_id": ""}, "previous_response_id"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse(body(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": 50}, "max_tokens"),
        ({"text": {"style": "terse"}}, "text.style"),
        ({"text": {"format": {"type": "json_object", "schema": {}}}}, "text.format.schema"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [{**TOOL, "async": True}]}, "tools[0].async"),
    ],
)
def test_an_unknown_parameter_is_refused_by_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parse(body(**fields))
    assert caught.value.param == param


def test_null_means_absent_everywhere() -> None:
    fields = dict.fromkeys(ResponsesRequest.model_fields.keys() - {"model", "input"})
    assert chat(**fields) == chat()


def test_a_string_is_what_a_user_says_after_the_instructions() -> None:
    assert chat(instructions="Be brief.").messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Hello"),)),
    )


def test_messages_keep_their_roles_and_parts() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Again"},
        {
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hm."}, {"type": "refusal", "refusal": "No."}],
        },
    ]
    assert turns(*items) == (
        Message("developer", (Text("Be brief."),)),
        Message("user", (Text("Hi"),)),
        Message("assistant", (Text("Hello!"),)),
        Message("user", (Text("Again"),)),
        Message("assistant", (Text("Hm."), Refusal("No."))),
    )


def test_images_and_files_by_data_and_by_url() -> None:
    (message,) = turns(
        user(
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
            {"type": "input_image", "image_url": "https://a.test/b.png"},
            {"type": "input_image", "image_url": f"data:image/jpg;base64,{PIXEL}"},
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"},
            {"type": "input_file", "file_data": PIXEL},
            {"type": "input_file", "file_url": "https://a.test/b.pdf"},
        )
    )
    assert message.parts == (
        Image(media_type="image/png", data=PIXEL, detail="low"),
        Image(url="https://a.test/b.png"),
        Image(media_type="image/jpeg", data=PIXEL),
        Document(media_type="application/pdf", data=PIXEL, name="a.pdf"),
        Document(media_type="application/pdf", data=PIXEL),
        Document(url="https://a.test/b.pdf"),
    )


def test_what_an_assistant_thought_said_and_called_is_one_turn_and_so_are_the_results() -> None:
    assert turns(
        {"role": "user", "content": "Weather?"},
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
            "encrypted_content": "s",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "secret"},
        {"role": "assistant", "content": "One moment."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":'},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "4"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "5"}]},
        {"role": "user", "content": "Well?"},
    ) == (
        Message("user", (Text("Weather?"),)),
        Message(
            "assistant",
            (
                Thinking("Hm.", "s"),
                RedactedThinking("secret"),
                Text("One moment."),
                ToolCall("a", "f", '{"x":'),
                ToolCall("b", "g", "{}"),
            ),
        ),
        Message("user", (ToolResult("a", (Text("4"),)), ToolResult("b", (Text("5"),)))),
        Message("user", (Text("Well?"),)),
    )


def test_items_that_the_sdk_gave_can_be_sent_back() -> None:
    message = ResponseOutputMessage(
        id="msg_1",
        type="message",
        role="assistant",
        status="completed",
        content=[ResponseOutputText(type="output_text", text="Hi", annotations=[])],
    )
    call = ResponseFunctionToolCall(type="function_call", call_id="a", name="f", arguments="{}")
    assert turns(message.model_dump(), call.model_dump()) == (
        Message("assistant", (Text("Hi"), ToolCall("a", "f", "{}"))),
    )


def test_every_parameter_arrives() -> None:
    asked = chat(
        temperature=0.5,
        top_p=1,
        top_k=7,
        min_p=0.1,
        frequency_penalty=-1,
        presence_penalty=1,
        repetition_penalty=1.1,
        stop="END",
        seed=-5,
        max_output_tokens=16,
        top_logprobs=3,
        user="ada",
        tools=[{**TOOL, "description": "Looks out of the window", "strict": True}],
        tool_choice={"type": "function", "name": "get_weather"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}},
        reasoning={"effort": "low", "max_tokens": 100, "summary": "auto"},
        prompt_cache_retention="24h",
        prompt_cache_key="k",
        metadata={"trace": "1"},
    )
    assert asked == Chat(
        messages=(Message("user", (Text("Hello"),)),),
        sampling=Sampling(
            max_output_tokens=16,
            temperature=0.5,
            top_p=1.0,
            top_k=7,
            min_p=0.1,
            frequency_penalty=-1.0,
            presence_penalty=1.0,
            repetition_penalty=1.1,
            logprobs=True,
            top_logprobs=3,
            seed=-5,
            stop=("END",),
        ),
        user="ada",
        tools=(Tool("get_weather", "Looks out of the window", {"type": "object"}, True),),
        tool_choice=ToolChoice("named", "get_weather", False),
        response_format=ResponseFormat("json_schema", "city", {"type": "object"}, True),
        reasoning=Reasoning("low", 100, display="summarized"),
        cache_retention="24h",
        extras={OPENAI_CHAT: {"prompt_cache_key": "k"}},
    )


@pytest.mark.parametrize(
    ("fields", "logprobs"),
    [({}, False), ({"include": ["message.output_text.logprobs"]}, True), ({"top_logprobs": 0}, False)],
)
def test_logprobs_are_asked_for_by_number_or_by_name(fields: dict[str, Any], logprobs: bool) -> None:
    assert chat(**fields).sampling.logprobs is logprobs


@pytest.mark.parametrize(
    ("fields", "choice", "tools"),
    [
        ({}, None, []),
        ({"tool_choice": "auto"}, None, []),
        ({"tool_choice": "none", "parallel_tool_calls": True}, None, []),
        ({"tool_choice": "required"}, ToolChoice("required"), []),
        ({"tools": [TOOL]}, None, ["get_weather"]),
        ({"tools": [TOOL], "parallel_tool_calls": True}, None, ["get_weather"]),
        ({"tools": [TOOL], "parallel_tool_calls": False}, ToolChoice(parallel=False), ["get_weather"]),
        ({"tools": [TOOL], "tool_choice": "none"}, ToolChoice("none"), ["get_weather"]),
        (
            {
                "tools": [TOOL, {**TOOL, "name": "other"}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "other"}],
                },
            },
            ToolChoice("required"),
            ["other"],
        ),
    ],
)
def test_the_choice_of_tools(fields: dict[str, Any], choice: ToolChoice | None, tools: list[str]) -> None:
    asked = chat(**fields)
    assert (asked.tool_choice, [tool.name for tool in asked.tools]) == (choice, tools)


def test_a_reference_is_replaced_by_the_item_it_names() -> None:
    request = parse(
        body(input=[{"type": "item_reference", "id": "msg_1"}, {"id": "fc_2"}, {"role": "user", "content": "?"}])
    )
    assert references(request) == {"msg_1", "fc_2"}
    known = {
        "msg_1": {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        "fc_2": {"id": "fc_2", "type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    }
    messages = to_chat(request, said(request, [], known), MODEL).messages
    assert [message.parts[0] for message in messages] == [Text("Hi"), ToolCall("a", "f", "{}"), Text("?")]
    with pytest.raises(NotFound) as caught:
        said(request, [], {"msg_1": known["msg_1"]})
    assert caught.value.param == "input[1]"


def test_every_part_knows_where_the_request_has_it() -> None:
    history = kept(own(said(parse(body(input="First")), [], {})), "0123")
    request = parse(
        body(
            instructions="Be brief.",
            input=[
                {"role": "assistant", "content": "a"},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"role": "user", "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
            ],
        )
    )
    placed = said(request, history, {})
    asked = to_chat(request, placed, MODEL)
    place = places_of(request, placed)
    places = [
        place(asked, number, part)
        for number, message in enumerate(asked.messages[1:], start=1)
        for part in range(len(message.parts))
    ]
    assert places == ["previous_response_id", "input[0]", "input[1]", "input[2].content[0]", "input[2].content[1]"]


KEPT: list[Any] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "system", "content": [{"type": "input_text", "text": "x"}]},
    user({"type": "input_image", "image_url": "https://a.test/b.png"}, {"type": "input_file", "file_data": PIXEL}),
    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": ""}], "encrypted_content": "s"},
    {"type": "reasoning", "id": "rs_own", "summary": [], "encrypted_content": "s"},
    {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":'},
    {"type": "function_call_output", "call_id": "a", "output": "4"},
    {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "4"}]},
]


def test_what_is_kept_says_the_same_and_is_valid_to_list() -> None:
    request = parse(body(input=KEPT))
    items = kept(own(said(request, [], {})), "0123")
    for item in items:
        check_item(item)
    assert len({item["id"] for item in items}) == len(items)
    assert items[5]["id"] == "rs_own"
    assert to_chat(parse(body(input=[])), said(parse(body(input=[])), items, {}), MODEL).messages == turns(*KEPT)


def test_history_comes_before_the_input_and_instructions_before_both() -> None:
    history = kept(own(said(parse(body(input="First")), [], {})), "0123")
    messages = chat(history, input="Second", instructions="Be brief.").messages
    assert [message.parts[0] for message in messages] == [Text("Be brief."), Text("First"), Text("Second")]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "get_weather"}, "parallel_tool_calls": False},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"}},
        {"reasoning": {"effort": "high"}, "metadata": {"a": "b"}, "temperature": 0, "store": False},
        {"instructions": "x", "previous_response_id": "resp_1", "max_output_tokens": 50, "safety_identifier": "s"},
    ],
)
def test_a_response_tells_what_was_asked(fields: dict[str, Any]) -> None:
    told = head(parse(body(**fields)), "m", "job_1", 1, store=True).fields
    snapshot = {"status": "in_progress", "completed_at": None, "error": None, "incomplete_details": None}
    check_response({**told, **snapshot, "output": [], "usage": None})
    assert {name: told[name] for name in fields.keys() - {"text", "tools", "reasoning", "store"}} == {
        name: fields[name] for name in fields.keys() - {"text", "tools", "reasoning", "store"}
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(sorted(ResponsesRequest.model_fields))
ITEM = st.sampled_from(KEPT) | st.dictionaries(
    st.sampled_from(["role", "content", "type", "id", "call_id", "name", "arguments", "output"]),
    JSON | st.sampled_from(["user", "assistant", "message", "function_call", "function_call_output", "reasoning"]),
)


def read(data: bytes) -> Chat | PenstockError:
    """The chat in a body as the next process will read it, or what was wrong."""
    try:
        request = parse(data)
        return WORK_DECODER.decode(ENCODER.encode(to_chat(request, said(request, [], {}), MODEL)))
    except PenstockError as error:
        return error


@UNHURRIED
@given(st.dictionaries(FIELDS, JSON), st.lists(ITEM, max_size=4))
def test_any_almost_right_body_gives_a_request_or_an_error_of_the_tree(
    fields: dict[str, Any], items: list[Any]
) -> None:
    outcome = read(json.dumps({"model": "m", **fields, "input": items}).encode())
    assert isinstance(outcome, Chat) or (outcome.status in (400, 404) and outcome.message.endswith((".", "?")))
