"""What the parameters of a model may be, before a row says how its model differs."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """What an operator writes: a field that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Rule(Row):
    """What a parameter may be; a bound that is not given does not bind. Without `blank`, white space alone is none."""

    min: float | None = None
    max: float | None = None
    max_items: int | None = None
    values: tuple[str, ...] | None = None
    blank: bool = True


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

EXTRA_PARAMETERS: Final[Mapping[str, Rule]] = {
    "top_k": Rule(min=-1),
    "min_p": Rule(min=0, max=1),
    "repetition_penalty": Rule(min=0),
}
"""What a row may add: vLLM's extensions, in vLLM's ranges. Nothing else has a place in a canonical chat."""

PARAMETERS: Final[Mapping[str, Rule]] = {**CHAT_PARAMETERS, **EXTRA_PARAMETERS}

ANTHROPIC_PARAMETERS: Final[Mapping[str, Rule]] = {
    "temperature": Rule(min=0, max=2),
    "top_p": Rule(min=0, max=1),
    "top_k": Rule(min=0),
    "stop": Rule(blank=False),
    "max_tokens": Rule(min=1),
    "max_completion_tokens": Rule(min=1),
}
"""What Anthropic's Messages can carry; a temperature above 1 is sent as 1."""

RESPONSES_PARAMETERS: Final[Mapping[str, Rule]] = {
    name: CHAT_PARAMETERS[name]
    for name in ("temperature", "top_p", "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs")
}
"""What OpenAI's Responses can carry."""
