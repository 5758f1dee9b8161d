"""The bodies of `GET /v1/models`: one list that OpenAI's and Anthropic's SDKs both read."""

from typing import Any, Literal

from pydantic import BaseModel


class ModelPricing(BaseModel):
    """Integer micro-dollars for a million tokens, and for a million of `unit`, where the model is sold by one."""

    input_microusd_per_mtok: int
    cached_input_microusd_per_mtok: int
    output_microusd_per_mtok: int
    cache_written_input_microusd_per_mtok: int
    cache_written_1h_input_microusd_per_mtok: int
    unit: str
    unit_microusd_per_million: int


class ModelModalities(BaseModel):
    input: list[str]
    output: list[str]


class ModelCard(BaseModel):
    """A catalogue row as callers see it: `object` and `created` are OpenAI's, `type` and `created_at` Anthropic's.

    `contract` is what a model of another modality than text accepts, under the names that the catalogue has for it.
    """

    id: str
    object: Literal["model"] = "model"
    type: Literal["model"] = "model"
    created: int
    created_at: str
    owned_by: str
    display_name: str
    description: str
    aliases: list[str]
    context_length: int
    max_output_tokens: int
    modalities: ModelModalities
    endpoints: list[str]
    abilities: list[str]
    supported_parameters: list[str]
    contract: dict[str, Any] | None
    pricing: ModelPricing


class ModelList(BaseModel):
    """All models at once; `has_more` is Anthropic's way to say so."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
    has_more: bool = False
    first_id: str | None
    last_id: str | None
