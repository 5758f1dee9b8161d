"""The bodies of `POST /v1/messages` and `POST /v1/messages/count_tokens`.

Fields that are not known here pass, because clients send new ones before anybody else knows them: they stand in each
object's `model_extra`. What is known has to be what it should be. Null means absent everywhere.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

JsonObject = dict[str, Any]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""What a number may be on its way through MessagePack and every engine."""

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class CacheControl(_Wire):
    type: str
    ttl: str | None = None


class Base64Source(_Wire):
    type: Literal["base64"]
    media_type: str
    data: str


class TextSource(_Wire):
    type: Literal["text"]
    media_type: str | None = None
    data: str


class UrlSource(_Wire):
    type: Literal["url"]
    url: str


def _tag_of(*known: str) -> Discriminator:
    """By an object's `type`, in brackets so that it can be told from field names; a `type` not known is `(other)`."""

    def tag(value: Any) -> str | None:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        if not isinstance(kind, str):
            return None
        return f"({kind})" if kind in known else "(other)"

    return Discriminator(
        tag, custom_error_type="object_with_type", custom_error_message="should be an object with a 'type'"
    )


Other = Annotated[JsonObject, Tag("(other)")]
"""An object that the provider may know and nobody here does."""

ImageSource = Annotated[
    Annotated[Base64Source, Tag("(base64)")] | Annotated[UrlSource, Tag("(url)")] | Other, _tag_of("base64", "url")
]
DocumentSource = Annotated[
    Annotated[Base64Source, Tag("(base64)")]
    | Annotated[TextSource, Tag("(text)")]
    | Annotated[UrlSource, Tag("(url)")]
    | Other,
    _tag_of("base64", "text", "url"),
]


class _Block(_Wire):
    cache_control: CacheControl | None = None


class TextBlock(_Block):
    type: Literal["text"]
    text: str


class ImageBlock(_Block):
    type: Literal["image"]
    source: ImageSource


class Citations(_Wire):
    enabled: bool | None = None


class DocumentBlock(_Block):
    type: Literal["document"]
    source: DocumentSource
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class ThinkingBlock(_Wire):
    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(_Wire):
    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(_Block):
    """`input` is an object, or text that was meant to be one when the model left it half-formed."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: Any = None


class _ByShape(Discriminator):
    """A string, or blocks."""

    def __init__(self) -> None:
        super().__init__(
            lambda value: "(string)" if isinstance(value, str) else "(blocks)" if isinstance(value, list) else None,
            custom_error_type="string_or_blocks",
            custom_error_message="should be a string or an array of blocks",
        )


ResultBlock = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[ImageBlock, Tag("(image)")]
    | Annotated[DocumentBlock, Tag("(document)")]
    | Other,
    _tag_of("text", "image", "document"),
]
ResultContent = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[list[ResultBlock], Field(fail_fast=True), Tag("(blocks)")], _ByShape()
]


class ToolResultBlock(_Block):
    type: Literal["tool_result"]
    tool_use_id: str
    content: ResultContent | None = None
    is_error: bool | None = None


Block = Annotated[
    Annotated[TextBlock, Tag("(text)")]
    | Annotated[ImageBlock, Tag("(image)")]
    | Annotated[DocumentBlock, Tag("(document)")]
    | Annotated[ThinkingBlock, Tag("(thinking)")]
    | Annotated[RedactedThinkingBlock, Tag("(redacted_thinking)")]
    | Annotated[ToolUseBlock, Tag("(tool_use)")]
    | Annotated[ToolResultBlock, Tag("(tool_result)")]
    | Other,
    _tag_of("text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"),
]
Content = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[list[Block], Field(fail_fast=True), Tag("(blocks)")], _ByShape()
]


class Message(_Wire):
    """One turn; a `system` one may stand between the others."""

    role: Literal["user", "assistant", "system"]
    content: Content


CUSTOM: Final = "custom"


class Tool(_Wire):
    """A function, or, with a `type` of its own, a tool that the provider runs."""

    type: str | None = None
    name: Annotated[str, Field(min_length=1)] | None = None
    description: str | None = None
    input_schema: JsonObject | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None

    @property
    def is_function(self) -> bool:
        return self.type is None or self.type == CUSTOM

    @model_validator(mode="after")
    def _whole(self) -> "Tool":
        if self.is_function and (self.name is None or self.input_schema is None):
            raise PydanticCustomError("tool", "should have a 'name' and an 'input_schema'")
        return self


class ToolChoice(_Wire):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _named(self) -> "ToolChoice":
        if self.type == "tool" and not self.name:
            raise PydanticCustomError("tool_choice", "of type 'tool' should have the tool's 'name'")
        return self


class Thinking(_Wire):
    type: str
    budget_tokens: Int64 | None = None
    display: str | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "Thinking":
        if self.type == "enabled" and self.budget_tokens is None:
            raise PydanticCustomError("thinking", "of type 'enabled' should have 'budget_tokens'")
        return self


class OutputFormat(_Wire):
    type: str
    schema_: JsonObject | None = Field(default=None, alias="schema")


class OutputConfig(_Wire):
    effort: str | None = None
    format: OutputFormat | None = None


class Metadata(_Wire):
    user_id: Annotated[str, Field(max_length=512)] | None = None


class CountTokensRequest(_Wire):
    """A prompt."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    system: Content | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    cache_control: CacheControl | None = None


class MessagesRequest(CountTokensRequest):
    """A conversation to continue, and how.

    `output_format` is what `output_config.format` was called in beta; `reasoning_effort` is DigitalOcean's.
    """

    max_tokens: Int64
    stream: bool | None = None
    stop_sequences: list[Annotated[str, Field(min_length=1)]] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Int64 | None = None
    metadata: Metadata | None = None
    reasoning_effort: Effort | None = None
