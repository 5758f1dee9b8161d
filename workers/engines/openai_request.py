"""The body of a chat completions request, made from a canonical chat."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.chat import Chat, Message, Sampling, Text

_ENCODER: Final = msgspec.json.Encoder()

# Canonical name to wire name; the last three are vLLM's extensions, and other servers' too.
_SAMPLING: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logit_bias": "logit_bias",
    "top_logprobs": "top_logprobs",
    "seed": "seed",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
}


class Shape(msgspec.Struct, frozen=True):
    """Where upstreams differ in how they want to be asked."""

    model: str
    max_tokens_field: str = "max_tokens"
    developer_role: str = "system"
    continuous_usage: bool = False


def body(shape: Shape, chat: Chat) -> dict[str, Any]:
    """A streaming request with usage; what the caller left open is left open."""
    sampling = chat.sampling
    fields: dict[str, Any] = {
        "model": shape.model,
        "messages": [_message(shape, message) for message in chat.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if shape.continuous_usage:
        fields["stream_options"]["continuous_usage_stats"] = True
    if sampling.max_output_tokens is not None:
        fields[shape.max_tokens_field] = sampling.max_output_tokens
    _add_sampling(fields, sampling)
    if chat.user is not None:
        fields["user"] = chat.user
    return fields


def encode(fields: dict[str, Any]) -> bytes:
    return _ENCODER.encode(fields)


def _add_sampling(fields: dict[str, Any], sampling: Sampling) -> None:
    for name, wire in _SAMPLING.items():
        if (value := getattr(sampling, name)) is not None:
            fields[wire] = value
    if sampling.logprobs:
        fields["logprobs"] = True
    if sampling.stop:
        fields["stop"] = sampling.stop
    if sampling.choices != 1:
        fields["n"] = sampling.choices


def _message(shape: Shape, message: Message) -> dict[str, Any]:
    texts = [part.text for part in message.parts if isinstance(part, Text)]
    content: Any = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    fields = {"role": shape.developer_role if message.role == "developer" else message.role, "content": content}
    if message.name is not None:
        fields["name"] = message.name
    return fields
