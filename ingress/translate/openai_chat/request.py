"""A chat completion's body, read and made canonical."""

from typing import Final

from pydantic import ValidationError

from ingress.tokens import output_bound
from ingress.translate.validation import body_error
from schemas.catalog import Model
from schemas.chat import Chat, Message, Role, Sampling, Text
from schemas.wire import openai_chat as wire

ROLES: Final[dict[wire.WireRole, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}
"""What a tool said is, to a model without tools, what it was told."""


def parse(body: bytes) -> wire.ChatCompletionRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    try:
        return wire.ChatCompletionRequest.model_validate_json(body)
    except ValidationError as fault:
        # Not chained: a ValidationError repeats its input, and whoever logs an error must not log a prompt.
        raise body_error(fault, wire.ChatCompletionRequest.model_fields) from None


def to_chat(request: wire.ChatCompletionRequest, model: Model) -> Chat:
    """The canonical form of a request that `model`'s contract accepts.

    Total: what the contract would have refused, such as an image, is left out. `metadata` is kept nowhere.
    """
    messages = tuple(_message(message) for message in request.messages)
    asked = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    sampling = Sampling(
        max_output_tokens=output_bound(messages, model) if asked is None else asked,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        repetition_penalty=request.repetition_penalty,
        logit_bias=request.logit_bias or None,
        logprobs=bool(request.logprobs),
        top_logprobs=request.top_logprobs if request.logprobs else None,
        seed=request.seed,
        stop=tuple(request.stop or ()),
        choices=request.n or 1,
    )
    user = request.safety_identifier if request.user is None else request.user
    return Chat(messages=messages, sampling=sampling, user=user)


def _message(message: wire.Message) -> Message:
    parts = [Text(text) for _, part in message.parts() if (text := _text(part)) is not None]
    if message.refusal is not None:
        parts.append(Text(message.refusal))
    return Message(role=ROLES[message.role], parts=tuple(parts), name=message.name)


def _text(part: wire.Part) -> str | None:
    match part:
        case wire.TextPart(text=text):
            return text
        case wire.RefusalPart(refusal=refusal):
            return refusal
        case _:
            return None
