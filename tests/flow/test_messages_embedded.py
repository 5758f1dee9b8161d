"""The embedded model through the Messages door: text, and what else is outside its contract."""

from typing import Any, Final

import anthropic
import pytest

from storage.keys import NewKey
from tests.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("session_embedded")]

ASKED: Final[dict[str, Any]] = {
    "model": "smollm2-135m-instruct",
    "max_tokens": 12,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Say hello."}],
}
PROMPT: Final = {name: ASKED[name] for name in ("model", "system", "messages")}


def sdk(stack: Stack, key: NewKey) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=stack.url, api_key=key.secret, max_retries=0)


async def test_it_answers_and_counts(stack: Stack, key: NewKey) -> None:
    async with sdk(stack, key) as client:
        counted = await client.messages.count_tokens(**PROMPT)
        async with client.messages.stream(**ASKED) as stream:
            pieces = [piece async for piece in stream.text_stream]
            message = await stream.get_final_message()
    assert len(pieces) > 1
    assert message.content[0].to_dict() == {"type": "text", "text": "".join(pieces)}
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert 0 < message.usage.output_tokens <= 12
    assert message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0) == counted.input_tokens


async def test_it_tells_which_stop_sequence_it_hit(stack: Stack, key: NewKey) -> None:
    vowels = ["a", "e", "i", "o"]
    async with sdk(stack, key) as client:
        whole = await client.messages.create(**ASKED, stop_sequences=vowels)
        async with client.messages.stream(**ASKED, stop_sequences=vowels) as stream:
            streamed = await stream.get_final_message()
    for message in (whole, streamed):
        assert message.stop_reason == "stop_sequence"
        assert message.stop_sequence in vowels


async def test_what_claude_code_sends_unasked_is_no_reason_to_refuse(stack: Stack, key: NewKey) -> None:
    mark = {"type": "ephemeral"}
    async with sdk(stack, key) as client:
        message = await client.messages.create(
            **{**ASKED, "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}]},
            thinking={"type": "adaptive"},
            output_config={"effort": "high"},
            extra_body={"context_management": {"edits": []}},
            extra_headers={"anthropic-beta": "claude-code-20250219"},
        )
    assert message.content[0].type == "text"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}}]}, "cannot call tools"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "url", "url": "https://host/a.png"}}],
                    }
                ]
            },
            "cannot read images",
        ),
        ({"max_tokens": 2000}, "max_tokens: 2000 > 1024"),
        ({"messages": [{"role": "user", "content": "word " * 2100}]}, "prompt is too long"),
    ],
)
async def test_what_it_cannot_do_is_told(stack: Stack, key: NewKey, fields: dict[str, Any], words: str) -> None:
    async with sdk(stack, key) as client:
        with pytest.raises(anthropic.BadRequestError) as raised:
            await client.messages.create(**{**ASKED, **fields})
    assert words in raised.value.message
