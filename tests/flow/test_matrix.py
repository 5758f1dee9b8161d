"""Every door, every provider, every thing that can be asked: the same behaviour whoever made the model.

A cell that is empty says why, in UNSPEAKABLE or UNABLE; what a provider cannot is refused at the door, not dropped in
silence. What the embedded model can is asked of the model itself, in the tests of each door.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from storage.keys import NewKey
from tests.matrix_doors import DOORS, Said, Site, refused_by_upstream
from tests.matrix_providers import PROVIDERS, arguments
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

FEATURES: Final = ("text", "tools", "reasoning", "image", "json_schema", "stop", "cut", "error")

EMBEDDED: Final = "smollm2-135m-instruct"

UNSPEAKABLE: Final = {
    ("/v1/completions", feature): "the dialect has no words for it"
    for feature in ("tools", "reasoning", "image", "json_schema")
}
"""What a door cannot be asked for."""

UNABLE: Final = {
    ("openai_responses", "stop"): "OpenAI's Responses takes no stop sequences",
    ("llama_cpp", "tools"): "the embedded model calls none",
    ("llama_cpp", "reasoning"): "the embedded model does not reason",
    ("llama_cpp", "image"): "the embedded model reads text",
    ("llama_cpp", "json_schema"): "the embedded model is not held to one",
}
"""What a provider cannot be asked for: its models' contracts refuse it, whichever door it comes through."""

SAID: Final = {
    "text": Said("Good morning", finish="stop"),
    "tools": Said(calls=[("weather", arguments())], finish="tool_calls"),
    "reasoning": Said("4", "Hm.", finish="stop"),
    "image": Said("A dot", finish="stop"),
    "json_schema": Said('{"n": 4}', finish="stop"),
    "stop": Said("Good", finish="stop"),
}


Cell = tuple[str, str, str]
"""A door, a provider and a feature."""


def cells(*, able: bool) -> Iterator[Cell]:
    for door in DOORS:
        for provider in (*PROVIDERS, "llama_cpp"):
            for feature in FEATURES:
                speakable = (door, feature) not in UNSPEAKABLE
                if speakable and ((provider, feature) not in UNABLE) is able:
                    yield door, provider, feature


@pytest.fixture
def site(stack: Stack, key: NewKey) -> Site:
    return Site(stack.url, key.secret)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("cell", [cell for cell in cells(able=True) if cell[1] in PROVIDERS], ids=" ".join)
async def test_a_cell(stack: Stack, site: Site, cell: Cell, stream: bool) -> None:
    door, provider, feature = cell
    behind = PROVIDERS[provider]
    stack.upstream.script(behind.replies[feature])
    said = await DOORS[door](site, behind.model, feature, stream)
    asked = stack.upstream.asked[-1]
    assert asked.target == behind.target
    assert feature not in behind.asked or behind.asked[feature](asked.body)
    if feature == "cut":
        assert said.failed is not None
        assert said.finish is None
        assert said.status == (None if stream and door != "/v1/messages" else 200 if stream else 502)
    elif feature == "error":
        assert refused_by_upstream(said)
        assert said.status == 400
    else:
        assert said.failed is None, said
        assert (said.text, said.reasoning, said.calls, said.finish) == (
            SAID[feature].text,
            SAID[feature].reasoning,
            SAID[feature].calls,
            SAID[feature].finish,
        )
        assert (said.input_tokens, said.cached_tokens, said.output_tokens) == (11, 4, 3)


@pytest.mark.parametrize("cell", list(cells(able=False)), ids=" ".join)
async def test_an_empty_cell_is_refused_at_the_door(stack: Stack, site: Site, cell: Cell) -> None:
    door, provider, feature = cell
    model = EMBEDDED if provider == "llama_cpp" else PROVIDERS[provider].model
    said = await DOORS[door](site, model, feature, False)
    assert said.status == 400
    assert said.failed is not None
    assert model in said.failed
    assert stack.upstream.asked == []
