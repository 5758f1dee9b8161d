"""The catalogue: a model is a row, and the row is its contract."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from schemas.engines import ENGINES, Ability, Engine, EngineName, Input, Modality
from schemas.errors import ModelNotFound
from schemas.media_rows import EmbeddingRow, ImageRow, InvokeRow, SpeechRow, VideoRow
from schemas.modalities import ENDPOINTS, OUTPUTS, Endpoint, Output
from schemas.parameters import PARAMETERS, Row, Rule
from schemas.price_rows import PriceRow
from schemas.serving_rows import ServingRow
from schemas.topics import BATCH_LANE, batch_lane

ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
LaneName = Annotated[str, Field(pattern=r"^[a-z]+\.[a-z0-9-]{1,64}$")]


PARSED: Final[Mapping[Ability, str]] = {"tools": "tool_parser", "reasoning": "reasoning_parser"}
"""What vLLM finds in a model's text by a parser, and the field of `serving` that names it."""


def _known(name: str) -> str:
    if name not in PARAMETERS:
        near = get_close_matches(name, PARAMETERS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(PARAMETERS))}"
        raise ValueError(f"unknown parameter '{name}'; {hint}")
    return name


def _rule_or_off(value: Any) -> str:
    return "(off)" if value is False else "(rule)"


ParameterName = Annotated[str, AfterValidator(_known)]
RuleOrOff = Annotated[
    Annotated[Rule, Tag("(rule)")] | Annotated[Literal[False], Tag("(off)")], Discriminator(_rule_or_off)
]


class Timeouts(Row):
    """How long an engine may take; `silence_s` is the longest gap between two chunks."""

    connect_s: float = Field(default=5, gt=0)
    first_chunk_s: float = Field(default=120, gt=0)
    silence_s: float = Field(default=60, gt=0)


