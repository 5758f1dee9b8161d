"""The bodies of `POST /v1/batches`, OpenAI's and DigitalOcean's, and of `POST /v1/batches/files`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.wire.openai_chat import Metadata

Id = Annotated[str, Field(min_length=1, max_length=255)]


class OutputExpiresAfter(BaseModel):
    """When the files that a batch gives are deleted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3_600, le=2_592_000)]


class OpenAIBatchRequest(BaseModel):
    """A batch as OpenAI's clients ask for it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    input_file_id: Id
    endpoint: Annotated[str, Field(max_length=100)]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: OutputExpiresAfter | None = None


class DigitalOceanBatchRequest(BaseModel):
    """A batch as DigitalOcean's clients ask for it; sent again with its `request_id`, it is the same batch."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file_id: Id
    provider: Literal["openai", "anthropic"]
    endpoint: Annotated[str, Field(max_length=100)] | None = None
    completion_window: Literal["24h"]
    request_id: Id
    metadata: Metadata | None = None


class BatchFileRequest(BaseModel):
    """A file that is going to be put."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file_name: Annotated[str, Field(min_length=1, max_length=255)]
