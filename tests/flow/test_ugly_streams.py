"""What providers' streams do that no page of theirs shows, through every door with its official client."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from storage.keys import NewKey
from tests import anthropic_upstream as messages
from tests import responses_upstream as responses
from tests import upstream as chat
from tests.matrix_doors import DOORS, Said, Site
from tests.matrix_providers import PROVIDERS
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAVES: Final = "Grüße 🌊 — 波"


@dataclass(frozen=True)
class Ugly:
    """What a provider sends in answer to what a feature asks for, and what a client is to read."""

    feature: str
    replies: tuple[Reply, ...]
    said: Said


def delta(**fields: Any) -> bytes:
    return chat.chunk({"index": 0, "delta": fields, "finish_reason": None})


def piece(index: int, arguments: str, **fields: Any) -> bytes:
    name = fields.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return delta(tool_calls=[{"index": index, **fields, "function": function}])


def of_chat(*steps: bytes, finish: str = "stop") -> Reply:
    return Reply([*steps, chat.finish(finish), chat.usage(11, 3, 4), chat.DONE])


def of_messages(*parts: Any, stop_reason: str = "end_turn") -> Reply:
    return messages.stream(*parts, messages.end(stop_reason, 3, cache_read_input_tokens=4), input_tokens=7)


def of_responses(*parts: Any) -> Reply:
    return responses.stream(*parts, responses.end(11, 3, cached_tokens=4))


def byte_by_byte(reply: Reply) -> Reply:
    whole = b"".join(step for step in reply.steps if isinstance(step, bytes))
    return Reply([whole[place : place + 1] for place in range(len(whole))])


def interleaved(index: int, arguments: str) -> bytes:
    kind = "response.function_call_arguments.delta"
    return responses.event(kind, item_id=f"fc_{index}", output_index=index, delta=arguments)


CALLED: Final = [("weather", {"city": "Paris"})]
CALLED_TWICE: Final = [("weather", {"city": "Paris"}), ("weather", {"city": "Rome"})]
PARIS: Final = responses.call(0, "call_1", "weather", '{"city":', ' "Paris"}')
ROME: Final = responses.call(1, "call_2", "weather", '{"city":', ' "Rome"}')

UGLY: Final[Mapping[tuple[str, str], Ugly]] = {
    ("openai_compatible", "opens with a call, without a role"): Ugly(
        "tools",
        (of_chat(piece(0, '{"city": "Paris"}', id="call_1", name="weather"), finish="tool_calls"),),
        Said(calls=CALLED, finish="tool_calls"),
    ),
    ("anthropic", "opens with a call"): Ugly(
        "tools",
        (of_messages(messages.tool_use(0, "call_1", "weather", '{"city": "Paris"}'), stop_reason="tool_use"),),
        Said(calls=CALLED, finish="tool_calls"),
    ),
    ("openai_compatible", "empty lists of calls"): Ugly(
        "tools",
        (of_chat(delta(content="Good", tool_calls=[]), delta(content=" morning", tool_calls=[])),),
        Said("Good morning", finish="stop"),
    ),
    ("openai_compatible", "calls interleaved by index"): Ugly(
        "tools",
        (
            of_chat(
                piece(0, "", id="call_1", type="function", name="weather"),
                piece(1, "", id="call_2", type="function", name="weather"),
                *(piece(0, '{"city":'), piece(1, '{"city":'), piece(0, ' "Paris"}'), piece(1, ' "Rome"}')),
                finish="tool_calls",
            ),
        ),
        Said(calls=CALLED_TWICE, finish="tool_calls"),
    ),
    ("openai_responses", "calls interleaved by index"): Ugly(
        "tools",
        (
            of_responses(
                [PARIS[0], ROME[0], interleaved(0, '{"city":'), interleaved(1, '{"city":')],
                [interleaved(0, ' "Paris"}'), interleaved(1, ' "Rome"}'), *PARIS[-2:], *ROME[-2:]],
            ),
        ),
        Said(calls=CALLED_TWICE, finish="tool_calls"),
    ),
    ("openai_compatible", "reasoning between texts"): Ugly(
        "reasoning",
        (
            of_chat(
                *(delta(reasoning_content="Hm"), chat.text("Good"), delta(reasoning_content=".", content=" morning")),
            ),
        ),
        Said("Good morning", "Hm.", finish="stop"),
    ),
    ("anthropic", "reasoning between texts"): Ugly(
        "reasoning",
        (
            of_messages(
                *(messages.thinking(0, "Hm"), messages.text(1, "Good")),
                *(messages.thinking(2, "."), messages.text(3, " morning")),
            ),
        ),
        Said("Good morning", "Hm.", finish="stop"),
    ),
    ("openai_responses", "reasoning between texts"): Ugly(
        "reasoning",
        (
            of_responses(
                *(responses.reasoning(0, "Hm"), responses.text(1, "Good")),
                *(responses.reasoning(2, "."), responses.text(3, " morning")),
            ),
        ),
        Said("Good morning", "Hm.", finish="stop"),
    ),
    ("openai_compatible", "characters in bytes"): Ugly(
        "text", (byte_by_byte(of_chat(chat.text(WAVES))),), Said(WAVES, finish="stop")
    ),
    ("anthropic", "characters in bytes"): Ugly(
        "text", (byte_by_byte(of_messages(messages.text(0, WAVES))),), Said(WAVES, finish="stop")
    ),
    ("openai_responses", "characters in bytes"): Ugly(
        "text", (byte_by_byte(of_responses(responses.text(0, WAVES))),), Said(WAVES, finish="stop")
    ),
    ("openai_compatible", "429 at first"): Ugly(
        "text",
        (chat.refusal(429, {"message": "Slow down."}, **{"Retry-After": "0"}), of_chat(chat.text("Good"))),
        Said("Good", finish="stop"),
    ),
    ("openai_responses", "429 at first"): Ugly(
        "text",
        (
            chat.refusal(429, {"message": "Slow down."}, **{"Retry-After": "0"}),
            of_responses(responses.text(0, "Good")),
        ),
        Said("Good", finish="stop"),
    ),
    ("anthropic", "529 at first"): Ugly(
        "text",
        (messages.refusal(529, "overloaded_error", "Overloaded"), of_messages(messages.text(0, "Good"))),
        Said("Good", finish="stop"),
    ),
    ("anthropic", "overloaded in its first event"): Ugly(
        "text",
        (Reply([messages.start(7), messages.error("overloaded_error")]), of_messages(messages.text(0, "Good"))),
        Said("Good", finish="stop"),
    ),
}

ABOUT_TEXT: Final = ("/v1/completions",)
"""Doors whose dialect has no words for tools and reasoning."""

CELLS: Final = [
    (*case, door) for case in UGLY for door in DOORS if UGLY[case].feature == "text" or door not in ABOUT_TEXT
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("cell", CELLS, ids=" ".join)
async def test_what_is_ugly_upstream_is_not_at_the_door(
    stack: Stack, key: NewKey, cell: tuple[str, str, str], stream: bool
) -> None:
    provider, case, door = cell
    ugly = UGLY[provider, case]
    stack.upstream.script(*ugly.replies)
    said = await DOORS[door](Site(stack.url, key.secret), PROVIDERS[provider].model, ugly.feature, stream)
    assert (said.failed, said.text, said.reasoning, said.calls, said.finish) == (
        None,
        ugly.said.text,
        ugly.said.reasoning,
        ugly.said.calls,
        ugly.said.finish,
    )
    assert (said.input_tokens, said.cached_tokens, said.output_tokens) == (11, 4, 3)
