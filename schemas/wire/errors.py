"""What a request that failed is answered with, in either dialect."""

from typing import Literal

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """`code` is stable; `param` is what of the request was wrong, as `messages[0].content`."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(BaseModel):
    """OpenAI's clients read `error`, DigitalOcean's the rest."""

    error: ErrorDetail
    id: str
    message: str
    request_id: str
    status_code: int


class AnthropicErrorDetail(BaseModel):
    type: str
    message: str


class AnthropicErrorBody(BaseModel):
    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str
