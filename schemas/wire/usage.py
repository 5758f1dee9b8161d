"""The body of `GET /v1/usage`."""

from typing import Literal

from pydantic import BaseModel


class UsageRow(BaseModel):
    """One model's use on one UTC day; money in integer micro-dollars.

    `units` are of what the model is sold by beside tokens.
    """

    day: str
    model: str
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_microusd: int
    units: int
    unit: str


class UsageList(BaseModel):
    object: Literal["list"] = "list"
    data: list[UsageRow]
