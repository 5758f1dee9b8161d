"""vLLM, by the dialect that tells the most of it: chat completions, with what vLLM adds to them."""

from typing import ClassVar, Literal

from workers.engines import openai_compatible
from workers.engines.openai_compatible import OpenAICompatible


class Options(openai_compatible.Options, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of a vllm row: those of an openai_compatible one, as vLLM wants them (0.32, 2026-11)."""

    earlier_reasoning: Literal["reasoning_content", "reasoning"] | None = "reasoning"
    token_ids: bool = True
    reasoning: Literal["effort", "object", "vllm", "none"] = "vllm"


class VLLM(OpenAICompatible):
    """One row's server."""

    options: ClassVar[type[openai_compatible.Options]] = Options
