"""The body of `POST /v1/chat/completions`: every field that OpenAI, DigitalOcean and vLLM define for it.

The wire knows more than any one model does, so that the model's contract can refuse a field by name. Null means
absent everywhere, because SDK users send back what `message.model_dump()` gave them.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from schemas.chat import Effort
from schemas.wire.openai_parts import CacheControl, Content, JsonObject, Part, TextPart, ToolCall, Wire
from schemas.wire.openai_sampling import Int64, Sampled
from schemas.wire.openai_tools import FunctionTool, ResponseFormat, ToolChoice


def _string_or_object(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    return "(object)" if isinstance(value, dict) else None


StringOrObject = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[JsonObject, Tag("(object)")],
    Discriminator(
        _string_or_object,
        custom_error_type="string_or_object",
        custom_error_message="should be a string or an object",
    ),
]

TokenId = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]
Label = Annotated[str, Field(max_length=512)]

WireRole = Literal["system", "developer", "user", "assistant", "tool", "function"]


class Message(Wire):
    """One turn.

    `annotations` are what an earlier reply carried; sent back, they are not read. `reasoning` is what some call
    `reasoning_content`.
    """

    role: WireRole
    content: Content | None = None
    name: Label | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    tool_call_id: str | None = None
    function_call: JsonObject | None = None
    audio: JsonObject | None = None
    annotations: list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    cache_control: CacheControl | None = None

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Each part of the content with its place inside the message, as in `content[0]`."""
        match self.content:
            case None:
                return
            case str(text):
                yield "content", TextPart.model_construct(type="text", text=text)
            case list(parts):
                yield from ((f"content[{place}]", part) for place, part in enumerate(parts))
            case part:
                yield "content", part


class ReasoningOptions(Wire):
    """How long to think, as DigitalOcean and OpenRouter write it."""

    effort: Effort | None = None
    max_tokens: Annotated[int, Field(ge=1, le=2**31)] | None = None


class StreamOptions(Wire):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class ChatCompletionRequest(Sampled):
    """A conversation to continue, and how."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]

    # What a text model can be asked for besides, within the same ranges.
    n: Int64 | None = None
    max_tokens: Int64 | None = None
    max_completion_tokens: Int64 | None = None
    logit_bias: dict[TokenId, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Int64 | None = None

    # How the reply travels, and words about the request that do not change it.
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Label | None = None
    safety_identifier: Label | None = None
    metadata: Metadata | None = None

    # Abilities that a model's contract has to grant.
    audio: JsonObject | None = None
    cache_control: CacheControl | None = None
    cache_salt: str | None = None
    chat_template_kwargs: JsonObject | None = None
    function_call: StringOrObject | None = None
    functions: list[JsonObject] | None = None
    include_reasoning: bool | None = None
    modalities: list[str] | None = None
    moderation: JsonObject | None = None
    parallel_tool_calls: bool | None = None
    prediction: JsonObject | None = None
    priority: Int64 | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_options: JsonObject | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    reasoning: ReasoningOptions | None = None
    reasoning_effort: Effort | None = None
    response_format: ResponseFormat | None = None
    service_tier: str | None = None
    store: bool | None = None
    structured_outputs: JsonObject | None = None
    thinking_token_budget: Int64 | None = None
    tool_choice: ToolChoice | None = None
    tools: Annotated[list[FunctionTool], Field(fail_fast=True)] | None = None
    verbosity: str | None = None
    vllm_xargs: JsonObject | None = None
    web_search_options: JsonObject | None = None
