"""What a response object says besides its output: what was asked, what it took, why it failed."""

from typing import Any, Final

import msgspec

from schemas.errors import ErrorData
from schemas.usage import Usage
from schemas.wire.openai_responses import FunctionTool, JsonSchemaFormat, ResponsesRequest, TextOptions

JOB_PREFIX: Final = "job_"
RESPONSE_PREFIX: Final = "resp_"

CODES: Final = {400: "invalid_prompt", 404: "invalid_prompt", 413: "invalid_prompt", 429: "rate_limit_exceeded"}
"""OpenAI's code of a response that failed for an error with this status; for every other it is server_error."""


class Head(msgspec.Struct, frozen=True):
    """What is known of a response before it says anything; `fields` are those of its object that never change.

    `number` is what its own id and those of its items have in common with its job's.
    """

    number: str
    fields: dict[str, Any]

    @property
    def id(self) -> str:
        return RESPONSE_PREFIX + self.number

    def answered_by(self, model: str) -> "Head":
        """The same with the model that answers in place of the one that was asked."""
        return Head(self.number, {**self.fields, "model": model})


def response_id(job_id: str) -> str:
    return RESPONSE_PREFIX + job_id.removeprefix(JOB_PREFIX)


def response_number(response_id: str) -> str:
    return response_id.removeprefix(RESPONSE_PREFIX)


def job_id(response_id: str) -> str:
    return JOB_PREFIX + response_number(response_id)


def head(request: ResponsesRequest, model_id: str, job_id: str, created: int, *, store: bool) -> Head:
    """Every field that Open Responses requires, with what was asked or what holds when nothing was.

    `created` is DigitalOcean's name for `created_at`.
    """
    number = job_id.removeprefix(JOB_PREFIX)
    reasoning = request.reasoning
    asked = {
        "id": RESPONSE_PREFIX + number,
        "object": "response",
        "created_at": created,
        "created": created,
        "model": model_id,
        "previous_response_id": request.previous_response_id,
        "instructions": request.instructions,
        "tools": [_tool(tool) for tool in request.tools or ()],
        "tool_choice": _plain(request.tool_choice) or "auto",
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "text": _text(request.text),
        "reasoning": {
            "effort": reasoning.effort if reasoning else None,
            "summary": (reasoning.summary or reasoning.generate_summary) if reasoning else None,
        },
        "temperature": _or(request.temperature, 1.0),
        "top_p": _or(request.top_p, 1.0),
        "presence_penalty": _or(request.presence_penalty, 0.0),
        "frequency_penalty": _or(request.frequency_penalty, 0.0),
        "top_logprobs": request.top_logprobs or 0,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "truncation": "disabled",
        "store": store,
        "background": bool(request.background),
        "service_tier": "default",
        "metadata": request.metadata or {},
        "user": request.user,
        "safety_identifier": request.safety_identifier,
        "prompt_cache_key": request.prompt_cache_key,
    }
    return Head(number, asked)


def usage_body(usage: Usage) -> dict[str, Any]:
    """The `usage` object; `input_tokens` includes what came from a cache."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_written_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def count_body(input_tokens: int) -> bytes:
    """The answer to how many tokens an input is."""
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": input_tokens})


def failure_body(error: ErrorData) -> dict[str, Any]:
    """A response's `error`: OpenAI's clients know few codes, so the platform's own stands in `type`."""
    code = CODES.get(error.status, "server_error")
    return {"code": code, "message": error.message, "param": error.param, "type": error.code}


def _tool(tool: FunctionTool) -> dict[str, Any]:
    shown = ("type", "name", "description", "parameters", "strict")
    return {name: getattr(tool, name) for name in shown} | tool.model_dump(exclude_none=True)


def _text(text: TextOptions | None) -> dict[str, Any]:
    form = None if text is None else text.format
    body: dict[str, Any] = {"format": {"type": "text" if form is None else form.type}}
    if isinstance(form, JsonSchemaFormat):
        schema = {"name": form.name, "description": form.description, "schema": form.schema_}
        body["format"] |= {**schema, "strict": bool(form.strict)}
    return body if text is None or text.verbosity is None else {**body, "verbosity": text.verbosity}


def _plain(choice: Any) -> Any:
    return choice if choice is None or isinstance(choice, str) else choice.model_dump()


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