class Model(Row):
    """One row. Everything but the id and the engine's address has a default that suits a chat model."""

    id: ModelId
    aliases: tuple[ModelId, ...] = ()
    display_name: str | None = None
    description: str = ""
    owned_by: str = "penstock"
    created: int = 0
    modality: Modality = "text"
    inputs: tuple[Input, ...] = ("text",)
    outputs: tuple[Output, ...] = ("text",)
    endpoints: tuple[Endpoint, ...] = ENDPOINTS["text"]
    abilities: frozenset[Ability] = frozenset()
    engine: EngineName
    lane: LaneName = "text.default"
    base_url: AnyHttpUrl | None = None
    replicas: tuple[AnyHttpUrl, ...] = Field(
        default=(), description="Further addresses like base_url, where the same model is served"
    )
    metrics: tuple[tuple[AnyHttpUrl, ...], ...] = Field(
        default=(), description="Where each address's engine tells its metrics, in the order of the addresses"
    )
    serving: ServingRow | None = Field(default=None, description="How we serve the model ourselves, by Ray Serve")
    url_fetch: Literal["platform", "provider"] = Field(
        default="platform", description="Who fetches images and documents that a chat names by URL"
    )
    upstream_model: str | None = Field(default=None, description="The engine's own name for the model; default: id")
    api_key_env: str | None = Field(
        default=None, description="Environment variable of the worker that holds the secret"
    )
    context_tokens: int = Field(ge=0, description="Input and output together; 0 where the model knows no tokens")
    max_output_tokens: int = Field(ge=0)
    embedding: EmbeddingRow | None = None
    image: ImageRow | None = None
    speech: SpeechRow | None = None
    video: VideoRow | None = None
    invoke: InvokeRow | None = None
    parameters: dict[ParameterName, RuleOrOff] = Field(
        default_factory=dict,
        description="Differences from the engine's own: bounds change one by one, true adds, false takes away",
    )
    price: PriceRow = PriceRow()
    timeouts: Timeouts = Timeouts()
    deadline_s: float = Field(default=600, gt=0, le=86_400, description="From acceptance to the job's end")
    elsewhere: dict[Endpoint, ModelId] = Field(
        default_factory=dict,
        description="Models of the same family that answer where this one is not served, asked by this one's name",
    )
    fallbacks: tuple[ModelId, ...] = Field(
        default=(), description="Models that answer, in this order, when this one cannot; theirs are not asked in turn"
    )
    slots: int | None = Field(
        default=None, ge=1, description="The most of its jobs that one worker runs at once; default: by its engine"
    )
    attempts: int = Field(default=3, ge=1, le=10, description="Tries at the engine before the first chunk")
    engine_options: dict[str, Any] = Field(default_factory=dict, description="What only this engine understands")

    @field_validator("parameters", mode="before")
    @classmethod
    def _true_changes_no_bound(cls, value: object) -> object:
        return {k: {} if v is True else v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _as_its_engine(cls, row: Any) -> Any:
        """What a row leaves open is what models of its modality, on its engine, usually are."""
        if not isinstance(row, dict) or row.get("engine") not in ENGINES:
            return row
        engine, modality = ENGINES[row["engine"]], row.get("modality", "text")
        usual: dict[str, Any] = {"base_url": engine.base_url}
        if modality == "text":
            usual |= {"inputs": engine.inputs, "abilities": _abilities(engine, row.get("serving"))}
        elif modality in ENDPOINTS:
            usual |= {"lane": f"{modality}.default", "endpoints": ENDPOINTS[modality], "outputs": OUTPUTS[modality]}
            usual |= {"context_tokens": 0, "max_output_tokens": 0}
        return {**usual, **row}

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        engine = ENGINES[self.engine]
        if self.lane.endswith(BATCH_LANE):
            raise ValueError(f"lane {self.lane}: names that end in {BATCH_LANE} are those of other lanes' batches")
        if self.modality not in engine.modalities:
            served = ", ".join(sorted(engine.modalities))
            raise ValueError(f"engine {self.engine} serves no {self.modality} model, but {served}")
        if not self.lane.startswith(f"{self.modality}."):
            raise ValueError(f"lane {self.lane}: it begins with its models' modality, as in {self.modality}.default")
        if self.replicas and not engine.remote:
            raise ValueError(f"replicas: engine {self.engine} runs inside the worker and has no address")
        if engine.remote and self.base_url is None and self.serving is None:
            raise ValueError(f"engine {self.engine} needs a base_url, as in http://gpu-host:8000/v1")
        if self.metrics and len(self.metrics) != len(self.addresses):
            raise ValueError(f"metrics: {len(self.metrics)} for {len(self.addresses)} addresses; one each is needed")
        self._can_be_served()
        carrier, parameters = f"engine {self.engine}", [name for name, rule in self.parameters.items() if rule]
        _within("inputs", self.inputs, engine.possible_inputs, carrier)
        _within("abilities", self.abilities, engine.possible_abilities, carrier)
        _within("parameters", parameters, engine.possible_parameters, carrier)
        _within("endpoints", self.endpoints, ENDPOINTS[self.modality], f"modality {self.modality}")
        self._has_a_contract()
        if self.max_output_tokens > self.context_tokens:
            raise ValueError("max_output_tokens is larger than context_tokens")
        for name, rule in self._rules.items():
            if rule.min is not None and rule.max is not None and rule.min > rule.max:
                raise ValueError(f"parameters.{name}: min {rule.min:g} is larger than max {rule.max:g}")
        return self

    def _can_be_served(self) -> None:
        """What we serve ourselves is what Ray Serve LLM has routes for, and its parsers are what the row promises."""
        if self.serving is None:
            return
        if self.engine != "vllm":
            raise ValueError(f"serving: models of engine vllm are served by us, not those of {self.engine}")
        if self.modality not in ("text", "embedding"):
            raise ValueError(
                f"serving: Ray Serve LLM serves text and embeddings; run vLLM-Omni for {self.modality}, "
                "and name it by base_url"
            )
        if ":" in self.upstream_name:
            raise ValueError(
                f"upstream_model: what follows ':' in {self.upstream_name} would be an adapter's name to Ray"
            )
        for ability, parser in PARSED.items():
            if ability in self.abilities and getattr(self.serving, parser) is None:
                raise ValueError(f"abilities: '{ability}' needs serving.{parser}, by which vLLM finds it in the text")

    def _has_a_contract(self) -> None:
        """A text model has its tokens, any other the part of a row that its modality is named for."""
        for name in ("embedding", "image", "speech", "video", "invoke"):
            if getattr(self, name) is not None and name != self.modality:
                raise ValueError(f"{name}: only models of the modality {name} have it")
        if self.modality == "text":
            for name in ("context_tokens", "max_output_tokens"):
                if getattr(self, name) == 0:
                    raise ValueError(f"{name} should be greater than 0")
            return
        if getattr(self, self.modality) is None:
            raise ValueError(f"{self.modality}: a model of this modality needs it; see docs/catalogue.md")
        if self.fallbacks:
            raise ValueError("fallbacks: only text models have them")

    @property
    def addresses(self) -> tuple[AnyHttpUrl, ...]:
        """Where the model is served, each of which answers like the others."""
        return self.replicas if self.base_url is None else (self.base_url, *self.replicas)

    @property
    def slug(self) -> str:
        """The id as a step of a URL's path."""
        return re.sub(r"[^a-z0-9]+", "-", self.id.lower()).strip("-")

    @property
    def upstream_name(self) -> str:
        return self.upstream_model or self.id

    @property
    def fitting_tokens(self) -> int:
        """What fits: of a conversation with its answer, or of one input to embed; 0 where the model knows no tokens."""
        return self.context_tokens or (self.embedding.max_input_tokens if self.embedding is not None else 0)

    @property
    def batch_lane(self) -> str | None:
        """Where its jobs wait that come in batches; None for a model that has none."""
        return batch_lane(self.lane)

    @property
    def contract(self) -> Row | None:
        """The part of the row that its modality is named for; a text model's is the whole row."""
        part: Row | None = None if self.modality == "text" else getattr(self, self.modality)
        return part

    @property
    def dialect(self) -> str | None:
        """Whose own words the model's provider understands, beside what every dialect can say."""
        return ENGINES[self.engine].dialect

    def rules(self) -> Mapping[str, Rule]:
        """Every parameter the model accepts, with its bounds."""
        return self._rules

    @cached_property
    def _rules(self) -> Mapping[str, Rule]:
        rules = dict(ENGINES[self.engine].parameters)
        for name, difference in self.parameters.items():
            if isinstance(difference, Rule):
                given = {field: getattr(difference, field) for field in difference.model_fields_set}
                rules[name] = rules.get(name, PARAMETERS[name]).model_copy(update=given)
            else:
                rules.pop(name, None)
        return rules


def _abilities(engine: Engine, serving: Any) -> frozenset[Ability]:
    """The engine's usual ones; of a model that we serve, those that its parsers and Ray's ingress give it."""
    if not isinstance(serving, dict):
        return engine.abilities
    parsed = {ability for ability, parser in PARSED.items() if serving.get(parser)}
    called = set() if "tools" in parsed else {"parallel_tools"}
    return frozenset((engine.abilities - PARSED.keys() - called - {"count_tokens"}) | parsed)


def _within(field: str, given: Iterable[str], possible: Collection[str], carrier: str) -> None:
    """Raises ValueError: a row cannot promise what would then be dropped."""
    for name in sorted(given):
        if name not in possible:
            known = ", ".join(sorted(possible)) or "nothing"
            raise ValueError(f"{field}: the {carrier} cannot carry '{name}', but {known}")


class Catalog:
    """Rows by id and alias; ids are unique across both."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._rows = {model.id: model for model in models}
        self._names = {name: row for row in self._rows.values() for name in (row.id, *row.aliases)}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._rows.values())

    def find(self, name: str, param: str = "model") -> Model:
        """The row with this id or alias, which stands in `param`. Raises ModelNotFound."""
        try:
            return self._names[name]
        except KeyError:
            raise ModelNotFound(
                f"The model '{name}' does not exist. GET /v1/models lists those that do.", param=param
            ) from None

    def id_of(self, name: str) -> str:
        """The id of the row with this id or alias; a name of no row stays as it is."""
        row = self._names.get(name)
        return name if row is None else row.id

    def serving(self, name: str, endpoint: Endpoint) -> Model:
        """The row that answers at an endpoint whoever names this one there. Raises ModelNotFound."""
        row = self.find(name)
        return row if endpoint in row.endpoints else self.find(row.elsewhere.get(endpoint, row.id))

    def fallbacks(self, model: Model) -> list[Model]:
        """The rows that may answer in place of `model`, in order. Raises ModelNotFound."""
        return [self.find(name) for name in model.fallbacks]

    def lanes(self) -> set[str]:
        return {row.lane for row in self}
