"""What a chat completion may be held to: the tools it may call, and the form of its text."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from schemas.wire.openai_parts import CacheControl, JsonObject, Wire

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/-]{1,128}$")]
"""Wider than OpenAI's own, which takes 64 characters and no dot; an upstream that is narrower says so itself."""


class Function(Wire):
    """`parameters` is JSON Schema."""

    name: Name
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class FunctionTool(Wire):
    type: Literal["function"]
    function: Function
    cache_control: CacheControl | None = None


class FunctionName(Wire):
    name: Name


class NamedTool(Wire):
    type: Literal["function"]
    function: FunctionName


def _word_or_object(value: Any) -> str | None:
    if isinstance(value, str):
        return "(word)"
    return "(object)" if isinstance(value, dict | NamedTool) else None


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(word)")] | Annotated[NamedTool, Tag("(object)")],
    Discriminator(
        _word_or_object,
        custom_error_type="tool_choice",
        custom_error_message="should be 'none', 'auto', 'required' or an object that names a function",
    ),
]


class JsonSchema(Wire):
    name: Name
    description: str | None = None
    # The name `schema` is one of BaseModel's own.
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: bool | None = None


class TextFormat(Wire):
    type: Literal["text"]


class JsonObjectFormat(Wire):
    type: Literal["json_object"]


class JsonSchemaFormat(Wire):
    type: Literal["json_schema"]
    json_schema: JsonSchema


def _format_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})" if isinstance(kind, str) else None


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaFormat, Tag("(json_schema)")],
    Discriminator(
        _format_type,
        custom_error_type="part_type",
        custom_error_message="should be 'text', 'json_object' or 'json_schema'",
    ),
]
