"""What each engine can carry, and what a model on it usually is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from schemas.dialects import ANTHROPIC
from schemas.parameters import (
    ANTHROPIC_PARAMETERS,
    CHAT_PARAMETERS,
    EXTRA_PARAMETERS,
    RESPONSES_PARAMETERS,
    Rule,
)

Modality = Literal["text", "embedding", "image", "speech", "video", "invoke"]
EngineName = Literal[
    "openai_compatible", "openai_responses", "anthropic", "vllm", "llama_cpp", "minilm", "piper", "storyboard", "fal"
]
Input = Literal["text", "image", "document"]

Ability = Literal["tools", "parallel_tools", "reasoning", "json_object", "json_schema", "prompt_cache", "count_tokens"]
"""What a model can be asked for beyond text.

`parallel_tools`: whether it calls several tools at once can be asked for. `count_tokens`: its engine counts a prompt
without running it.
"""


class Engine(NamedTuple):
    """`inputs`, `abilities`, `base_url` and `parameters` are what a row has that leaves them open.

    `remote` engines need an address. `dialect` is whose own words the engine speaks upstream. What is about inputs,
    abilities and parameters is so of text models only.
    """

    possible_inputs: frozenset[Input] = frozenset({"text"})
    possible_abilities: frozenset[Ability] = frozenset()
    possible_parameters: frozenset[str] = frozenset()
    parameters: Mapping[str, Rule] = MappingProxyType({})
    inputs: tuple[Input, ...] = ("text",)
    abilities: frozenset[Ability] = frozenset()
    remote: bool = False
    base_url: str | None = None
    dialect: str | None = None
    modalities: frozenset[Modality] = frozenset({"text"})


ASKED_OF_ANTHROPIC: Final[frozenset[Ability]] = frozenset(
    {"tools", "parallel_tools", "reasoning", "json_schema", "prompt_cache", "count_tokens"}
)
ASKED_OF_VLLM: Final[frozenset[Ability]] = frozenset(
    {"tools", "parallel_tools", "reasoning", "json_object", "json_schema", "count_tokens"}
)
USUAL_OF_CHAT_MODELS: Final[frozenset[Ability]] = frozenset({"tools", "parallel_tools", "json_object", "json_schema"})
"""What nearly every chat model behind an OpenAI-compatible URL can do (2026-11); a row of one that cannot says so.

How long to reason, and what to see, differ from model to model, so a row has to promise them.
"""

OPENAI_PARAMETERS: Final = frozenset({*CHAT_PARAMETERS, *EXTRA_PARAMETERS})

ENGINES: Final[Mapping[EngineName, Engine]] = {
    "openai_compatible": Engine(
        possible_inputs=frozenset({"text", "image", "document"}),
        possible_abilities=ASKED_OF_ANTHROPIC | {"json_object"},
        possible_parameters=OPENAI_PARAMETERS,
        parameters=CHAT_PARAMETERS,
        abilities=USUAL_OF_CHAT_MODELS,
        remote=True,
        modalities=frozenset({"text", "embedding", "image", "speech", "video"}),
    ),
    "vllm": Engine(
        possible_inputs=frozenset({"text", "image"}),
        possible_abilities=ASKED_OF_VLLM,
        possible_parameters=OPENAI_PARAMETERS,
        parameters=CHAT_PARAMETERS,
        abilities=USUAL_OF_CHAT_MODELS | {"count_tokens"},
        remote=True,
        modalities=frozenset({"text", "embedding", "image", "speech", "video"}),
    ),
    "openai_responses": Engine(
        possible_inputs=frozenset({"text", "image", "document"}),
        possible_abilities=ASKED_OF_ANTHROPIC | {"json_object"},
        possible_parameters=frozenset(RESPONSES_PARAMETERS),
        parameters=RESPONSES_PARAMETERS,
        inputs=("text", "image", "document"),
        abilities=ASKED_OF_ANTHROPIC | {"json_object"},
        remote=True,
        base_url="https://api.openai.com/v1",
    ),
    "anthropic": Engine(
        possible_inputs=frozenset({"text", "image", "document"}),
        possible_abilities=ASKED_OF_ANTHROPIC,
        possible_parameters=frozenset(ANTHROPIC_PARAMETERS),
        parameters=ANTHROPIC_PARAMETERS,
        inputs=("text", "image", "document"),
        abilities=ASKED_OF_ANTHROPIC,
        remote=True,
        base_url="https://api.anthropic.com/v1",
        dialect=ANTHROPIC,
    ),
    "llama_cpp": Engine(
        possible_inputs=frozenset({"text"}),
        possible_abilities=frozenset({"count_tokens"}),
        possible_parameters=OPENAI_PARAMETERS,
        parameters=CHAT_PARAMETERS,
        abilities=frozenset({"count_tokens"}),
    ),
    "minilm": Engine(modalities=frozenset({"embedding"})),
    "piper": Engine(modalities=frozenset({"speech"})),
    "storyboard": Engine(modalities=frozenset({"image", "video"})),
    "fal": Engine(remote=True, base_url="https://queue.fal.run", modalities=frozenset({"video", "invoke"})),
}
