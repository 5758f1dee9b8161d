"""Which fallbacks may answer what was asked of another model."""

from typing import Any

import pytest

from ingress.fallbacks import fallbacks_of
from schemas.access import AccessKey, Limits
from schemas.catalog import Catalog, Model
from schemas.chat import Chat, Image, Message, Opaque, Reasoning, ResponseFormat, Sampling, Text, Tool, ToolChoice
from schemas.jobs import Fallback
from schemas.usage import Price

HELLO = (Message("user", (Text("Hello"),)),)
ASKED: dict[str, Any] = {
    "id": "asked",
    "engine": "openai_compatible",
    "base_url": "http://a:1/v1",
    "context_tokens": 8192,
    "max_output_tokens": 4096,
    "inputs": ["text", "image"],
    "abilities": ["tools", "parallel_tools", "reasoning", "json_schema"],
}


def key(models: tuple[str, ...] | None = None) -> AccessKey:
    return AccessKey("k", "a", "n", models, (), 0, None, None, Limits(), {})


def allowed(chat: Chat, opened: tuple[str, ...] | None = None, **other: Any) -> tuple[Fallback, ...]:
    """The fallbacks of a chat; `other` is how the fallback's row differs."""
    catalog = Catalog(
        [
            Model.model_validate({**ASKED, "fallbacks": ["other"]}),
            Model.model_validate({**ASKED, "id": "other", "price": {"input_usd_per_mtok": 2}, **other}),
        ]
    )
    return fallbacks_of(catalog, catalog.find("asked"), chat, key(opened))


def test_a_fallback_comes_with_its_price() -> None:
    assert allowed(Chat(HELLO)) == (Fallback("other", Price(2_000_000, 2_000_000, 0, 2_000_000, 2_000_000)),)


def test_a_row_without_fallbacks_has_none() -> None:
    catalog = Catalog([Model.model_validate(ASKED)])
    assert fallbacks_of(catalog, catalog.find("asked"), Chat(HELLO), key()) == ()


def test_a_key_that_does_not_open_a_fallback_is_not_answered_by_it() -> None:
    assert allowed(Chat(HELLO), ("asked",)) == ()
    assert allowed(Chat(HELLO), ("asked", "other")) != ()


@pytest.mark.parametrize(
    ("chat", "lacks"),
    [
        (Chat(HELLO, tools=(Tool("f"),)), {"abilities": []}),
        (Chat(HELLO, tools=(Tool("f"),), tool_choice=ToolChoice(parallel=False)), {"abilities": ["tools"]}),
        (Chat((Message("user", (Image(url="https://a/b"),)),)), {"inputs": ["text"]}),
        (Chat(HELLO, reasoning=Reasoning("high")), {"abilities": ["tools"]}),
        (Chat(HELLO, response_format=ResponseFormat("json_schema")), {"abilities": ["tools"]}),
        (Chat(HELLO, Sampling(seed=1)), {"parameters": {"seed": False}}),
        (Chat(HELLO, Sampling(temperature=1.5)), {"parameters": {"temperature": {"max": 1}}}),
        (Chat(HELLO, Sampling(stop=("a", "b"))), {"parameters": {"stop": {"max_items": 1}}}),
        (Chat(HELLO, Sampling(choices=2)), {"parameters": {"n": False}}),
        (Chat(HELLO, Sampling(logprobs=True)), {"parameters": {"logprobs": False}}),
        (Chat((Message("user", (Text("word " * 1000),)),)), {"context_tokens": 1000, "max_output_tokens": 100}),
    ],
)
def test_a_fallback_that_would_have_to_drop_something_is_not_asked(chat: Chat, lacks: dict[str, Any]) -> None:
    assert allowed(chat) != ()
    assert allowed(chat, **lacks) == ()


def test_a_tool_that_one_provider_runs_goes_to_nobody_else() -> None:
    assert allowed(Chat(HELLO, tools=(Tool("web_search", dialect="anthropic"),))) == ()


def test_a_part_that_one_provider_knows_goes_to_nobody_else() -> None:
    assert allowed(Chat((Message("user", (Opaque("anthropic", {"type": "search_result"}),)),))) == ()


def test_a_lower_bound_of_output_is_no_reason_not_to_answer() -> None:
    assert allowed(Chat(HELLO, Sampling(max_output_tokens=4096)), max_output_tokens=1000) != ()
