"""The body of `GET /v1/usage`."""

from typing import Literal

from pydantic import BaseModel


class UsageRow(BaseModel):
    """One model's use on one UTC day; money in integer micro-dollars."""

    day: str
    model: str
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_microusd: int


class UsageList(BaseModel):
    object: Literal["list"] = "list"
    data: list[UsageRow]
