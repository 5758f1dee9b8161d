"""The official clients, current and of earlier ages, unmodified: sync and async, every door, whole and streamed."""

from typing import Final

import pytest

from storage.keys import NewKey
from tests import anthropic_program, openai_program
from tests import anthropic_upstream as messages
from tests.client_ages import told
from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

SAID: Final = "Hello there"
EMBEDDED: Final = "smollm2-135m-instruct"

OPENAI: Final[dict[str | None, str]] = {"openai-1": "1.", "openai-2": "2.", None: "3."}
ANTHROPIC: Final[dict[str | None, str]] = {"anthropic-0": "0.", "anthropic-1": "1.", None: "2."}
"""The first digits of each age's version."""

OPENAI_ERRORS: Final = {
    "invalid": ["BadRequestError", "invalid_value", "temperature"],
    "unknown": ["NotFoundError", "model_not_found", "model"],
    "response_deleted": ["NotFoundError", "not_found", "response_id"],
}
ANTHROPIC_ERRORS: Final = {
    "invalid": ["BadRequestError", "invalid_request_error", True],
    "unknown": ["NotFoundError", "not_found_error", True],
}


@pytest.mark.parametrize("age", OPENAI, ids=str)
async def test_openai_against_a_scripted_upstream(stack: Stack, key: NewKey, age: str | None) -> None:
    seen = await told(openai_program.__file__, age, stack.base_url, key.secret, "scripted")
    assert seen.pop("version").startswith(OPENAI[age])
    assert {"scripted", "brief"} <= set(seen.pop("models"))
    texts = ("chat", "chat_streamed", "completion", "completion_streamed", "response", "response_streamed")
    assert seen == {
        **OPENAI_ERRORS,
        **dict.fromkeys([*texts, *(f"async_{name}" for name in texts)], SAID),
        "response_in_background": SAID,
        "response_begins": "response.created",
        "model": "scripted",
        "chat_tokens": 9,
        "chat_streamed_tokens": 9,
    }


@pytest.mark.parametrize("age", ANTHROPIC, ids=str)
async def test_anthropic_against_a_scripted_upstream(stack: Stack, key: NewKey, age: str | None) -> None:
    stack.upstream.otherwise = messages.answer("Hello", " there")
    seen = await told(anthropic_program.__file__, age, stack.url, key.secret, "uncounted")
    assert seen.pop("version").startswith(ANTHROPIC[age])
    assert {"scripted", "claude"} <= set(seen.pop("models"))
    counts = {name: seen.pop(name) for name in ("counted", "async_counted")}
    assert all(count > 0 for count in counts.values())
    assert seen == {
        **ANTHROPIC_ERRORS,
        **dict.fromkeys(["whole", "streamed", "beta", "async_whole", "async_streamed"], SAID),
        "role": "assistant",
        "tokens": 9,
        "streamed_tokens": 9,
    }


@pytest.mark.usefixtures("session_embedded")
@pytest.mark.parametrize("age", OPENAI, ids=str)
async def test_openai_against_the_embedded_model(stack: Stack, key: NewKey, age: str | None) -> None:
    seen = await told(openai_program.__file__, age, stack.base_url, key.secret, EMBEDDED)
    assert OPENAI_ERRORS.items() <= seen.items()
    assert [name for name, value in seen.items() if not value] == [], "it says something in every way it is asked"


@pytest.mark.usefixtures("session_embedded")
@pytest.mark.parametrize("age", ANTHROPIC, ids=str)
async def test_anthropic_against_the_embedded_model(stack: Stack, key: NewKey, age: str | None) -> None:
    seen = await told(anthropic_program.__file__, age, stack.url, key.secret, EMBEDDED)
    assert ANTHROPIC_ERRORS.items() <= seen.items()
    assert [name for name, value in seen.items() if not value] == [], "it says something in every way it is asked"
