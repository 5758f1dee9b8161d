"""What a chat completion is held to, made canonical: its tools, whether to call them, the form of its text."""

from typing import assert_never

from ingress.translate.openai_chat.messages import mark
from schemas.chat import ResponseFormat, Tool, ToolChoice
from schemas.wire import openai_tools as wire


def tool_of(tool: wire.FunctionTool) -> Tool:
    """DigitalOcean's clients mark the tool, others its function."""
    function = tool.function
    return Tool(
        name=function.name,
        description=function.description,
        schema=function.parameters,
        strict=function.strict,
        cache=mark(tool.cache_control or function.cache_control),
    )


def choice_of(choice: wire.ToolChoice | None, parallel: bool | None) -> ToolChoice | None:
    match choice:
        case None:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case wire.NamedTool(function=function):
            return ToolChoice("named", function.name, parallel)
        case "none" | "auto" | "required":
            return ToolChoice(choice, parallel=parallel)
        case _:
            assert_never(choice)


def format_of(asked: wire.ResponseFormat | None) -> ResponseFormat | None:
    match asked:
        case None | wire.TextFormat():
            return None
        case wire.JsonObjectFormat():
            return ResponseFormat("json_object")
        case wire.JsonSchemaFormat(json_schema=form):
            return ResponseFormat("json_schema", form.name, form.schema_, form.strict, form.description)
        case _:
            assert_never(asked)
