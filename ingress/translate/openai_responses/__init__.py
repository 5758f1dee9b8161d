"""OpenAI's responses: a body in, canonical chunks back out as one response or as a stream of events."""

from ingress.translate.openai_responses.bodies import Head, head, job_id, response_id
from ingress.translate.openai_responses.conversation import kept
from ingress.translate.openai_responses.reply import ResponsesFold
from ingress.translate.openai_responses.request import parse, references, resolved, to_chat
from ingress.translate.openai_responses.stream import Dialect, ResponsesStreamWriter

__all__ = [
    "Dialect",
    "Head",
    "ResponsesFold",
    "ResponsesStreamWriter",
    "head",
    "job_id",
    "kept",
    "parse",
    "references",
    "resolved",
    "response_id",
    "to_chat",
]
