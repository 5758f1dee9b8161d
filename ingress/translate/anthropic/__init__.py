"""Anthropic's Messages: a body in, canonical chunks back out as one reply or as a stream."""

from ingress.translate.anthropic.bodies import count_body
from ingress.translate.anthropic.errors import anthropic_error, anthropic_headers
from ingress.translate.anthropic.reply import MessagesFold
from ingress.translate.anthropic.request import BETA_HEADER, parse, parse_count, to_chat
from ingress.translate.anthropic.stream import MessagesStreamWriter

__all__ = [
    "BETA_HEADER",
    "MessagesFold",
    "MessagesStreamWriter",
    "anthropic_error",
    "anthropic_headers",
    "count_body",
    "parse",
    "parse_count",
    "to_chat",
]
