"""The body of `POST /v1/async-invoke`, DigitalOcean's."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

LONGEST_URL = 2048


class InvokeTag(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(max_length=256)]


class AsyncInvokeRequest(BaseModel):
    """Arguments for an application, in its own words; `webhook_url` is called when the job has ended."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())

    model_id: Annotated[str, Field(min_length=1, max_length=256)]
    input: dict[str, Any]
    tags: Annotated[list[InvokeTag], Field(max_length=50)] | None = None
    webhook_url: Annotated[str, Field(max_length=LONGEST_URL)] | None = None
