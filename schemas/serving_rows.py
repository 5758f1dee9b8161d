"""What a catalogue says of models that we serve ourselves: pools of accelerators, and what runs on them."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, model_validator

from schemas.parameters import Row
from schemas.vllm_names import ACCELERATORS, CPU, QUANTIZATIONS, REASONING_PARSERS, TOOL_PARSERS


def _one_of(known: Iterable[str], what: str) -> AfterValidator:
    names = sorted(known)

    def check(name: str) -> str:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}"
            raise ValueError(f"{what} '{name}' is not known; {hint}")
        return name

    return AfterValidator(check)


PoolName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Accelerator = Annotated[str, _one_of({CPU, *ACCELERATORS}, "accelerator")]
ToolParser = Annotated[str, _one_of(TOOL_PARSERS, "tool_parser")]
ReasoningParser = Annotated[str, _one_of(REASONING_PARSERS, "reasoning_parser")]
Quantization = Annotated[str, _one_of(QUANTIZATIONS, "quantization")]
Weights = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^\S+$")]

BUCKETS: Final = ("s3://", "gs://", "abfss://", "azure://")
"""What Ray Serve LLM downloads from."""

SAID_BY: Final = {
    "model": "weights",
    "served_model_name": "upstream_model",
    "revision": "revision",
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "quantization": "quantization",
    "dtype": "dtype",
    "max_model_len": "the row's context_tokens",
    "max_num_seqs": "max_running",
    "tool_call_parser": "tool_parser",
    "enable_auto_tool_choice": "tool_parser",
    "reasoning_parser": "reasoning_parser",
    "enable_lora": "lora",
    "max_loras": "lora.max_at_once",
    "max_lora_rank": "lora.max_rank",
}
"""vLLM's arguments that a row says in words of its own."""


class Cluster(Row):
    """One Ray cluster. `metrics` are the metrics ports of its nodes, where Ray exports what vLLM counts."""

    url: AnyHttpUrl = Field(description="Ray Serve's proxy, as workers reach it")
    dashboard: AnyHttpUrl | None = Field(default=None, description="Ray's dashboard, by which is deployed")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Where the proxies listen, if the URL leads there over another one"
    )
    metrics: tuple[AnyHttpUrl, ...] = ()


class Toleration(Row):
    """As in a pod."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Pod(Row):
    """What a node of the pool is on Kubernetes."""

    cpu: str = Field(default="8", description="Cores of a pod beside its accelerators, as Kubernetes writes them")
    memory: str = Field(default="64Gi", pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)$")
    shared_memory: str = Field(default="16Gi", pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)$", description="/dev/shm, for NCCL")
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    volume_claim: str | None = Field(default=None, description="PersistentVolumeClaim with weights, and for the Hub's")
    volume_path: str = Field(default="/models", pattern=r"^/\S+$", description="Where it is mounted")


class Pool(Row):
    """Accelerators of one kind that models share. Several clusters are alike: each runs all the pool's models."""

    name: PoolName
    accelerator: Accelerator = Field(description="Ray's name of it, or cpu")
    accelerators_per_node: int = Field(ge=1, le=256)
    nodes: int = Field(default=1, ge=1, le=10_000, description="Of each cluster")
    clusters: tuple[Cluster, ...] = Field(min_length=1)
    direct_streaming: bool = Field(
        default=False, description="vLLM answers Ray's HAProxy itself, without Ray's ingress between"
    )
    token_env: str = Field(default="RAY_AUTH_TOKEN", description="Variable that holds the clusters' token")
    pod: Pod = Pod()

    @property
    def on_cpu(self) -> bool:
        return self.accelerator == CPU

    @property
    def accelerators(self) -> int:
        """Of each cluster."""
        return self.nodes * self.accelerators_per_node

    @property
    def urls(self) -> tuple[AnyHttpUrl, ...]:
        return tuple(cluster.url for cluster in self.clusters)

    @property
    def metrics(self) -> tuple[tuple[AnyHttpUrl, ...], ...]:
        """In the order of the clusters."""
        return tuple(cluster.metrics for cluster in self.clusters)


