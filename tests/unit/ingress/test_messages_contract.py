"""What the Messages door refuses before anything is queued, and in whose words."""

from typing import Any

import msgspec
import pytest

from ingress.messages_contract import check_messages, within_abilities
from ingress.translate.anthropic import parse, parse_count, to_chat
from schemas.catalog import Model
from schemas.chat import Chat, Reasoning
from schemas.errors import ContextLengthExceeded, InvalidValue, PenstockError, UnsupportedParameter

HI = [{"role": "user", "content": "Hi"}]
PNG = "iVBORw0KGgo="
PLAIN: dict[str, Any] = {"id": "m", "engine": "llama_cpp", "context_tokens": 2048, "max_output_tokens": 512}
CLAUDE: dict[str, Any] = {"id": "m", "engine": "anthropic", "context_tokens": 2048, "max_output_tokens": 512}
F = {"name": "f", "input_schema": {"type": "object"}}


def check(row: dict[str, Any], **fields: Any) -> Chat:
    body = msgspec.json.encode({"model": "m", "max_tokens": 100, "messages": HI, **fields})
    model, request = Model.model_validate(row), parse(body)
    chat = within_abilities(model, to_chat(request))
    check_messages(model, request, chat)
    return chat


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.5, "top_p": 0.5, "stop_sequences": ["a", "b"]},
        {"temperature": 1, "top_p": 1, "stop_sequences": []},
        {"system": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]},
        {"cache_control": {"type": "ephemeral"}},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        {"thinking": {"type": "disabled"}},
        {"tools": [], "metadata": {"user_id": "u"}, "anything": {"new": 1}},
    ],
)
def test_a_plain_text_model_takes_what_clients_send_unasked(fields: dict[str, Any]) -> None:
    assert check(PLAIN, **fields).reasoning in (None, Reasoning("none"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [F]}, "tools"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "output_config.format"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
                        ],
                    }
                ]
            },
            "messages",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "search_result", "a": 1}]}]}, "messages[0].content[0]"),
        (
            {"system": "S", "messages": [*HI, {"role": "user", "content": [{"type": "container_upload"}]}]},
            "messages[1].content[0]",
        ),
        ({"top_k": 5}, "top_k"),
    ],
)
def test_what_a_plain_text_model_cannot_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as raised:
        check(PLAIN, **fields)
    assert raised.value.param == param
    assert "'m'" in raised.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [F, {"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [F], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        {"messages": [{"role": "user", "content": [{"type": "search_result", "a": 1}]}]},
        {"top_k": 5},
    ],
)
def test_a_model_of_anthropics_is_asked_all_that_anthropic_can_be_asked(fields: dict[str, Any]) -> None:
    check(CLAUDE, **fields)


def test_a_tool_that_anthropic_runs_is_for_its_own_models_only() -> None:
    row = {**PLAIN, "engine": "openai_compatible", "base_url": "http://gpu:8000/v1"}
    with pytest.raises(UnsupportedParameter) as raised:
        check(row, tools=[F, {"type": "web_search_20250305", "name": "web_search"}])
    assert raised.value.param == "tools[1]"
    assert "web_search_20250305" in raised.value.message


RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}


def test_an_orphaned_result_is_named() -> None:
    with pytest.raises(InvalidValue) as raised:
        check(CLAUDE, system="S", messages=[*HI, {"role": "assistant", "content": "Yes?"}, RESULT])
    assert raised.value.param == "messages[2].content[0]"


def test_a_tool_that_was_called_before_need_not_be_offered() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "gone", "input": {}}]}
    check(CLAUDE, messages=[*HI, call, RESULT], tools=[F])


def test_a_choice_of_a_tool_that_is_not_there() -> None:
    with pytest.raises(InvalidValue) as raised:
        check(CLAUDE, tools=[F], tool_choice={"type": "tool", "name": "g"})
    assert raised.value.param == "tool_choice"


def test_an_image_that_is_none() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    with pytest.raises(InvalidValue) as raised:
        check(CLAUDE, messages=[{"role": "user", "content": [{"type": "image", "source": source}]}])
    assert raised.value.param == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("fields", "branch", "words"),
    [
        (
            {"max_tokens": 513},
            InvalidValue,
            "max_tokens: 513 > 512, which is the maximum allowed number of output tokens for m",
        ),
        ({"max_tokens": 0}, InvalidValue, "'max_tokens' should be at least 1"),
        ({"system": "x" * 16_384}, ContextLengthExceeded, "prompt is too long: 2050 tokens > 2048 maximum"),
        (
            {"system": "x" * 16_000},
            ContextLengthExceeded,
            "input length and `max_tokens` exceed context limit: 2002 + 100 > 2048, decrease input length",
        ),
        ({"tools": [{**F, "description": "x" * 20_000}]}, ContextLengthExceeded, "prompt is too long"),
        ({"stop_sequences": [" "]}, InvalidValue, "white space"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1023}},
            InvalidValue,
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        ({"tools": [F, F]}, InvalidValue, "tools: Tool names must be unique."),
    ],
)
def test_limits_are_told_in_the_words_that_clients_know(
    fields: dict[str, Any], branch: type[PenstockError], words: str
) -> None:
    with pytest.raises(branch) as raised:
        check(CLAUDE, **fields)
    assert words in raised.value.message


def test_a_model_that_is_not_served_here() -> None:
    with pytest.raises(InvalidValue, match="/v1/chat/completions"):
        check({**PLAIN, "endpoints": ["/v1/chat/completions"]})


def test_a_prompt_to_be_counted_is_held_to_what_is_read_and_not_to_what_is_drawn() -> None:
    model = Model.model_validate(PLAIN)
    request = parse_count(msgspec.json.encode({"model": "m", "messages": HI, "tools": [F]}))
    with pytest.raises(UnsupportedParameter):
        check_messages(model, request, to_chat(request))
