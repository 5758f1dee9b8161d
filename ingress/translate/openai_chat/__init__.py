"""OpenAI's chat completions: a body in, canonical chunks back out as one reply or as a stream."""

from ingress.translate.openai_chat.reply import ReplyFold
from ingress.translate.openai_chat.request import parse, to_chat
from ingress.translate.openai_chat.stream import StreamWriter

__all__ = ["ReplyFold", "StreamWriter", "parse", "to_chat"]
