"""The catalogue: a model is a row, and the row is its contract."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.errors import ModelNotFound
from schemas.usage import Price

Modality = Literal["text"]
EngineName = Literal["openai_compatible", "llama_cpp"]

ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
LaneName = Annotated[str, Field(pattern=r"^[a-z]+\.[a-z0-9-]{1,64}$")]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Row):
    """What a parameter may be; a bound that is not given does not bind."""

    min: float | None = None
    max: float | None = None
    max_items: int | None = None
    values: tuple[str, ...] | None = None


CHAT_PARAMETERS: Final[Mapping[str, Rule]] = {
    "temperature": Rule(min=0, max=2),
    "top_p": Rule(min=0, max=1),
    "frequency_penalty": Rule(min=-2, max=2),
    "presence_penalty": Rule(min=-2, max=2),
    "n": Rule(min=1, max=128),
    "stop": Rule(max_items=4),
    "seed": Rule(),
    "max_tokens": Rule(min=1),
    "max_completion_tokens": Rule(min=1),
    "logit_bias": Rule(min=-100, max=100),
    "logprobs": Rule(),
    "top_logprobs": Rule(min=0, max=20),
}
"""What an OpenAI-compatible chat model without tools accepts; OpenAI's own ranges."""


class TokenPrice(_Row):
    """US dollars for a million tokens, to the micro-dollar."""

    input_usd_per_mtok: Decimal = Field(Decimal(0), ge=0, max_digits=12, decimal_places=6)
    cached_input_usd_per_mtok: Decimal | None = Field(None, ge=0, max_digits=12, decimal_places=6)
    output_usd_per_mtok: Decimal = Field(Decimal(0), ge=0, max_digits=12, decimal_places=6)

    def microusd(self) -> Price:
        cached = self.input_usd_per_mtok if self.cached_input_usd_per_mtok is None else self.cached_input_usd_per_mtok
        return Price(
            input_microusd_per_mtok=int(self.input_usd_per_mtok * 1_000_000),
            cached_input_microusd_per_mtok=int(cached * 1_000_000),
            output_microusd_per_mtok=int(self.output_usd_per_mtok * 1_000_000),
        )


class Timeouts(_Row):
    """How long an engine may take; `silence_s` is the longest gap between two chunks."""

    connect_s: float = Field(5, gt=0)
    first_chunk_s: float = Field(120, gt=0)
    silence_s: float = Field(60, gt=0)


class Model(_Row):
    """One row. Everything but the id and the engine's address has a default that suits a chat model."""

    id: ModelId
    aliases: tuple[ModelId, ...] = ()
    display_name: str | None = None
    description: str = ""
    owned_by: str = "penstock"
    created: int = 0
    modality: Modality = "text"
    inputs: tuple[Literal["text"], ...] = ("text",)
    outputs: tuple[Literal["text"], ...] = ("text",)
    endpoints: tuple[Literal["/v1/chat/completions"], ...] = ("/v1/chat/completions",)
    engine: EngineName
    lane: LaneName = "text.default"
    base_url: AnyHttpUrl | None = None
    upstream_model: str | None = Field(None, description="The engine's own name for the model; default: id")
    api_key_env: str | None = Field(None, description="Environment variable of the worker that holds the secret")
    context_tokens: int = Field(gt=0)
    max_output_tokens: int = Field(gt=0)
    parameters: dict[str, Rule | bool] = Field(
        default_factory=dict, description="Differences from the modality's defaults; false takes a parameter away"
    )
    price: TokenPrice = TokenPrice()
    timeouts: Timeouts = Timeouts()
    deadline_s: float = Field(600, gt=0, description="From acceptance to the job's end")
    attempts: int = Field(3, ge=1, le=10, description="Tries at the engine before the first chunk")
    engine_options: dict[str, Any] = Field(default_factory=dict, description="What only this engine understands")

    @field_validator("parameters", mode="before")
    @classmethod
    def _true_is_a_rule_without_bounds(cls, value: object) -> object:
        return {k: {} if v is True else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        if self.engine == "openai_compatible" and self.base_url is None:
            raise ValueError("engine openai_compatible needs a base_url, as in http://gpu-host:8000/v1")
        if self.max_output_tokens > self.context_tokens:
            raise ValueError("max_output_tokens is larger than context_tokens")
        return self

    @property
    def upstream_name(self) -> str:
        return self.upstream_model or self.id

    def rules(self) -> dict[str, Rule]:
        """Every parameter the model accepts, with its bounds."""
        merged: dict[str, Rule | bool] = {**CHAT_PARAMETERS, **self.parameters}
        return {name: rule for name, rule in merged.items() if isinstance(rule, Rule)}


class Catalog:
    """Rows by id and alias; ids are unique across both."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._rows = {model.id: model for model in models}
        self._names = {name: row for row in self._rows.values() for name in (row.id, *row.aliases)}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._rows.values())

    def find(self, name: str) -> Model:
        """The row with this id or alias. Raises ModelNotFound."""
        try:
            return self._names[name]
        except KeyError:
            raise ModelNotFound(
                f"The model '{name}' does not exist. GET /v1/models lists those that do.", param="model"
            ) from None

    def lanes(self) -> set[str]:
        return {row.lane for row in self}
