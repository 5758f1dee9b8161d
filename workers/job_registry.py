"""Engines of long work by the name that a catalogue row gives them."""

import pkgutil
from collections.abc import Callable, Mapping
from typing import Final, cast

from schemas.catalog import Model
from schemas.engines import EngineName, Modality
from workers.engines.setup import SetupError, missing, secret
from workers.job_engine import JobEngine
from workers.replicas.jobs import replicated_jobs
from workers.replicas.options import without_replicas

Constructor = Callable[[Model, str | None], JobEngine]

# By name and not by import, as in `registry`.
_ENGINES: Final[Mapping[tuple[EngineName, Modality], str]] = {
    ("storyboard", "video"): "workers.engines.storyboard_video:StoryboardVideo",
    ("openai_compatible", "video"): "workers.engines.openai_videos:OpenAIVideos",
    ("vllm", "video"): "workers.engines.openai_videos:OpenAIVideos",
    ("fal", "video"): "workers.engines.fal:Fal",
    ("fal", "invoke"): "workers.engines.fal:Fal",
}

LONG: Final[frozenset[Modality]] = frozenset({"video", "invoke"})
"""The modalities whose work is long."""


def build(model: Model, environment: Mapping[str, str]) -> JobEngine:
    """The engine of a row, which has opened nothing yet. Raises SetupError, as in `registry`."""
    try:
        constructor = cast(Constructor, pkgutil.resolve_name(_ENGINES[model.engine, model.modality]))
    except ModuleNotFoundError as exc:
        raise SetupError(missing(model, exc.name)) from exc
    key = secret(model, environment)
    model, _ = without_replicas(model)
    if len(model.addresses) > 1:
        return replicated_jobs(model, lambda one: constructor(one, key))
    return constructor(model, key)
