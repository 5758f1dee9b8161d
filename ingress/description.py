"""The OpenAPI document: the bodies and the errors that the framework does not know of."""

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from ingress.dialect import ANTHROPIC, dialect_of
from schemas.wire.anthropic import CountTokensRequest, MessagesRequest
from schemas.wire.async_invoke import AsyncInvokeRequest
from schemas.wire.batches import BatchFileRequest, DigitalOceanBatchRequest, OpenAIBatchRequest
from schemas.wire.errors import AnthropicErrorBody, ErrorBody
from schemas.wire.openai_chat import ChatCompletionRequest
from schemas.wire.openai_completions import CompletionRequest
from schemas.wire.openai_embeddings import EmbeddingRequest
from schemas.wire.openai_images import ImageRequest
from schemas.wire.openai_responses import ResponsesRequest
from schemas.wire.openai_speech import SpeechRequest
from schemas.wire.openai_videos import VideoRequest

BODIES: Final[tuple[type[BaseModel], ...]] = (
    AsyncInvokeRequest,
    BatchFileRequest,
    ChatCompletionRequest,
    CompletionRequest,
    CountTokensRequest,
    DigitalOceanBatchRequest,
    EmbeddingRequest,
    ImageRequest,
    MessagesRequest,
    OpenAIBatchRequest,
    ResponsesRequest,
    SpeechRequest,
    VideoRequest,
)
"""What routes read themselves, so that the framework does not know of it."""

ERRORS: Final[tuple[type[BaseModel], ...]] = (ErrorBody, AnthropicErrorBody)
FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""How the framework would answer what is wrong in a path or a query, were it asked; and the status of it."""

NOT_SENT: Final = "422"


def describe(app: FastAPI) -> None:
    """Has the app's document say what routes read themselves, and how all of them refuse."""
    document = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schemas = document().setdefault("components", {}).setdefault("schemas", {})
            for body in (*BODIES, *ERRORS):
                # Each dialect has a Message of its own.
                own = f"{body.__name__}."
                schema = body.model_json_schema(ref_template=f"#/components/schemas/{own}{{model}}")
                schemas.update({own + name: inner for name, inner in schema.pop("$defs", {}).items()})
                schemas[body.__name__] = schema
            for name in FRAMEWORKS_OWN:
                schemas.pop(name, None)
            for path, operations in document()["paths"].items():
                for operation in operations.values():
                    operation["responses"].pop(NOT_SENT, None)
                    operation["responses"]["default"] = _refusal(path)
        return document()

    app.openapi = described  # type: ignore[method-assign]


def _refusal(path: str) -> dict[str, Any]:
    body = AnthropicErrorBody if dialect_of(path) is ANTHROPIC else ErrorBody
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"description": "What is wrong", "content": {"application/json": {"schema": schema}}}
