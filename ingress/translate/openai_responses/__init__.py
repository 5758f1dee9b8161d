"""OpenAI's responses: a body in, canonical chunks back out as one response or as a stream of events."""

from ingress.translate.openai_responses.bodies import Head, count_body, head, job_id, response_id, response_number
from ingress.translate.openai_responses.conversation import Placed, kept
from ingress.translate.openai_responses.reply import ResponsesFold
from ingress.translate.openai_responses.request import LOGPROBS, own, parse, places_of, references, said, to_chat
from ingress.translate.openai_responses.stream import Dialect, ResponsesStreamWriter

__all__ = [
    "LOGPROBS",
    "Dialect",
    "Head",
    "Placed",
    "ResponsesFold",
    "ResponsesStreamWriter",
    "count_body",
    "head",
    "job_id",
    "kept",
    "own",
    "parse",
    "places_of",
    "references",
    "response_id",
    "response_number",
    "said",
    "to_chat",
]