class Replicas(Row):
    """How many there are on each cluster, and what makes them more or fewer."""

    min: int = Field(default=1, ge=0)
    max: int | None = Field(default=None, ge=1, description="Default: as many as min, and never more or fewer")
    target_ongoing: int = Field(default=64, ge=1, description="Requests that one replica is meant to have")
    upscale_delay_s: float = Field(default=30, ge=0)
    downscale_delay_s: float = Field(default=600, ge=0)
    surge: bool = Field(default=False, description="An update starts a new replica before it stops an old one")

    @model_validator(mode="after")
    def _bounds(self) -> "Replicas":
        if self.most < max(1, self.min):
            raise ValueError(f"replicas: max {self.most} is less than {'one' if self.min == 0 else f'min {self.min}'}")
        return self

    @property
    def most(self) -> int:
        return self.min if self.max is None else self.max


class Lora(Row):
    """Adapters, each a folder below `path`, loaded when first asked for as `<upstream_model>:<folder>`."""

    path: str = Field(pattern=r"^(s3|gs|abfss|azure)://\S+$", description="s3://bucket/folder, gs:// and so on")
    max_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 16
    max_at_once: int = Field(default=4, ge=1, description="Adapters that one batch may use")
    max_per_replica: int = Field(default=16, ge=1, description="Adapters that a replica keeps loaded")

    @model_validator(mode="after")
    def _kept(self) -> "Lora":
        if self.max_per_replica < self.max_at_once:
            raise ValueError(
                f"lora: max_per_replica {self.max_per_replica} is less than max_at_once {self.max_at_once}"
            )
        return self


class ServingRow(Row):
    """How Ray Serve and vLLM run a model on a pool."""

    pool: PoolName
    weights: Weights = Field(description="Hugging Face id, s3:// or gs:// folder, or a folder that each node has")
    revision: str | None = Field(
        default=None, min_length=1, description="Of a Hugging Face id: a commit, tag or branch"
    )
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    quantization: Quantization | None = None
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] = "auto"
    tool_parser: ToolParser | None = None
    reasoning_parser: ReasoningParser | None = None
    lora: Lora | None = None
    replicas: Replicas = Replicas()
    max_running: int | None = Field(
        default=None, ge=1, description="Sequences that vLLM runs at once; default: its own"
    )
    max_ongoing: int = Field(default=256, ge=1, description="Requests that a replica takes")
    max_queued: int = Field(
        default=128, ge=1, description="Requests that wait in one process of Ray's before it answers 503"
    )
    env: dict[str, str] = Field(default_factory=dict, description="Environment of the replicas; no place for secrets")
    engine_kwargs: dict[str, Any] = Field(default_factory=dict, description="More of vLLM's engine arguments")

    @model_validator(mode="after")
    def _consistent(self) -> "ServingRow":
        if self.weights.startswith((".", "~")):
            raise ValueError(f"weights: a folder is named from / on, not as {self.weights}")
        if self.revision is not None and not self.from_hub:
            raise ValueError(f"revision: only a Hugging Face id has one, not {self.weights}")
        if self.replicas.target_ongoing > self.max_ongoing:
            raise ValueError(
                f"replicas.target_ongoing {self.replicas.target_ongoing} is larger than max_ongoing {self.max_ongoing}"
            )
        for name in sorted(self.engine_kwargs.keys() & SAID_BY.keys()):
            raise ValueError(f"engine_kwargs.{name}: is said by {SAID_BY[name]}")
        return self

    @property
    def accelerators(self) -> int:
        """Of one replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def folder(self) -> str | None:
        """The weights where they are a folder of the nodes."""
        return self.weights if self.weights.startswith("/") else None

    @property
    def from_hub(self) -> bool:
        return self.folder is None and not self.weights.startswith(BUCKETS)
