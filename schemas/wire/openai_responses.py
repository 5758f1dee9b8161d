"""The body of `POST /v1/responses`: every field that OpenAI, Open Responses and DigitalOcean define for it.

The request itself is strict. What stands in `input` may be an earlier response's output, sent back as some client's
library had it, so fields of items that are not known are not read. Null means absent everywhere.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from schemas.wire.openai_chat import Label, Metadata, StringOrObject
from schemas.wire.openai_parts import JsonObject, Wire
from schemas.wire.openai_sampling import Int64, Sampled
from schemas.wire.openai_tools import JsonObjectFormat, TextFormat

INCLUDABLE: Final = (
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
)
"""What OpenAI's clients may ask to see; of these, a response here has the first three, and always."""


class _Tolerant(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class InputText(_Tolerant):
    type: Literal["input_text"]
    text: str


class OutputText(_Tolerant):
    """An earlier answer; its `annotations` and `logprobs` are not read."""

    type: Literal["output_text"]
    text: str


class RefusalPart(_Tolerant):
    type: Literal["refusal"]
    refusal: str


class InputImage(_Tolerant):
    """`image_url` is a URL or a data URI."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class InputFile(_Tolerant):
    """One of the three sources; `file_data` is a data URI or plain base64."""

    type: Literal["input_file"]
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ReasoningText(_Tolerant):
    type: Literal["reasoning_text"]
    text: str


class SummaryText(_Tolerant):
    type: Literal["summary_text"]
    text: str


def _tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})" if isinstance(kind, str) else None


Part = Annotated[
    Annotated[InputText, Tag("(input_text)")]
    | Annotated[OutputText, Tag("(output_text)")]
    | Annotated[RefusalPart, Tag("(refusal)")]
    | Annotated[InputImage, Tag("(input_image)")]
    | Annotated[InputFile, Tag("(input_file)")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message="should be 'input_text', 'input_image', 'input_file', 'output_text' or 'refusal'",
    ),
]

ResultPart = Annotated[
    Annotated[InputText, Tag("(input_text)")]
    | Annotated[InputImage, Tag("(input_image)")]
    | Annotated[InputFile, Tag("(input_file)")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message="should be 'input_text', 'input_image' or 'input_file'",
    ),
]


def _string_or_parts(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    return "(parts)" if isinstance(value, list | tuple) else None


Content = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[list[Part], Field(fail_fast=True), Tag("(parts)")],
    Discriminator(
        _string_or_parts,
        custom_error_type="content_shape",
        custom_error_message="should be a string or an array of parts",
    ),
]

Output = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[list[ResultPart], Field(fail_fast=True), Tag("(parts)")],
    Discriminator(
        _string_or_parts,
        custom_error_type="content_shape",
        custom_error_message="should be a string or an array of parts",
    ),
]

ItemId = Annotated[str, Field(min_length=1, max_length=256)]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]


class Message(_Tolerant):
    type: Literal["message"] | None = None
    id: ItemId | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class FunctionCall(_Tolerant):
    """`arguments` is the JSON text as the model wrote it."""

    type: Literal["function_call"]
    id: ItemId | None = None
    call_id: ItemId
    name: FunctionName
    arguments: str


class FunctionCallOutput(_Tolerant):
    type: Literal["function_call_output"]
    id: ItemId | None = None
    call_id: ItemId
    output: Output


class Reasoning(_Tolerant):
    """An earlier response's thinking; `encrypted_content` is what its provider knows it again by."""

    type: Literal["reasoning"]
    id: ItemId | None = None
    summary: list[SummaryText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


class ItemReference(_Tolerant):
    """An item of a stored response, by its id alone."""

    type: Literal["item_reference"] | None = None
    id: ItemId


def _item_tag(value: Any) -> str | None:
    if isinstance(value, dict) and value.get("type") is None:
        return "(message)" if "role" in value or "id" not in value else "(item_reference)"
    tag = _tag(value)
    if tag is None and isinstance(value, Message):
        return "(message)"
    return "(item_reference)" if tag is None and isinstance(value, ItemReference) else tag


Item = Annotated[
    Annotated[Message, Tag("(message)")]
    | Annotated[FunctionCall, Tag("(function_call)")]
    | Annotated[FunctionCallOutput, Tag("(function_call_output)")]
    | Annotated[Reasoning, Tag("(reasoning)")]
    | Annotated[ItemReference, Tag("(item_reference)")],
    Discriminator(
        _item_tag,
        custom_error_type="part_type",
        custom_error_message="should be 'message', 'function_call', 'function_call_output', 'reasoning' "
        "or 'item_reference'",
    ),
]


def _input_shape(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    return "(items)" if isinstance(value, list | tuple) else None


Input = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[list[Item], Field(fail_fast=True), Tag("(items)")],
    Discriminator(
        _input_shape, custom_error_type="input_shape", custom_error_message="should be a string or an array of items"
    ),
]


class FunctionTool(Wire):
    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    output_schema: JsonObject | None = None


ToolParam = Annotated[
    Annotated[FunctionTool, Tag("(function)")],
    Discriminator(_tag, custom_error_type="part_type", custom_error_message="should be 'function'"),
]


class NamedFunction(Wire):
    type: Literal["function"]
    name: FunctionName


class AllowedTools(Wire):
    """The tools of the request that may be called this time."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[NamedFunction], Field(min_length=1)]


def _choice_tag(value: Any) -> str | None:
    return "(mode)" if isinstance(value, str) else _tag(value)


Choice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("(mode)")]
    | Annotated[NamedFunction, Tag("(function)")]
    | Annotated[AllowedTools, Tag("(allowed_tools)")],
    Discriminator(
        _choice_tag,
        custom_error_type="choice_shape",
        custom_error_message="should be 'none', 'auto', 'required', or an object of type 'function' or 'allowed_tools'",
    ),
]


class JsonSchemaFormat(Wire):
    """What chat completions have one level deeper, in `json_schema`."""

    type: Literal["json_schema"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    # The name `schema` is one of BaseModel's own.
    schema_: JsonObject = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


Format = Annotated[
    Annotated[TextFormat, Tag("(text)")]
    | Annotated[JsonObjectFormat, Tag("(json_object)")]
    | Annotated[JsonSchemaFormat, Tag("(json_schema)")],
    Discriminator(
        _tag,
        custom_error_type="part_type",
        custom_error_message="should be 'text', 'json_object' or 'json_schema'",
    ),
]


class TextOptions(Wire):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Wire):
    """`max_tokens` is DigitalOcean's; `generate_summary` is what `summary` used to be called."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    max_tokens: Annotated[Int64, Field(ge=1)] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class StreamOptions(Wire):
    include_obfuscation: bool | None = None
    include_usage: bool | None = None


ResponseId = Annotated[str, Field(min_length=1, max_length=128)]


class ResponsesRequest(Sampled):
    """What to answer, after what, and how."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: ResponseId | None = None

    # What a text model can be asked for besides, within the same ranges.
    max_output_tokens: Annotated[Int64, Field(ge=16)] | None = None
    top_logprobs: Int64 | None = None
    tools: Annotated[list[ToolParam], Field(max_length=1024, fail_fast=True)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None

    # How the response travels and is kept, and words about the request that do not change it.
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    background: bool | None = None
    include: list[Annotated[str, WithJsonSchema({"type": "string", "enum": list(INCLUDABLE)})]] | None = None
    metadata: Metadata | None = None
    user: Label | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    max_tool_calls: Annotated[Int64, Field(ge=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: str | None = None

    # What OpenAI has and nothing here can do; known, so that it can be refused by name.
    access_programs: JsonObject | None = None
    background_options: JsonObject | None = None
    context_management: list[JsonObject] | None = None
    conversation: StringOrObject | None = None
    image: JsonObject | None = None
    moderation: JsonObject | None = None
    prompt: JsonObject | None = None
    prompt_cache_options: JsonObject | None = None

    def items(self) -> Iterator[tuple[str, Item]]:
        """Each item of the input with its place in the body, as in `input[0]`."""
        match self.input:
            case None:
                return
            case str(text):
                yield "input", Message(role="user", content=text)
            case items:
                yield from ((f"input[{place}]", item) for place, item in enumerate(items))
