"""Engines by the name that a catalogue row gives them."""

import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast, runtime_checkable

from schemas.catalog import Model
from schemas.engines import EngineName, Modality
from workers.engine import Engine
from workers.engines.setup import SetupError, missing, secret
from workers.replicas.options import without_replicas
from workers.replicas.replicated import replicated

Constructor = Callable[[Model, str | None], Engine[Any, Any]]

# By name and not by import: a worker without the `embedded` extra has no llama.cpp, and needs none.
_ENGINES: Final[Mapping[tuple[EngineName, Modality], str]] = {
    ("openai_compatible", "text"): "workers.engines.openai_compatible:OpenAICompatible",
    ("vllm", "text"): "workers.engines.vllm:VLLM",
    ("openai_responses", "text"): "workers.engines.openai_responses:OpenAIResponses",
    ("anthropic", "text"): "workers.engines.anthropic:Anthropic",
    ("llama_cpp", "text"): "workers.engines.llama_cpp:LlamaCpp",
    ("openai_compatible", "embedding"): "workers.engines.openai_embeddings:OpenAIEmbeddings",
    ("vllm", "embedding"): "workers.engines.openai_embeddings:OpenAIEmbeddings",
    ("openai_compatible", "image"): "workers.engines.openai_images:OpenAIImages",
    ("vllm", "image"): "workers.engines.openai_images:OpenAIImages",
    ("storyboard", "image"): "workers.engines.storyboard_image:StoryboardImage",
    ("minilm", "embedding"): "workers.engines.minilm:MiniLM",
    ("openai_compatible", "speech"): "workers.engines.openai_speech:OpenAISpeech",
    ("vllm", "speech"): "workers.engines.openai_speech:OpenAISpeech",
    ("piper", "speech"): "workers.engines.piper:Piper",
}


@runtime_checkable
class Starts(Protocol):
    """An engine that must be made ready, once, before it is asked. `start` raises SetupError when it cannot be."""

    async def start(self) -> None: ...


def build(model: Model, environment: Mapping[str, str]) -> Engine[Any, Any]:
    """The engine of a row, which has opened nothing yet; one over all of them, where it has several addresses.

    Raises SetupError, whose message is one line for the operator: a secret that is missing from `environment`,
    an engine option that does not exist, an engine whose package is not installed.
    """
    try:
        constructor = cast(Constructor, pkgutil.resolve_name(_ENGINES[model.engine, model.modality]))
    except ModuleNotFoundError as exc:
        raise SetupError(missing(model, exc.name)) from exc
    key = secret(model, environment)
    model, options = without_replicas(model)
    if len(model.addresses) > 1:
        return replicated(model, options, lambda one: constructor(one, key))
    return constructor(model, key)
